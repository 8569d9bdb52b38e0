"""What came, what went, what is really there."""

import pytest

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.reservation import Status
from shared.contracts.inventory import ReservationBroken, StockChanged, StockReserved
from shared.contracts.values import Shortfall
from shared.effects import Reply
from shared.errors import Kind, Refusal
from tests.builders.inventory import (
    Play,
    a_count,
    a_receipt,
    allocated,
    an_adjustment,
    confirmed,
    dispatched,
    order_id,
    placed,
    some_shelves,
)


def reply_of(effects: list[object]) -> Reply:
    (reply,) = [effect for effect in effects if isinstance(effect, Reply)]
    return reply


@pytest.mark.parametrize(
    ("kind", "quantity", "after"),
    [
        (AdjustmentKind.RECEIPT, 3, 13),
        (AdjustmentKind.COUNT, 3, 3),
        (AdjustmentKind.COUNT, 12, 12),
        (AdjustmentKind.WRITE_OFF, 3, 7),
        (AdjustmentKind.CORRECTION, 3, 13),
        (AdjustmentKind.CORRECTION, -3, 7),
    ],
)
def test_what_a_quantity_means_depends_on_the_kind(kind: AdjustmentKind, quantity: int, after: int) -> None:
    play = Play(some_shelves({"BER": {"MUG": 10}}))
    reply = reply_of([*play(an_adjustment(kind, ("MUG", quantity)))])
    assert play.level() == (after, 0)
    assert reply.status == 201
    assert reply.body["lines"] == [{"sku": "MUG", "change": after - 10, "on_hand": after}]
    (entry,) = play.shelves.ledger
    assert (entry.kind, entry.on_hand, entry.cause) == (kind, after - 10, reply.body["id"])


def test_a_sku_that_was_never_here_can_be_received() -> None:
    play = Play(some_shelves())
    assert next(effect for effect in play(a_receipt(("NEW", 3))) if isinstance(effect, StockChanged)).available == 3


def test_a_count_that_finds_what_the_books_say_is_noted_and_not_told() -> None:
    play = Play(some_shelves({"BER": {"MUG": 10}}))
    assert not [effect for effect in play(a_count(("MUG", 10))) if isinstance(effect, StockChanged)]
    assert [entry.on_hand for entry in play.shelves.ledger] == [0]


@pytest.mark.parametrize(
    "adjustment",
    [
        an_adjustment(AdjustmentKind.WRITE_OFF, ("CAP", 1), ("MUG", 11)),
        an_adjustment(AdjustmentKind.CORRECTION, ("CAP", 1), ("MUG", -11)),
    ],
)
def test_more_than_is_there_cannot_go_and_then_no_line_does(adjustment: object) -> None:
    play = Play(some_shelves({"BER": {"MUG": 10, "CAP": 1}}))
    refusal = play.decide(adjustment)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.kind) == ("stock.below_zero", Kind.CONFLICT)
    assert refusal.facts == {"sku": "MUG", "warehouse": "BER", "on_hand": 10, "change": -11}
    assert play.level("CAP") == (1, 0)
    assert play.shelves.ledger == []
    assert play.shelves.adjustments == []


def test_an_unknown_warehouse_is_refused() -> None:
    refusal = Play(some_shelves()).decide(a_receipt(("MUG", 1), warehouse="ATL"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "warehouse.unknown"


def test_a_count_below_what_is_reserved_breaks_the_newest_reservations() -> None:
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    play(placed(1), placed(2), placed(3))
    effects = play(a_count(("MUG", 1)))
    short = (Shortfall(sku="MUG", requested=1, available=0),)
    assert effects[:2] == [
        ReservationBroken(order_id=order_id(3), short=short),
        ReservationBroken(order_id=order_id(2), short=short),
    ]
    assert reply_of([*effects]).body["broken_reservations"] == 2
    assert play.level() == (1, 1)
    assert play.status(1) is Status.HELD


def test_the_newest_break_also_when_they_are_paid_for() -> None:
    play = Play(some_shelves({"BER": {"MUG": 2}}))
    play(placed(1), placed(2), confirmed(2, allocated("MUG", 1)))
    assert [event.key for event in play.told(a_count(("MUG", 1)))] == [order_id(2)]


def test_no_more_reservations_break_than_must() -> None:
    play = Play(some_shelves({"BER": {"MUG": 9}}))
    play(placed(1, {"MUG": 3}), placed(2, {"MUG": 3}), placed(3, {"MUG": 3}))
    play(an_adjustment(AdjustmentKind.WRITE_OFF, ("MUG", 1)))
    assert [play.status(number) for number in (1, 2, 3)] == [Status.HELD, Status.HELD, Status.BROKEN]
    assert play.level() == (8, 6)


def test_a_broken_order_gives_back_its_whole_hold() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1, "CAP": 1}, "NJ": {"PEN": 1}}))
    play(placed(1, {"MUG": 1, "CAP": 1, "PEN": 1}))
    play(a_count(("MUG", 0)))
    assert play.level("CAP") == (1, 0)
    assert play.level("PEN", "NJ") == (1, 0)


def test_an_order_breaks_once_when_several_of_its_lines_are_gone() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1, "CAP": 1}}))
    play(placed(1, {"MUG": 1, "CAP": 1}))
    assert [type(event) for event in play.told(a_count(("MUG", 0), ("CAP", 0)))] == [ReservationBroken]


def test_what_a_broken_order_gave_back_goes_to_who_waits() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1, "CAP": 1}}))
    play(placed(2, {"MUG": 1, "CAP": 1}), placed(3, {"CAP": 1}, refusable=False))
    broken, reserved = play.told(a_count(("MUG", 0)))
    assert isinstance(broken, ReservationBroken)
    assert isinstance(reserved, StockReserved)
    assert reserved.order_id == order_id(3)


def test_consumed_units_are_not_touched_by_a_count() -> None:
    play = Play(some_shelves({"BER": {"MUG": 2}}))
    play(placed(1), placed(2), dispatched(2, allocated("MUG", 1)))
    assert play.told(a_count(("MUG", 1))) == []
    assert play.status(2) is Status.CONSUMED


def test_reservations_in_another_warehouse_are_not_touched_by_a_count() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}, "NJ": {"MUG": 1}}))
    play(placed(1, country="DE"), placed(2, country="US"))
    assert [event.key for event in play.told(a_count(("MUG", 0)))] == [order_id(1)]
    assert play.level("MUG", "NJ") == (1, 1)


def test_an_adjustment_has_one_id_however_often_it_is_decided() -> None:
    first = reply_of([*Play(some_shelves()).decide(a_receipt(("MUG", 1)))])  # type: ignore[misc]
    again = reply_of([*Play(some_shelves()).decide(a_receipt(("MUG", 1)))])  # type: ignore[misc]
    assert first.body["id"] == again.body["id"]
