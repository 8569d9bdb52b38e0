"""What an order holds, from placing to a return."""

from datetime import timedelta

import pytest

from services.inventory.domain.reservation import NEVER, Status
from shared.contracts.inventory import (
    ReservationCommitted,
    ReservationReleased,
    StockChanged,
    StockConsumed,
    StockRefused,
    StockReserved,
    StockRestocked,
)
from shared.contracts.values import Grade, ReceivedLine, Shortfall
from shared.effects import Deadline, Forget
from tests.builders.inventory import (
    NEW_JERSEY,
    NOON,
    Play,
    a_count,
    a_moment,
    allocated,
    cancelled,
    confirmed,
    dispatched,
    expiry_of,
    order_id,
    placed,
    rejected,
    returned,
    some_shelves,
)

MUG = allocated("MUG", 1)


def test_a_reservation_holds_every_line_until_it_expires() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5, "CAP": 5}}))
    effects = play(placed(1, {"MUG": 2, "CAP": 1}))
    expires_at = a_moment(1).decided_at + timedelta(minutes=30)
    assert effects[:2] == [
        StockReserved(
            order_id=order_id(1), allocations=(allocated("CAP", 1), allocated("MUG", 2)), expires_at=expires_at
        ),
        Deadline("reservation.expiry", order_id(1), expires_at),
    ]
    assert play.level("MUG") == (5, 2)
    assert play.level("CAP") == (5, 1)


def test_one_short_line_refuses_the_whole_order() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5, "CAP": 1}}))
    short = (Shortfall(sku="CAP", requested=2, available=1),)
    assert play(placed(1, {"MUG": 2, "CAP": 2})) == [StockRefused(order_id=order_id(1), short=short)]
    assert play.level("MUG") == (5, 0)
    assert play.level("CAP") == (1, 0)


def test_two_lines_of_one_sku_are_not_each_checked_against_the_whole_stock() -> None:
    # medusa #16502, vendure #1028.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    short = (Shortfall(sku="MUG", requested=2, available=1),)
    assert play(placed(1, [("MUG", 1), ("MUG", 1)])) == [StockRefused(order_id=order_id(1), short=short)]


def test_five_hundred_orders_for_one_unit_are_one_reservation() -> None:
    # saleor #543, medusa #16569, vendure #1738: check and hold are one step.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    told = play.told(*[placed(number) for number in range(1, 501)])
    assert [type(event) for event in told] == [StockReserved, *[StockRefused] * 499]
    assert play.level() == (1, 1)


def test_one_plan_is_checked_held_and_consumed() -> None:
    # medusa #14987 reserves in the first location only, #16338 ships from another.
    play = Play(some_shelves({"BER": {"MUG": 2}, "NJ": {"MUG": 2}}))
    plan = (allocated("MUG", 2), allocated("MUG", 1, NEW_JERSEY))
    assert play.told(placed(1, {"MUG": 3}))[0].allocations == plan  # type: ignore[attr-defined]
    consumed = play.told(confirmed(1, *plan), dispatched(1, allocated("MUG", 3, NEW_JERSEY)))[-1]
    assert consumed == StockConsumed(order_id=order_id(1), allocations=plan)
    assert play.level("MUG", "BER") == (0, 0)
    assert play.level("MUG", "NJ") == (1, 0)


def test_a_committed_reservation_expires_no_more() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1))
    assert play(confirmed(1, MUG)) == [
        ReservationCommitted(order_id=order_id(1)),
        Forget("reservation.expiry", order_id(1)),
    ]
    assert play(expiry_of(1)) == []
    assert play.level() == (1, 1)


def test_a_late_payment_reserves_again_for_good() -> None:
    # spree: a hold that expires during payment oversells.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), expiry_of(1))
    assert play.told(confirmed(1, MUG)) == [
        StockReserved(order_id=order_id(1), allocations=(MUG,), expires_at=NEVER),
        ReservationCommitted(order_id=order_id(1)),
    ]
    assert play.level() == (1, 1)


def test_a_late_payment_for_what_was_sold_meanwhile_is_told() -> None:
    # saleor #14733: paid, and it can never complete. Orders refunds by itself on this event.
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), expiry_of(1), placed(2))
    short = (Shortfall(sku="MUG", requested=1, available=0),)
    assert play.told(confirmed(1, MUG)) == [StockRefused(order_id=order_id(1), short=short)]
    assert play.status(2) is Status.HELD


def test_a_confirmed_order_that_was_never_seen_is_reserved_from_its_own_plan() -> None:
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    told = play.told(confirmed(1, allocated("MUG", 1), allocated("MUG", 1, NEW_JERSEY)))
    assert [type(event) for event in told] == [StockReserved, ReservationCommitted]
    assert play.level() == (3, 2)


@pytest.mark.parametrize("end", [cancelled(1), rejected(1)])
def test_release_gives_back_exactly_what_is_held_and_only_once(end: object) -> None:
    # vendure #1557, #2874: cancelling deallocated what was never allocated.
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play(placed(1, {"MUG": 2}), placed(2, {"MUG": 1}))
    assert play.told(end, end) == [ReservationReleased(order_id=order_id(1))]
    assert play.level() == (5, 1)


def test_an_order_that_ended_is_not_reserved_by_a_late_confirmation() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), cancelled(1))
    assert play(confirmed(1, MUG)) == []
    assert play.level() == (1, 0)


def test_an_order_that_ended_before_it_was_seen_is_not_reserved() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    assert play.told(cancelled(1), placed(1)) == []
    assert play.level() == (1, 0)


def test_a_dispatch_that_overtakes_the_confirmation_consumes_the_hold() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1))
    effects = play(dispatched(1, MUG))
    assert Forget("reservation.expiry", order_id(1)) in effects
    assert play(confirmed(1, MUG)) == []
    assert play.level() == (0, 0)


def test_what_left_without_a_hold_is_not_sold_again() -> None:
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    play(placed(1), placed(2), cancelled(1))
    play(dispatched(1, MUG))
    assert play.level() == (2, 1)
    assert play.told(placed(3), placed(4))[-1] == StockRefused(
        order_id=order_id(4), short=(Shortfall(sku="MUG", requested=1, available=0),)
    )


def test_what_left_without_a_hold_takes_nothing_from_others() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), cancelled(1), placed(2))
    play(dispatched(1, MUG))
    assert play.level() == (1, 1)
    assert play.told(dispatched(2, MUG)) == [StockConsumed(order_id=order_id(2), allocations=(MUG,))]


def test_a_dispatch_from_an_unknown_warehouse_moves_nothing() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    elsewhere = dispatched(1, allocated("MUG", 1, NEW_JERSEY))
    del play.shelves.warehouses["NJ"]
    play(elsewhere)
    assert play.shelves.ledger == []


def test_sellable_units_of_a_return_go_back_on_the_shelf() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play(placed(1, {"MUG": 2}), dispatched(1, allocated("MUG", 2)))
    told = play.told(returned(1, quantity=2, warehouse="NJ"))
    assert told == [
        StockRestocked(order_id=order_id(1), return_id=f"ret_{1:026d}", allocations=(allocated("MUG", 2, NEW_JERSEY),))
    ]
    assert play.level("MUG", "BER") == (3, 0)
    assert play.level("MUG", "NJ") == (2, 0)


@pytest.mark.parametrize("grade", [Grade.DAMAGED, Grade.MISSING])
def test_only_sellable_units_go_back(grade: Grade) -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), dispatched(1, MUG))
    assert play(returned(1, grade=grade)) == []
    assert play.level() == (0, 0)


def test_no_more_comes_back_than_left() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play(placed(1, {"MUG": 2}), dispatched(1, allocated("MUG", 2)))
    first, second = play.told(returned(1, quantity=1), returned(1, quantity=5))
    assert first.allocations == (allocated("MUG", 1),)  # type: ignore[attr-defined]
    assert second.allocations == (allocated("MUG", 1),)  # type: ignore[attr-defined]
    assert play.told(returned(1, quantity=1)) == []
    assert play.level() == (5, 0)


def test_nothing_comes_back_of_what_was_not_in_the_order() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1, "CAP": 1}}))
    play(placed(1), dispatched(1, MUG))
    assert play.told(returned(1, sku="CAP")) == []


def test_two_lines_of_a_return_share_the_cap() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), dispatched(1, MUG))
    received = returned(1)
    twice = ReceivedLine(sku="MUG", quantity=1, grade=Grade.SELLABLE, warehouse="NJ")
    told = play.told(type(received)(order_id=order_id(1), return_id="ret_x", lines=(*received.lines, twice)))
    assert told == [StockRestocked(order_id=order_id(1), return_id="ret_x", allocations=(MUG,))]


def test_a_return_that_overtakes_the_dispatch_proves_it() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), confirmed(1, MUG))
    assert [type(event) for event in play.told(returned(1))] == [StockConsumed, StockRestocked]
    assert play(dispatched(1, MUG)) == []
    assert play.level() == (1, 0)


def test_the_new_state_is_told_with_a_version_that_rises() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}, "NJ": {"MUG": 1}}))
    states = [effect for effect in play(placed(1, {"MUG": 2}), cancelled(1)) if isinstance(effect, StockChanged)]
    assert [(state.version, state.on_hand, state.reserved, state.available) for state in states] == [
        (1, 6, 2, 4),
        (2, 6, 0, 6),
    ]
    assert states[0].as_of == a_moment(1).decided_at > NOON


def test_a_confirmation_changes_no_stock_and_tells_none() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play(placed(1))
    assert not [effect for effect in play(confirmed(1, MUG)) if isinstance(effect, StockChanged)]


def test_a_refusal_changes_no_stock_and_tells_none() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    assert not [effect for effect in play(placed(1)) if isinstance(effect, StockChanged)]
    assert play.shelves.ledger == []


def test_every_entry_names_its_order_and_its_message() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(a_count(("MUG", 1)), placed(1), dispatched(1, MUG))
    count, reserved, consumed = play.shelves.ledger
    assert count.cause.startswith("adj_")
    assert (count.kind, count.on_hand, count.reserved) == ("count", 0, 0)
    assert (reserved.kind, reserved.cause, reserved.on_hand, reserved.reserved) == ("reserved", order_id(1), 0, 1)
    assert (consumed.kind, consumed.cause, consumed.on_hand, consumed.reserved) == ("consumed", order_id(1), -1, -1)
    assert consumed.message_id == a_moment(3).message_id
