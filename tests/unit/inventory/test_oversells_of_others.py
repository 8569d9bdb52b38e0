"""The bugs by which other platforms sell what is not there, each as a test.

Those with a home elsewhere: the same SKU on two lines (medusa #16502, vendure #1028), one plan for check, hold and consumption (medusa
#14987, #16338), check and hold in one step (saleor #543, medusa #16569, vendure #1738), a hold that expires during payment (spree),
paid and never completed (saleor #14733), releasing what was never held (vendure #1557, #2874): `test_order_life.py`; negative
counters (medusa #12401, #11131): `test_reservation_table.py`; deadlocks in the order of the basket (erpnext #36825, #47787):
`tests/integration/inventory/test_inventory_concurrency.py`.
"""

import pytest

from services.inventory.domain.movement import fold
from services.inventory.domain.reservation import Status
from shared.contracts.inventory import ReservationCommitted, StockConsumed, StockRefused, StockReserved
from shared.contracts.registry import Event
from shared.contracts.values import Shortfall
from tests.builders.inventory import (
    BERLIN,
    NEW_JERSEY,
    Play,
    a_count,
    allocated,
    confirmed,
    dispatched,
    expiry_of,
    order_id,
    placed,
    some_shelves,
)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


@pytest.mark.parametrize("pay", [True, False])
def test_a_recheck_sees_what_others_hold_paid_for_or_not(pay: bool) -> None:
    # saleor, warehouse/management.py: a generator that was used up let the check under the lock see no allocation at all.
    play = Play(some_shelves({"BER": {"MUG": 2}}))
    play(placed(1), placed(2))
    if pay:
        play(confirmed(1, allocated("MUG", 1)), confirmed(2, allocated("MUG", 1)))
    assert play.told(placed(3)) == [
        StockRefused(order_id=order_id(3), short=(Shortfall(sku="MUG", requested=1, available=0),))
    ]


def test_the_counter_is_the_sum_of_the_holds_and_the_ledger_whatever_happened() -> None:
    # saleor #5334: allocations that nobody counted. Here every counter moves with its entry, so there is nothing to lose.
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(a_count(("MUG", 9)), placed(1, {"MUG": 3}), placed(2, {"MUG": 2}), confirmed(2, allocated("MUG", 2)))
    play(expiry_of(1), placed(3, {"MUG": 4}), dispatched(2, allocated("MUG", 2)), a_count(("MUG", 5)))
    holds = [r for r in play.shelves.reservations.values() if r.holding]
    held = sum(part.quantity for reservation in holds for part in reservation.allocations)
    folded = fold(play.shelves.ledger)["MUG", "BER"]
    assert play.level() == (folded.on_hand, folded.reserved) == (5, held)


def test_one_unit_is_one_order_however_often_it_is_asked_for() -> None:
    # medusa #16825: the order existed before the reservation, and two orders had one unit.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    told = play.told(placed(1), placed(2), placed(1), placed(2))
    assert kinds(told) == [StockReserved, StockRefused]
    assert (play.status(1), play.status(2)) == (Status.HELD, Status.REFUSED)


def test_a_buyer_is_not_stopped_by_the_own_hold() -> None:
    # woocommerce #67354: the last unit is held by the very order that is being paid for, also when it is placed or paid twice.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    mug = allocated("MUG", 1)
    told = play.told(placed(1), placed(1), confirmed(1, mug), confirmed(1, mug))
    assert kinds(told) == [StockReserved, ReservationCommitted]
    assert play.level() == (1, 1)


def test_a_unit_that_was_only_looked_at_is_held_for_nobody_and_one_that_is_held_is_seen_by_everybody() -> None:
    # dotnet/eShop #888, #732: stock was looked at when ordered and taken when paid; what lacked was silently less.
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    assert kinds(play.told(placed(1, {"MUG": 2}), placed(2, {"MUG": 2}))) == [StockReserved, StockRefused]
    (consumed,) = play.told(dispatched(1, allocated("MUG", 2)))
    assert isinstance(consumed, StockConsumed)
    assert sum(part.quantity for part in consumed.allocations) == 2, "never fewer than were sold"


def test_a_sale_does_not_drive_the_shelf_below_nothing() -> None:
    # shopware, StockStorage: stock = stock - q without stock >= q.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), placed(2), placed(3, refusable=False))
    mug = allocated("MUG", 1)
    play(dispatched(1, mug), dispatched(2, mug), dispatched(3, mug))
    assert play.level() == (0, 0)


def test_a_line_is_served_from_several_places_and_never_from_the_first_alone() -> None:
    # spree, stock_reservations/reserve: one location a line, the first that matches.
    play = Play(some_shelves({"BER": {"MUG": 1}, "NJ": {"MUG": 2}}))
    (reserved,) = play.told(placed(1, {"MUG": 3}))
    assert isinstance(reserved, StockReserved)
    assert reserved.allocations == (allocated("MUG", 1, BERLIN), allocated("MUG", 2, NEW_JERSEY))


def test_two_sums_that_were_read_before_the_other_are_not_both_written() -> None:
    # vendure, stock-level.service: find, then update with what was found plus a change. A level only takes changes.
    play = Play(some_shelves({"BER": {"MUG": 10}}))
    play(placed(1, {"MUG": 4}), a_count(("MUG", 8)), placed(2, {"MUG": 4}), placed(3, {"MUG": 1}))
    assert (play.level(), play.status(3)) == ((8, 8), Status.REFUSED)
