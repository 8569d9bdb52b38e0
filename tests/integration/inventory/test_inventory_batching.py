"""The real rows: batches of any size end like one message at a time, and like the rows in memory."""

from collections.abc import Iterator
from itertools import cycle, groupby
from typing import Any

import asyncpg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from services.inventory.consumers import routes
from services.inventory.domain.shelves import Shelves
from services.inventory.main import SERVICE
from services.inventory.repository import load_shelves, save_shelves
from services.inventory.transfers import read_transfers
from shared.contracts.registry import Event
from shared.database import Database
from shared.effects import Due
from shared.messaging.message import Message
from shared.messaging.routing import Router
from tests.fixtures.bench import Bench, BenchFactory
from tests.unit.inventory.memory_store import WAREHOUSES, MemoryStore, as_messages, bodies

pytestmark = pytest.mark.integration

router = Router[Shelves]()
routes(router)


def batches(messages: list[Message], sizes: list[int]) -> Iterator[list[Message]]:
    """Of these sizes at most, and of one kind each: the desk gets events, commands and deadlines apart."""
    turns = cycle(sizes)
    for _, run in groupby(messages, key=_kind):
        rest = list(run)
        while rest:
            size = next(turns)
            yield rest[:size]
            rest = rest[size:]


def _kind(message: Message) -> str:
    return "due" if isinstance(message.body, Due) else "event" if isinstance(message.body, Event) else "command"


async def play(messages: list[Message], sizes: list[int], database: Database) -> None:
    """As the desk does it, without what the kit adds."""
    for batch in batches(messages, sizes):
        async with database.transaction() as connection:
            shelves = await load_shelves(batch, connection)
            for message in batch:
                router.decide(message.body, shelves, message.moment)
            await save_shelves(shelves, connection)


async def rows_of(database: Database) -> Any:
    levels = await database.fetch("SELECT sku, warehouse, on_hand, reserved FROM stock_level WHERE on_hand > 0")
    reservations = await database.fetch(
        "SELECT order_id, status, demand, country, refusable, confirmed, allocations, expires_at, restocked FROM reservation"
    )
    ledger = await database.fetch(
        "SELECT sku, warehouse, kind, on_hand, reserved, in_transit, reason, cause, message_id FROM movement ORDER BY id"
    )
    versions = await database.fetch("SELECT sku, version FROM stock_item WHERE version > 0")
    held = await database.fetch("SELECT return_id, sku, warehouse, quantity FROM held_return")
    counts = await database.fetch(
        "SELECT sku, warehouse, source, version, as_of, quantity, on_hand, change FROM stock_count"
    )
    transfers = (
        await read_transfers([row["id"] for row in await database.fetch("SELECT id FROM transfer")], database)
    ).by_id
    return {
        "transfers": {key: (known.status, list(known.lines.values())) for key, known in transfers.items()},
        "levels": {(row["sku"], row["warehouse"]): (row["on_hand"], row["reserved"]) for row in levels},
        "versions": {row["sku"]: row["version"] for row in versions},
        "reservations": {row["order_id"]: tuple(row)[1:] for row in reservations},
        "ledger": [tuple(row) for row in ledger],
        "held": {tuple(row) for row in held},
        "counts": {tuple(row) for row in counts},
    }


def rows_in_memory(messages: list[Message]) -> Any:
    """The same messages one by one against the rows in memory."""
    store = MemoryStore()
    for message in messages:
        shelves = store.load([message])
        router.decide(message.body, shelves, message.moment)
        store.save(shelves)
    levels, versions, reservations, ledger, _, held_returns, counts, transfers = store.rows()
    return {
        "transfers": transfers,
        "levels": {key: level for key, level in levels.items() if level[0]},
        "versions": versions,
        "reservations": {
            held.order_id: (
                held.status,
                held.demand,
                held.country,
                held.refusable,
                held.confirmed,
                [{name: getattr(part, name) for name in part.__dataclass_fields__} for part in held.allocations],
                held.expires_at,
                held.restocked,
            )
            for held in reservations.values()
        },
        "ledger": [
            (m.sku, m.warehouse, m.kind, m.on_hand, m.reserved, m.in_transit, m.reason, m.cause, m.message_id)
            for m in ledger
        ],
        "held": {(part.return_id, part.sku, part.warehouse, part.quantity) for part in held_returns.values()},
        "counts": {
            (c.sku, c.warehouse, c.source, c.version, c.as_of, c.quantity, c.on_hand, c.change) for c in counts.values()
        },
    }


async def test_any_batching_of_any_messages_ends_like_one_by_one_in_memory(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    for warehouse in WAREHOUSES:
        await bench.database.execute(
            "INSERT INTO warehouse (code, store_id, kind, country) VALUES ($1, $2, $3, $4)",
            warehouse.code,
            warehouse.store_id,
            warehouse.kind,
            warehouse.country,
        )
    await bench.database.execute("INSERT INTO channel VALUES ('str_demo', 'bazaar', 2, '')")
    for messages, sizes in some_histories():
        await play(messages, sizes, bench.database)
        assert await rows_of(bench.database) == rows_in_memory(messages)
        assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []
        await empty(bench)


def some_histories() -> list[tuple[list[Message], list[int]]]:
    """Random histories with batch sizes; hypothesis draws them, because it knows how to be nasty."""
    drawn: list[tuple[list[Message], list[int]]] = []

    @settings(max_examples=25, phases=[Phase.generate], database=None, deadline=None, derandomize=True)
    @given(history=st.lists(bodies, min_size=10, max_size=60), sizes=st.lists(st.integers(2, 12), min_size=1))
    def draw(history: list[object], sizes: list[int]) -> None:
        drawn.append((as_messages(history), sizes))

    draw()
    return drawn


async def empty(bench: Bench) -> None:
    """The owner forgets all, also the ledger, which the application could not."""
    owner = await asyncpg.connect(bench.place.owner_url)
    await owner.execute(
        "TRUNCATE transfer_line, transfer, stock_item, stock_level, stock_count, reservation, movement, adjustment, held_return"
    )
    await owner.execute("DELETE FROM warehouse WHERE code = 'ATL'")
    await owner.close()
