"""A hold that runs out at the very moment of payment, in two replicas: paid for is reserved or told short, never both and never twice."""

import asyncio
from collections import Counter

import pytest

from shared.contracts.inventory import ReservationCommitted, ReservationExpired, StockRefused, StockReserved
from tests.builders.inventory import BERLIN, allocated, confirmed, order_id, placed
from tests.fixtures.bench import Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration
EXPIRY = "reservation.expiry"


async def status_of(bench: Bench, number: int) -> str:
    return await bench.database.fetchval("SELECT status FROM reservation WHERE order_id = $1", order_id(number))


async def assert_books_agree(bench: Bench) -> None:
    assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []
    assert await bench.database.fetch("SELECT * FROM dead_letter") == []
    unpaid = "SELECT count(*) FROM deadline d JOIN reservation r ON r.order_id = d.key WHERE r.status = 'committed'"
    assert await bench.database.fetchval(unpaid) == 0, "what is paid for expires no more"


async def test_paid_at_the_very_moment_of_expiry_is_committed_whichever_comes_first(
    bench: Bench, adjust: Stock
) -> None:
    other, rounds = await bench.replica(), 30
    await adjust("receipt", **{f"SKU-{number}": 1 for number in range(1, rounds + 1)})
    for number in range(1, rounds + 1):
        await bench.deliver(placed(number, {f"SKU-{number}": 1}))
        paid = bench.deliver(confirmed(number, allocated(f"SKU-{number}", 1, BERLIN)))
        ran_out = other.due(EXPIRY, order_id(number))
        await asyncio.gather(*((paid, ran_out) if number % 2 else (ran_out, paid)))
    statuses = Counter([await status_of(bench, number) for number in range(1, rounds + 1)])
    assert statuses == {"committed": rounds}
    assert await bench.database.fetchval("SELECT sum(reserved)::bigint FROM stock_level") == rounds
    assert len(await bench.published(ReservationCommitted)) == rounds
    expired = {event.order_id for event in await bench.published(ReservationExpired)}
    reserved = Counter(event.order_id for event in await bench.published(StockReserved))
    for number in range(1, rounds + 1):  # reserved once, or again after it had expired
        assert reserved[order_id(number)] == 1 + (order_id(number) in expired)
    await assert_books_agree(bench)


async def test_the_last_unit_of_a_hold_that_runs_out_goes_to_one_of_payer_and_next_buyer(
    bench: Bench, adjust: Stock
) -> None:
    other, third, rounds = await bench.replica(), await bench.replica(), 20
    await adjust("receipt", **{f"SKU-{number}": 1 for number in range(1, rounds + 1)})
    for number in range(1, rounds + 1):
        payer, buyer, sku = number, 1000 + number, f"SKU-{number}"
        await bench.deliver(placed(payer, {sku: 1}))
        await asyncio.gather(
            other.due(EXPIRY, order_id(payer)),
            third.deliver(placed(buyer, {sku: 1})),
            bench.deliver(confirmed(payer, allocated(sku, 1, BERLIN))),
        )
        ends = await status_of(bench, payer), await status_of(bench, buyer)
        assert ends in (("committed", "refused"), ("refused", "held")), ends
        refused = [event.order_id for event in await bench.published(StockRefused)]
        loser = payer if ends[0] == "refused" else buyer
        assert refused.count(order_id(loser)) == 1, "who gets nothing is told, so that orders can refund"
    assert await bench.database.fetchval("SELECT max(reserved)::bigint FROM stock_level") == 1
    await assert_books_agree(bench)


async def test_a_deadline_that_two_replicas_take_at_once_gives_back_once(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=20)
    await bench.deliver(*[placed(number) for number in range(1, 21)])
    await bench.database.execute("UPDATE deadline SET due_at = now() - interval '1 second' WHERE kind = $1", EXPIRY)
    replicas = [bench, await bench.replica(), await bench.replica()]
    await asyncio.gather(*(replica.overdue() for replica in replicas for _ in range(2)))
    assert len(await bench.published(ReservationExpired)) == 20
    assert await bench.database.fetchrow("SELECT on_hand, reserved FROM stock_level") == (20, 0)
    await assert_books_agree(bench)


async def test_a_late_payment_whose_stock_was_counted_away_is_told_short(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=1)
    await bench.deliver(placed(1))
    other = await bench.replica()
    count = adjust("count", MUG=0)
    await asyncio.gather(
        other.due(EXPIRY, order_id(1)), count, bench.deliver(confirmed(1, allocated("MUG", 1, BERLIN)))
    )
    # Counted away before the payment: refused. After it: broken, which orders hears as well.
    assert await status_of(bench, 1) in ("refused", "broken")
    assert await bench.database.fetchrow("SELECT on_hand, reserved FROM stock_level") == (0, 0)
    await assert_books_agree(bench)
