"""The table of moves is total, and no pair in it ends in an accident."""

from datetime import timedelta

import pytest

from services.payments.domain.charge import ChargeStatus
from services.payments.domain.moves import TABLE, News, Scene, take
from services.payments.domain.payment import State
from services.payments.domain.refund import REFUND_TABLE, RefundNews, RefundState
from shared.contracts.payments import PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided
from shared.effects import Call
from tests.builders.payments import NOON, a_charge, a_payment

HEARD_WITH_A_CHARGE = {
    News.ACTION: ChargeStatus.REQUIRES_ACTION,
    News.ACTION_OVERDUE: ChargeStatus.REQUIRES_ACTION,
    News.AUTHORISED: ChargeStatus.AUTHORISED,
    News.CAPTURED: ChargeStatus.CAPTURED,
    News.DECLINED: ChargeStatus.DECLINED,
    News.VOIDED: ChargeStatus.VOIDED,
    News.EXPIRED: ChargeStatus.EXPIRED,
    News.CONFLICT: ChargeStatus.AUTHORISED,
}
PAIRS = [(state, news) for state in State for news in News]
FORGETS_WHAT_WAS_TAKEN = {State.VOIDED, State.DECLINED}


def a_scene(news: News) -> Scene:
    status = HEARD_WITH_A_CHARGE.get(news)
    return Scene(now=NOON, charge=None if status is None else a_charge(status))


def test_every_state_answers_every_piece_of_news() -> None:
    assert set(TABLE) == set(State)
    assert all(set(row) == set(News) for row in TABLE.values())


def test_every_refund_state_answers_every_piece_of_news() -> None:
    assert set(REFUND_TABLE) == set(RefundState)
    assert all(set(row) == set(RefundNews) for row in REFUND_TABLE.values())


@pytest.mark.parametrize(("state", "news"), PAIRS)
def test_no_pair_ends_in_an_accident(state: State, news: News) -> None:
    payment = a_payment(state)
    take(payment, news, a_scene(news))
    assert payment.state in State
    assert sum(entry.amount.amount for posting in payment.postings for entry in posting.entries) == 0


@pytest.mark.parametrize(("state", "news"), PAIRS)
def test_what_was_captured_is_never_called_declined_or_voided(state: State, news: News) -> None:
    payment = a_payment(state)
    effects = take(payment, news, a_scene(news))
    if payment.current.captured is not None:
        assert payment.state not in FORGETS_WHAT_WAS_TAKEN
        assert not [effect for effect in effects if isinstance(effect, PaymentDeclined | PaymentVoided)]


@pytest.mark.parametrize("state", list(State))
def test_a_capture_that_is_heard_anywhere_is_booked_or_looked_at(state: State) -> None:
    payment = a_payment(state)
    take(payment, News.CAPTURED, a_scene(News.CAPTURED))
    assert payment.current.captured is not None or payment.state is State.CONFLICTED


@pytest.mark.parametrize("state", [State.CANCELLING, State.VOIDING, State.VOIDED, State.DECLINED])
def test_money_that_comes_after_the_end_goes_back(state: State) -> None:
    payment = a_payment(state)
    effects = take(payment, News.CAPTURED, a_scene(News.CAPTURED))
    assert [effect.kind for effect in effects if isinstance(effect, Call)] == ["provider.refund"]
    assert payment.refundable(payment.current).amount == 0


@pytest.mark.parametrize("state", [State.CANCELLING, State.VOIDING, State.VOIDED, State.DECLINED])
def test_a_promise_that_comes_after_the_end_is_given_back(state: State) -> None:
    payment = a_payment(state)
    effects = take(payment, News.AUTHORISED, a_scene(News.AUTHORISED))
    assert [effect.kind for effect in effects if isinstance(effect, Call)] == ["provider.void"]
    assert not [effect for effect in effects if isinstance(effect, PaymentAuthorised | PaymentCaptured)]


@pytest.mark.parametrize("state", [State.AUTHORISING, State.ACTION_REQUIRED, State.AUTHORISED, State.CAPTURING])
def test_another_amount_than_was_asked_is_held_for_a_person(state: State) -> None:
    payment = a_payment(state)
    effects = take(payment, News.CONFLICT, a_scene(News.CONFLICT))
    assert (payment.state, payment.attention) == (State.CONFLICTED, "payment.conflicted")
    assert not [effect for effect in effects if isinstance(effect, PaymentAuthorised | PaymentCaptured)]


@pytest.mark.parametrize("state", list(State))
def test_silence_is_always_followed_by_a_question(state: State) -> None:
    effects = take(a_payment(state), News.NO_ANSWER, Scene(now=NOON))
    (question,) = [effect for effect in effects if isinstance(effect, Call)]
    assert question.kind == "provider.look_up"
    assert question.not_before is not None
    assert question.not_before >= NOON + timedelta(seconds=1)
