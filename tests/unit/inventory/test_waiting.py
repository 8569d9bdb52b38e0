"""Orders that a channel has sold already wait for stock; they are never refused for good."""

import pytest

from services.inventory.domain.reservation import NEVER, Status
from shared.contracts.inventory import (
    ReservationBroken,
    ReservationCommitted,
    ReservationReleased,
    StockRefused,
    StockReserved,
)
from shared.contracts.values import Shortfall
from shared.effects import Deadline, Due
from tests.builders.inventory import (
    Play,
    a_count,
    a_moment,
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


def sold(number: int, quantity: int = 1) -> object:
    return placed(number, {"MUG": quantity}, refusable=False)


def test_a_sold_order_that_finds_too_little_waits() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    short = (Shortfall(sku="MUG", requested=1, available=0),)
    assert play(sold(1)) == [StockRefused(order_id=order_id(1), short=short, waiting=True)]


def test_a_sold_order_never_expires() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    assert play.told(sold(1)) == [StockReserved(order_id=order_id(1), allocations=(MUG,), expires_at=NEVER)]
    assert play(expiry_of(1)) == []
    assert not [effect for effect in play(sold(2)) if isinstance(effect, Deadline)]
    assert play.status(1) is Status.HELD


@pytest.mark.parametrize(
    ("before", "coming"),
    [
        ((), a_receipt(("MUG", 1))),
        ((placed(1),), cancelled(1)),
        ((placed(1),), expiry_of(1)),
        ((placed(1), dispatched(1, MUG)), returned(1)),
    ],
    ids=["receipt", "release", "expiry", "return"],
)
def test_stock_that_comes_in_is_held_for_who_waits_in_the_same_decision(
    before: tuple[object, ...], coming: object
) -> None:
    play = Play(some_shelves({"BER": {"MUG": 1 if before else 0}}))
    play(*before, sold(2))
    assert play.told(coming)[-1] == StockReserved(order_id=order_id(2), allocations=(MUG,), expires_at=NEVER)
    assert play.level() == (1, 1)


def test_the_oldest_order_is_served_first_whatever_its_id_says() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(sold(3), sold(1), sold(2))  # imported orders: their ids hold no time
    play(a_receipt(("MUG", 2)))
    assert [play.status(number) for number in (3, 1, 2)] == [Status.HELD, Status.HELD, Status.WAITING]


def test_the_newest_hold_breaks_first_whatever_its_id_says() -> None:
    play = Play(some_shelves({"BER": {"MUG": 2}}))
    play(placed(9), sold(1))
    play(a_count(("MUG", 1)))
    assert [play.status(number) for number in (9, 1)] == [Status.HELD, Status.WAITING]


def test_an_order_that_is_too_large_does_not_stop_the_line() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(sold(1, 5), sold(2, 1))
    play(a_receipt(("MUG", 2)))
    assert [play.status(number) for number in (1, 2)] == [Status.WAITING, Status.HELD]


def test_an_order_that_ended_leaves_the_line() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(sold(1), sold(2))
    assert play.told(cancelled(1)) == [ReservationReleased(order_id=order_id(1))]
    play(a_receipt(("MUG", 1)))
    assert play.status(2) is Status.HELD


def test_an_order_that_was_confirmed_while_it_waits_is_held_for_good() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(sold(1), a_count(("MUG", 0)))
    assert play.told(confirmed(1, MUG)) == [
        StockRefused(order_id=order_id(1), short=(Shortfall(sku="MUG", requested=1, available=0),), waiting=True)
    ]
    assert play.told(a_receipt(("MUG", 1))) == [
        StockReserved(order_id=order_id(1), allocations=(MUG,), expires_at=NEVER),
        ReservationCommitted(order_id=order_id(1)),
    ]
    assert play.status(1) is Status.COMMITTED


def test_a_broken_sold_order_is_reserved_again_elsewhere_in_the_same_decision() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}, "NJ": {"MUG": 1}}))
    play(sold(1))
    assert [type(event) for event in play.told(a_count(("MUG", 0)))] == [ReservationBroken, StockReserved]
    assert play.level("MUG", "NJ") == (1, 1)


def test_a_longer_line_than_was_loaded_is_served_on() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play.shelves.queues["MUG"] = order_id(7)
    assert Deadline("waiting.retry", f"{order_id(7)}/MUG", a_moment(1).decided_at) in play(a_receipt(("MUG", 1)))


def test_a_freed_sku_whose_line_was_not_looked_at_is_looked_at_later() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    del play.shelves.queues["MUG"]
    assert Deadline("waiting.retry", "/MUG", a_moment(1).decided_at) in play(a_receipt(("MUG", 1)))


def test_nobody_is_looked_for_when_nothing_is_left() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(sold(1))
    play.shelves.queues["MUG"] = order_id(7)
    assert not [effect for effect in play(a_receipt(("MUG", 1))) if isinstance(effect, Deadline)]


def test_a_retry_serves_the_orders_that_were_loaded_for_it() -> None:
    play = Play(some_shelves({"BER": {"A/B": 1}}))
    play(placed(1, {"A/B": 2}, refusable=False))
    play.shelves.item("A/B").level("BER").move(on_hand=1, reserved=0)
    told = play.told(Due("waiting.retry", f"{order_id(0)}/A/B"))
    assert told == [StockReserved(order_id=order_id(1), allocations=(allocated("A/B", 2),), expires_at=NEVER)]
