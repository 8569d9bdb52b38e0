"""Orders asks again: logistics tells its present word once more, or decides what it never heard of."""

from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import State
from services.logistics.usecases.answer_again import answer_again
from services.logistics.usecases.cancel_shipment import end_shipment
from services.logistics.usecases.check_papers import check_papers
from services.logistics.usecases.prepare_shipment import prepare_shipment
from shared.contracts.logistics import (
    CancellationRefused,
    PapersCleared,
    PapersHeld,
    PapersProhibited,
    ShipmentCancelled,
)
from shared.contracts.orders import AnswerAwaited, OrderCancellationRequested, OrderCancelled, OrderConfirmed
from shared.effects import Call
from tests.builders.logistics import ORDER, a_desk, a_product, confirmed, now, placed

WISH = OrderCancellationRequested(order_id=ORDER, reason="changed_mind", requested_by="buyer")


def asked(
    *whom: str, confirmation: OrderConfirmed | None = None, wish: OrderCancellationRequested | None = None
) -> AnswerAwaited:
    matter = "cancellation" if wish else "agreement"
    return AnswerAwaited(
        order_id=ORDER,
        matter=matter,
        whom=whom or ("logistics",),
        placed=placed(),
        confirmed=confirmation,
        cancellation=wish,
    )


def a_heard_of(desk: Desk) -> Desk:
    check_papers(placed(), desk, now())
    return desk


def test_a_question_to_others_is_not_answered() -> None:
    desk = a_desk()
    assert answer_again(asked("risk"), desk, now()) == []
    assert desk.consignments == {}


def test_an_order_that_was_never_heard_of_is_judged_now() -> None:
    desk = a_desk()
    (told,) = answer_again(asked(), desk, now())
    assert isinstance(told, PapersCleared)
    assert desk.new == {ORDER}


def test_clear_papers_are_told_again() -> None:
    desk = a_heard_of(a_desk())
    (told,) = answer_again(asked(), desk, now())
    assert told == PapersCleared(order_id=ORDER, rulebook=desk.rulebook.version)


def test_what_is_missing_is_told_again_with_every_finding() -> None:
    desk = a_desk(a_product(hs_code=""))
    (first,) = check_papers(placed(), desk, now())
    assert isinstance(first, PapersHeld)
    assert answer_again(asked(), desk, now()) == [first]


def test_prohibited_goods_are_told_again() -> None:
    desk = a_heard_of(a_desk())
    papers = desk.consignments[ORDER].papers
    assert papers is not None
    desk.consignments[ORDER].papers = type(papers)(
        status=type(papers.status).PROHIBITED, findings=(), rulebook=papers.rulebook, assessed_at=papers.assessed_at
    )
    assert answer_again(asked(), desk, now()) == [
        PapersProhibited(order_id=ORDER, rulebook=papers.rulebook, findings=())
    ]


def test_a_confirmation_that_was_never_heard_begins_the_booking_once() -> None:
    desk = a_desk()
    effects = answer_again(asked(confirmation=confirmed()), desk, now())
    assert [type(effect) for effect in effects] == [PapersCleared, Call]
    assert desk.consignments[ORDER].state is State.ADDRESSING
    again = answer_again(asked(confirmation=confirmed()), desk, now())
    assert not any(isinstance(effect, Call) for effect in again)


def test_a_wish_to_cancel_that_was_never_heard_is_granted_now() -> None:
    desk = a_heard_of(a_desk())
    prepare_shipment(confirmed(), desk, now())
    told = answer_again(asked(confirmation=confirmed(), wish=WISH), desk, now())
    assert told == [ShipmentCancelled(order_id=ORDER)]
    assert answer_again(asked(confirmation=confirmed(), wish=WISH), desk, now()) == told, "and told again"


def test_a_parcel_that_is_with_the_carrier_is_refused_again() -> None:
    desk = a_heard_of(a_desk())
    desk.consignments[ORDER].state = State.DISPATCHED
    (told,) = answer_again(asked(confirmation=confirmed(), wish=WISH), desk, now())
    assert isinstance(told, CancellationRefused)


def test_labels_that_are_being_voided_are_answered_when_the_carrier_has_answered() -> None:
    desk = a_heard_of(a_desk())
    desk.consignments[ORDER].state = State.VOIDING
    assert answer_again(asked(confirmation=confirmed(), wish=WISH), desk, now()) == []


def test_an_order_that_has_ended_is_told_nothing_about_papers() -> None:
    desk = a_heard_of(a_desk())
    end_shipment(OrderCancelled(order_id=ORDER, reason="x", requested_by="buyer"), desk, now())
    assert answer_again(asked(), desk, now()) == []


def test_a_cancelled_order_that_was_never_heard_of_books_nothing() -> None:
    desk = a_desk()
    answer_again(asked(confirmation=confirmed(), wish=WISH), desk, now())
    assert desk.consignments[ORDER].state is State.CANCELLED, "heard of and cancelled in one question"
