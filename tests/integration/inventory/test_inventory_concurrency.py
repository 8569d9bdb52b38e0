"""Several replicas on one database: never one too many, never a deadlock, nobody overlooked."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.contracts.inventory import StockRefused, StockReserved
from shared.contracts.registry import Event
from tests.builders.inventory import cancelled, placed
from tests.fixtures.bench import Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration


async def deliver_in_batches(benches: list[Bench], events: list[Event], size: int) -> None:
    """The events in batches, all at once, in turn to each replica."""
    envelopes = [benches[0].envelope(event) for event in events]
    batches = [envelopes[start : start + size] for start in range(0, len(envelopes), size)]
    turns = [benches[turn % len(benches)].settle(batch) for turn, batch in enumerate(batches)]
    await asyncio.gather(*turns)


def surprises(logs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What the locks must prevent: deadlocks, and batches that the database refused. A busy machine may lose patience."""
    return [entry for entry in logs if entry["event"] != "batch.retry" or "Deadlock" in entry["error"]]


async def assert_books_agree(bench: Bench) -> None:
    assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []
    assert await bench.database.fetch("SELECT * FROM dead_letter") == []


@pytest.mark.parametrize("size", [500, 7, 1])
async def test_one_unit_and_five_hundred_orders_are_one_reservation(bench: Bench, adjust: Stock, size: int) -> None:
    await adjust("receipt", MUG=1)
    replicas = [bench, await bench.replica(), await bench.replica()]
    with capture_logs() as logs:
        await deliver_in_batches(replicas, [placed(number) for number in range(1, 501)], size)
    assert surprises(logs) == []
    assert len(await bench.published(StockReserved)) == 1
    assert len(await bench.published(StockRefused)) == 499
    assert await bench.database.fetchrow("SELECT on_hand, reserved FROM stock_level") == (1, 1)
    await assert_books_agree(bench)


async def test_baskets_in_any_order_never_deadlock_and_are_all_or_none(bench: Bench, adjust: Stock) -> None:
    # erpnext #36825, spree, medusa: rows that are locked in the order of the basket deadlock.
    skus = [f"SKU-{number:02d}" for number in range(40)]
    await adjust("receipt", **dict.fromkeys(skus, 150))
    shuffled = random.Random(7)
    baskets: list[Event] = [
        placed(number, [(sku, 1) for sku in shuffled.sample(skus, len(skus))]) for number in range(1, 201)
    ]
    with capture_logs() as logs:
        await deliver_in_batches([bench, await bench.replica()], baskets, 5)
    assert surprises(logs) == []
    levels = await bench.database.fetch("SELECT DISTINCT on_hand, reserved FROM stock_level")
    assert levels == [(150, 150)]
    assert len(await bench.published(StockReserved)) == 150
    await assert_books_agree(bench)


async def test_nobody_is_overlooked_when_stock_comes_while_orders_begin_to_wait(bench: Bench, adjust: Stock) -> None:
    # An order that finds nothing and a receipt that finds nobody waiting must not pass each other by.
    other = await bench.replica()
    skus = [f"SKU-{number}" for number in range(30)]

    async def sell(number: int) -> None:
        await other.deliver(placed(number, {skus[number]: 1}, refusable=False))

    async def receive(number: int) -> None:
        await adjust("receipt", **{skus[number]: 1})

    steps = [step(number) for number in range(30) for step in (sell, receive)]
    random.Random(3).shuffle(steps)
    await asyncio.gather(*steps)
    held = await bench.database.fetch("SELECT sku FROM stock_level WHERE reserved = 1")
    assert len(held) == 30
    await assert_books_agree(bench)


async def test_a_count_breaks_enough_while_others_reserve(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", A=60, B=60)
    other = await bench.replica()

    async def sell(number: int) -> None:
        await other.deliver(placed(number, {"A": 1, "B": 1} if number % 2 else {"A": 1}))

    async def count(quantity: int) -> None:
        await adjust("count", A=quantity)

    await asyncio.gather(*[sell(number) for number in range(1, 61)], *[count(quantity) for quantity in (30, 10, 20)])
    await adjust("count", A=5)
    assert await bench.database.fetchval("SELECT reserved FROM stock_level WHERE sku = 'A'") <= 5
    await assert_books_agree(bench)


async def test_expiry_and_cancellation_meet_without_giving_back_twice(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=40)
    numbers = range(1, 41)
    await bench.deliver(*[placed(number) for number in numbers])
    other = await bench.replica()
    await asyncio.gather(other.due("reservation.expiry"), bench.deliver(*[cancelled(number) for number in numbers]))
    assert await bench.database.fetchrow("SELECT on_hand, reserved FROM stock_level") == (40, 0)
    released = "SELECT count(*) FROM movement WHERE kind IN ('expired', 'released')"
    assert await bench.database.fetchval(released) == 40
    await assert_books_agree(bench)


async def test_two_replicas_make_the_same_warehouse_once(bench: Bench) -> None:
    other = await bench.replica()
    kinds = ["home", "bonded"]
    answers = await asyncio.gather(
        *[
            replica.client.put(f"/v1/warehouses/W{number}", json={"kind": kind, "country": "DE"})
            for number in range(10)
            for replica, kind in zip((bench, other), kinds, strict=True)
        ]
    )
    statuses = [sorted((answers[turn].status_code, answers[turn + 1].status_code)) for turn in range(0, 20, 2)]
    assert statuses == [[201, 409]] * 10
