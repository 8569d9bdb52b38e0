"""The service with its real database against the model that the pure domain is compared with: what is stored is what was decided."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from services.inventory.domain.reservation import Status
from services.inventory.main import SERVICE
from services.inventory.usecases.adjust_stock import AdjustStock
from services.inventory.usecases.count_stock import CountStock
from services.inventory.usecases.receive_transfer import ReceiveTransfer
from services.inventory.usecases.ship_transfer import ShipTransfer
from shared.auth import Principal
from shared.contracts.registry import Event
from shared.effects import Due
from shared.http import Caller, StoredProblem
from shared.ids import new_id
from tests.builders.inventory import NOON, STORE, order_id
from tests.fixtures.bench import Bench, BenchFactory
from tests.unit.inventory.model import InventoryAgainstModel, Stage

pytestmark = pytest.mark.integration
T = TypeVar("T")
Command = AdjustStock | CountStock | ShipTransfer | ReceiveTransfer
EXPECTED = {"stock.below_zero", "stock.not_available", "transfer.received", "transfer.more_damaged"}
TABLES = "transfer_line, transfer, stock_item, stock_level, stock_count, reservation, movement, adjustment, held_return, deadline"


class StoredStage:
    """Two replicas in turn, driven from hypothesis' thread; every message is a batch of its own."""

    def __init__(self, replicas: Iterator[Bench], loop: asyncio.AbstractEventLoop) -> None:
        self._replicas, self._loop, self._messages = replicas, loop, 0
        self._wait(_empty(next(replicas)))

    def __call__(self, body: object) -> bool:
        bench = next(self._replicas)
        self._messages += 1
        match body:
            case AdjustStock() | CountStock() | ShipTransfer() | ReceiveTransfer():
                return self._wait(_refused(bench, body))
            case Due(kind, key):
                self._wait(bench.due(kind, key))
            case Event():
                self._wait(bench.deliver(body, at=NOON + timedelta(seconds=self._messages)))
            case _:
                raise LookupError(type(body).__name__)
        return False

    def level(self, sku: str, warehouse: str = "BER") -> tuple[int, int]:
        row = self._fetch("SELECT on_hand, reserved FROM stock_level WHERE sku = $1 AND warehouse = $2", sku, warehouse)
        return tuple(row[0]) if row else (0, 0)

    def status(self, number: int) -> Status:
        (row,) = self._fetch("SELECT status FROM reservation WHERE order_id = $1", order_id(number))
        return Status(row["status"])

    def transfers(self) -> list[tuple[str, int]]:
        rows = self._fetch(
            "SELECT id, sum(shipped - arrived - damaged - short)::bigint AS in_transit"
            " FROM transfer JOIN transfer_line ON transfer_id = id GROUP BY id ORDER BY min(shipped_at)"
        )
        return [(row["id"], row["in_transit"]) for row in rows]

    def agree(self) -> None:
        """Counters, ledger and holds say the same, and nothing was set aside."""
        assert self._fetch("SELECT * FROM stock_discrepancy") == []
        assert self._fetch("SELECT * FROM dead_letter") == []

    def _fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        return self._wait(next(self._replicas).database.fetch(sql, *args))

    def _wait(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(timeout=60)


async def _refused(bench: Bench, command: Command) -> bool:
    caller = Caller(
        principal=Principal(STORE, "a test", frozenset({"*"})),
        route="POST /v1/stock/adjustments",
        path="/v1/stock/adjustments",
        correlation_id="req_test",
        idempotency_key=new_id("key"),
        fingerprint=b"",
    )
    try:
        await bench.kit.commands.run(caller, command)
    except StoredProblem as no:
        if no.problem["code"] not in EXPECTED:
            raise
        return True
    return False


async def _empty(bench: Bench) -> None:
    """The owner forgets all, also the ledger, which the application could not; the streams' positions go on."""
    owner = await asyncpg.connect(bench.place.owner_url)
    await owner.execute(f"TRUNCATE {TABLES}")
    await owner.close()


async def test_the_service_and_its_database_are_the_model(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    assert (await bench.client.put("/v1/warehouses/BER", json={"kind": "home", "country": "DE"})).status_code == 201
    assert (await bench.client.put("/v1/warehouses/NGB", json={"kind": "bonded", "country": "CN"})).status_code == 201
    replicas, loop = [bench, await bench.replica()], asyncio.get_running_loop()

    def in_turn() -> Iterator[Bench]:
        while True:
            yield from replicas

    class StoredAgainstModel(InventoryAgainstModel):
        def stage(self) -> Stage:
            self.stored = StoredStage(in_turn(), loop)
            return self.stored

        def teardown(self) -> None:
            self.stored.agree()

    few = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    await asyncio.to_thread(run_state_machine_as_test, StoredAgainstModel, settings=few)
