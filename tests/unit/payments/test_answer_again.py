"""Orders asks again: payments tells where the money is once more. Nothing is charged, booked or given back twice."""

from typing import Any

import pytest

from services.payments.domain.payment import State
from shared.contracts.orders import AnswerAwaited, PaymentRequested
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
)
from shared.contracts.registry import Event
from shared.contracts.values import PaymentMethod, PaymentMode
from tests.builders.orders import an_announcement
from tests.builders.payments import (
    NOON,
    ORDER,
    ToyProvider,
    World,
    a_cancellation,
    a_payment,
    a_payment_request,
)


def asked(*whom: str, request: PaymentRequested | None = None) -> AnswerAwaited:
    return AnswerAwaited(
        order_id=ORDER,
        matter="payment",
        whom=whom or ("payments",),
        placed=an_announcement(ORDER),
        payment=request or a_payment_request(),
    )


def again(world: World) -> list[Event]:
    """What the question is answered with."""
    told = len(world.events)
    world.hear(asked())
    return world.events[told:]


def test_a_question_to_others_is_not_answered() -> None:
    world = World()
    world.hear(asked("risk"))
    assert (world.events, world.calls) == ([], {})


def test_a_request_that_was_never_heard_is_heard_now_and_charged_once() -> None:
    world = World()
    world.hear(asked())
    world.settle()
    world.hear(asked(), a_payment_request())
    world.settle()
    assert world.names == ["authorised", "authorised"]
    assert len(world.provider.charges) == 1


def test_what_a_channel_collected_and_nobody_told_is_booked_once() -> None:
    request = a_payment_request(mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL, token="")
    world = World()
    world.hear(asked(request=request), asked(request=request))
    assert world.names == ["authorised", "captured", "authorised", "captured"]
    assert len(world.payment().postings) == 1


def test_an_unknown_outcome_is_looked_up_at_once() -> None:
    world = World(ToyProvider(silent={"provider.authorise"}))
    world.hear(a_payment_request())
    first = next(iter(world.calls))
    world.answer(first)
    (told,) = again(world)
    assert isinstance(told, PaymentOutcomeUnknown)
    assert told.operation == "authorise"
    soon = [call for call in world.calls.values() if call.kind == "provider.look_up" and call.not_before is None]
    assert len(soon) == 1
    world.settle()
    assert (world.names[-1], len(world.provider.charges)) == ("authorised", 1)


def test_a_request_that_is_under_way_is_unknown_and_not_made_twice() -> None:
    world = World()
    world.hear(a_payment_request())
    assert [type(event) for event in again(world)] == [PaymentOutcomeUnknown]
    world.settle()
    assert (world.names, len(world.provider.charges)) == (["outcome_unknown", "authorised"], 1)


STATES: dict[State, list[type[Event]]] = {
    State.AUTHORISING: [PaymentOutcomeUnknown],
    State.ACTION_REQUIRED: [PaymentActionRequired],
    State.AUTHORISED: [PaymentAuthorised],
    State.RENEWING: [PaymentAuthorised],
    State.CAPTURING: [PaymentAuthorised],
    State.CAPTURED: [PaymentAuthorised, PaymentCaptured],
    State.CANCELLING: [PaymentOutcomeUnknown],
    State.ABANDONING: [PaymentOutcomeUnknown],
    State.VOIDING: [PaymentOutcomeUnknown],
    State.VOIDED: [PaymentVoided],
    State.DECLINED: [PaymentDeclined],
    State.LAPSED: [PaymentOutcomeUnknown],
    State.CONFLICTED: [PaymentOutcomeUnknown],
}


def test_every_state_has_its_answer() -> None:
    assert set(STATES) == set(State)


@pytest.mark.parametrize("state", State)
def test_the_present_state_is_told_and_kept(state: State) -> None:
    acts: dict[str, Any] = (
        {"action_url": "http://bank.test/1", "action_expires_at": NOON} if state is State.ACTION_REQUIRED else {}
    )
    world = World()
    world.books.payments[ORDER] = a_payment(state, **acts)
    assert [type(event) for event in again(world)] == STATES[state]
    assert world.payment().state is state
    assert world.payment().postings == []
    assert {call.kind for call in world.calls.values()} <= {"provider.look_up"}


def test_what_only_a_person_can_settle_is_told_again_with_its_reason() -> None:
    world = World(ToyProvider(adds=1))
    world.hear(a_payment_request())
    world.settle()
    (told,) = again(world)
    assert isinstance(told, PaymentOutcomeUnknown)
    assert told.attention is not None
    assert told.attention.code == "payment.conflicted"


def test_a_reason_that_is_about_something_else_is_not_told_as_the_payments() -> None:
    world = World()
    world.books.payments[ORDER] = a_payment(State.AUTHORISED, told="capture", attention="refund.exceeds_captured")
    told = again(world)
    assert isinstance(told[-1], PaymentOutcomeUnknown)
    assert told[-1].attention is None


def test_another_card_is_told_again_as_another_card() -> None:
    world = World()
    world.hear(a_payment_request(card_fingerprint="fpr_announced"))
    world.settle()
    (told,) = again(world)
    assert isinstance(told, PaymentAuthorised)
    assert (told.card_matches, told.card_fingerprint) == (False, "fpr_ok")


def test_an_order_that_was_cancelled_is_told_that_its_promise_went_back() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.hear(a_cancellation())
    world.settle()
    assert [type(event) for event in again(world)] == [PaymentVoided]
