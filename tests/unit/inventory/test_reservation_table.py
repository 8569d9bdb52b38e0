"""Every status meets every message."""

import pytest

from services.inventory.domain.reservation import HOLDING, STEPS, Happening, IllegalStep, Reservation, Status, Step
from services.inventory.domain.stock import ImpossibleStock, StockLevel
from shared.contracts.inventory import (
    ReservationBroken,
    ReservationCommitted,
    ReservationExpired,
    ReservationReleased,
    StockConsumed,
    StockRefused,
    StockReserved,
    StockRestocked,
)
from shared.contracts.registry import Event
from tests.builders.inventory import (
    Play,
    a_count,
    a_receipt,
    allocated,
    cancelled,
    confirmed,
    dispatched,
    expiry_of,
    order_id,
    placed,
    returned,
    some_shelves,
)

MUG = allocated("MUG", 1)

HISTORIES: dict[Status, tuple[bool, tuple[object, ...]]] = {
    # status: (refusable, what brings order 1 there from one MUG on the shelf)
    Status.UNSEEN: (True, ()),
    Status.HELD: (True, (placed(1),)),
    Status.COMMITTED: (True, (placed(1), confirmed(1, MUG))),
    Status.WAITING: (False, (a_count(("MUG", 0)), placed(1, refusable=False))),
    Status.REFUSED: (True, (a_count(("MUG", 0)), placed(1))),
    Status.EXPIRED: (True, (placed(1), expiry_of(1))),
    Status.BROKEN: (True, (placed(1), a_count(("MUG", 0)))),
    Status.RELEASED: (True, (placed(1), cancelled(1))),
    Status.CONSUMED: (True, (placed(1), dispatched(1, MUG))),
}

MESSAGES: dict[Happening, object] = {
    Happening.PLACED: placed(1),
    Happening.CONFIRMED: confirmed(1, MUG),
    Happening.ENDED: cancelled(1),
    Happening.EXPIRY_DUE: expiry_of(1),
    Happening.DISPATCHED: dispatched(1, MUG),
    Happening.RETURNED: returned(1),
    Happening.STOCK_CAME: a_receipt(("MUG", 1)),
    Happening.COUNTED_SHORT: a_count(("MUG", 0)),
}

U, H, C, W, X = Status.UNSEEN, Status.HELD, Status.COMMITTED, Status.WAITING, Status.REFUSED
E, B, R, S = Status.EXPIRED, Status.BROKEN, Status.RELEASED, Status.CONSUMED
GOOD = (StockReserved, ReservationCommitted)
SHORT = (StockRefused,)
GONE = (StockConsumed,)
BACK = (StockConsumed, StockRestocked)

# Written down by hand, not read from the table under test: the status after, and what is told.
Outcome = tuple[Status, tuple[type[Event], ...]]
EXPECTED: dict[Happening, dict[Status, Outcome]] = {
    Happening.PLACED: {
        U: (H, (StockReserved,)), H: (H, ()), C: (C, ()), W: (W, ()), X: (X, ()), E: (E, ()), B: (B, ()), R: (R, ()), S: (S, ()),
    },
    Happening.CONFIRMED: {
        U: (C, GOOD), H: (C, (ReservationCommitted,)), C: (C, ()), W: (W, SHORT), X: (X, SHORT), E: (C, GOOD), B: (X, SHORT),
        R: (R, ()), S: (S, ()),
    },
    Happening.ENDED: {
        U: (R, ()), H: (R, (ReservationReleased,)), C: (R, (ReservationReleased,)), W: (R, (ReservationReleased,)), X: (R, ()),
        E: (R, ()), B: (R, ()), R: (R, ()), S: (S, ()),
    },
    Happening.EXPIRY_DUE: {
        U: (U, ()), H: (E, (ReservationExpired,)), C: (C, ()), W: (W, ()), X: (X, ()), E: (E, ()), B: (B, ()), R: (R, ()), S: (S, ()),
    },
    Happening.DISPATCHED: {
        U: (S, GONE), H: (S, GONE), C: (S, GONE), W: (S, GONE), X: (S, GONE), E: (S, GONE), B: (S, GONE), R: (S, GONE), S: (S, ()),
    },
    Happening.RETURNED: {
        U: (U, ()), H: (S, BACK), C: (S, BACK), W: (W, ()), X: (X, ()), E: (E, ()), B: (B, ()), R: (R, ()), S: (S, (StockRestocked,)),
    },
    Happening.STOCK_CAME: {
        U: (U, ()), H: (H, ()), C: (C, ()), W: (H, (StockReserved,)), X: (X, ()), E: (E, ()), B: (B, ()), R: (R, ()), S: (S, ()),
    },
    Happening.COUNTED_SHORT: {
        U: (U, ()), H: (B, (ReservationBroken,)), C: (B, (ReservationBroken,)), W: (W, ()), X: (X, ()), E: (E, ()), B: (B, ()),
        R: (R, ()), S: (S, ()),
    },
}  # fmt: skip


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("happening", Happening)
def test_every_status_answers_every_message(status: Status, happening: Happening) -> None:
    _, history = HISTORIES[status]
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(*history)
    after, told = EXPECTED[happening][status]
    events = play.told(MESSAGES[happening])
    reservation = play.shelves.reservations.get(order_id(1))
    assert (reservation.status if reservation else Status.UNSEEN) is after
    assert tuple(type(event) for event in events) == told
    on_hand, reserved = play.level()
    assert reserved == (1 if after in HOLDING else 0)
    assert on_hand >= reserved


@pytest.mark.parametrize("status", Status)
def test_the_histories_lead_where_they_say(status: Status) -> None:
    refusable, history = HISTORIES[status]
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(*history)
    if status is not Status.UNSEEN:
        assert play.status() is status
        assert play.shelves.reservations[order_id(1)].refusable is refusable


def test_the_table_is_total() -> None:
    assert set(STEPS) == set(Status)
    assert all(set(row) == set(Happening) for row in STEPS.values())


def test_units_break_only_where_they_are_held() -> None:
    breaking = {status for status, row in STEPS.items() if row[Happening.COUNTED_SHORT] is Step.BREAK}
    assert breaking == HOLDING


def test_an_order_that_holds_cannot_hold_again() -> None:
    reservation = Reservation(order_id=order_id(1), store_id="str_demo")
    reservation.hold((MUG,), None)
    with pytest.raises(IllegalStep, match="is held"):
        reservation.hold((MUG,), None)


def test_an_order_that_holds_is_not_shipped_unplanned() -> None:
    reservation = Reservation(order_id=order_id(1), store_id="str_demo")
    reservation.hold((MUG,), None)
    with pytest.raises(IllegalStep, match="planned"):
        reservation.ship_unplanned((MUG,))


def test_what_has_left_cannot_be_given_back() -> None:
    reservation = Reservation(order_id=order_id(1), store_id="str_demo")
    reservation.hold((MUG,), None)
    reservation.consume()
    with pytest.raises(IllegalStep, match="have left"):
        reservation.let_go(Status.RELEASED)


def test_more_than_was_consumed_cannot_be_restocked() -> None:
    reservation = Reservation(order_id=order_id(1), store_id="str_demo")
    reservation.hold((MUG,), None)
    reservation.consume()
    with pytest.raises(IllegalStep, match="more than"):
        reservation.restock("MUG", 2)


@pytest.mark.parametrize(("on_hand", "reserved"), [(0, 2), (-1, 0), (0, -2), (-2, -1)])
def test_counters_never_leave_their_bounds(on_hand: int, reserved: int) -> None:
    # medusa #12401, #11131: reserved went negative.
    with pytest.raises(ImpossibleStock):
        StockLevel(on_hand=1, reserved=1).move(on_hand=on_hand, reserved=reserved)
