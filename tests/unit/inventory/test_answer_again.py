"""Orders asks again: inventory tells its present answer once more, or decides what it never heard of."""

from dataclasses import replace

from services.inventory.domain.reservation import NEVER, Status
from services.inventory.footprint import footprint_of
from shared.contracts.inventory import ReservationCommitted, StockConsumed, StockRefused, StockReserved
from shared.contracts.orders import AnswerAwaited, OrderConfirmed
from shared.contracts.values import Shortfall
from shared.effects import Deadline
from shared.messaging.message import Message
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
    some_shelves,
)

MUG = allocated("MUG", 1)
SHORT = (Shortfall(sku="MUG", requested=1, available=0),)


def asked(*whom: str, confirmation: OrderConfirmed | None = None, refusable: bool = True) -> AnswerAwaited:
    return AnswerAwaited(
        order_id=order_id(1),
        matter="agreement",
        whom=whom or ("inventory",),
        placed=placed(1, refusable=refusable),
        confirmed=confirmation,
    )


def test_a_question_to_others_is_not_answered() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    assert play(asked("risk", "logistics")) == []
    assert play.shelves.reservations == {}


def test_an_order_that_was_never_heard_of_is_reserved_now() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    effects = play(asked())
    assert StockReserved in [type(effect) for effect in effects]
    assert Deadline in [type(effect) for effect in effects]
    assert play.level() == (1, 1)


def test_a_hold_is_told_again_and_no_unit_is_held_twice() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    first = play.told(placed(1))
    assert play(asked()) == first
    assert play.level() == (5, 1)


def test_a_refusal_is_told_again_with_what_is_short_now() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(placed(1))
    assert play(asked()) == [StockRefused(order_id=order_id(1), short=SHORT)]
    assert play.status() is Status.REFUSED


def test_a_refusal_stays_one_though_stock_has_come() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(placed(1), a_receipt(("MUG", 3)))
    assert play(asked()) == [StockRefused(order_id=order_id(1), short=())]
    assert play.level() == (3, 0)


def test_who_waits_is_told_to_wait_still() -> None:
    play = Play(some_shelves({"BER": {"MUG": 0}}))
    play(placed(1, refusable=False))
    assert play(asked(refusable=False)) == [StockRefused(order_id=order_id(1), short=SHORT, waiting=True)]


def test_what_expired_meanwhile_is_reserved_again_because_the_order_wants_it_still() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), expiry_of(1))
    assert [type(event) for event in play.told(asked())] == [StockReserved]
    assert play.level() == (1, 1)


def test_what_expired_and_was_sold_meanwhile_is_refused() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), expiry_of(1), placed(2))
    assert play.told(asked()) == [StockRefused(order_id=order_id(1), short=SHORT)]


def test_a_confirmation_that_was_never_heard_is_heard_now() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), expiry_of(1))
    told = play.told(asked(confirmation=confirmed(1, MUG)))
    assert [type(event) for event in told] == [StockReserved, ReservationCommitted]
    assert play.status() is Status.COMMITTED


def test_an_order_and_its_confirmation_that_were_never_heard_of_are_one_commitment() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    told = play.told(asked(confirmation=confirmed(1, MUG)))
    assert [type(event) for event in told] == [StockReserved, ReservationCommitted]
    assert play.level() == (1, 1)


def test_a_commitment_is_told_again_with_its_plan() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), confirmed(1, MUG))
    assert play(asked(confirmation=confirmed(1, MUG))) == [
        StockReserved(order_id=order_id(1), allocations=(MUG,), expires_at=NEVER),
        ReservationCommitted(order_id=order_id(1)),
    ]


def test_goods_that_left_are_told_again() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), confirmed(1, MUG), dispatched(1, MUG))
    assert play(asked()) == [StockConsumed(order_id=order_id(1), allocations=(MUG,))]


def test_a_confirmed_order_whose_stock_was_counted_away_is_refused_again() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), a_count(("MUG", 0)), confirmed(1, MUG))
    assert play(asked(confirmation=confirmed(1, MUG))) == [StockRefused(order_id=order_id(1), short=SHORT)]


def test_an_order_that_has_ended_gets_nothing_back() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    play(placed(1), cancelled(1))
    play(asked())
    assert (play.level(), play.status()) == ((1, 0), Status.RELEASED)


def test_the_same_question_twice_has_the_same_answer() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}))
    assert play.told(asked()) == play.told(asked())


def test_a_question_brings_the_skus_of_the_placing_and_of_the_confirmation() -> None:
    def skus(question: AnswerAwaited) -> set[str]:
        return footprint_of([Message(body=question, moment=a_moment())]).skus

    question = asked(confirmation=confirmed(1, allocated("CAP", 1)))
    assert skus(question) == {"MUG", "CAP"}
    assert skus(replace(question, whom=("risk",))) == set()
