"""State is kept per attempt: old news, doubled charges and requests that are still under way harm nothing."""

from datetime import timedelta

import pytest

from services.payments.domain.charge import RANK, ChargeStatus
from services.payments.domain.moves import UNDER_WAY, hear, hear_absence
from services.payments.domain.payment import State
from services.payments.domain.refund import RefundState
from shared.contracts.payments import PaymentCaptured, RefundRequested
from shared.effects import Answered, Call
from shared.ids import derive_id
from shared.money import Money
from tests.builders.payments import (
    NOON,
    ORDER,
    PAYMENT,
    TOTAL,
    ToyProvider,
    World,
    a_cancellation,
    a_charge,
    a_payment,
    a_payment_request,
    an_attempt,
)
from tests.unit.payments.test_refunds import a_paid_world, a_wish


@pytest.mark.parametrize("known", list(ChargeStatus))
@pytest.mark.parametrize("heard", list(ChargeStatus))
def test_older_news_never_undoes_newer(known: ChargeStatus, heard: ChargeStatus) -> None:
    attempt = an_attempt(known)
    attempt.learn(a_charge(heard), NOON)
    assert RANK[attempt.status] == max(RANK[known], RANK[heard])


def test_a_promise_is_renewed_a_day_before_its_end_or_after_three_quarters_of_a_short_life() -> None:
    long = an_attempt(authorised_at=NOON, expires_at=NOON + timedelta(days=7))
    short = an_attempt(authorised_at=NOON, expires_at=NOON + timedelta(minutes=4))
    assert (long.renew_at(), short.renew_at()) == (NOON + timedelta(days=6), NOON + timedelta(minutes=3))


def a_payment_that_was_charged_anew() -> tuple[Money, list[object]]:
    """The first attempt was superseded, and now turns out to be captured as well as the second."""
    first = an_attempt(ChargeStatus.EXPIRED, superseded=True)
    second = an_attempt(
        ChargeStatus.CAPTURED, id=derive_id("pay", PAYMENT, "2"), number=2, captured=TOTAL, charge_id="ch_2"
    )
    payment = a_payment(State.CAPTURED, attempts=[first, second])
    effects = hear(payment, first, a_charge(ChargeStatus.CAPTURED), NOON)
    effects += hear(payment, first, a_charge(ChargeStatus.CAPTURED), NOON)
    (refund,) = payment.refunds
    assert (refund.attempt, refund.reason, payment.captured) == (first.id, "charged_twice", TOTAL)
    assert len(payment.postings) == 2  # taken, and promised back
    return refund.amount, list(effects)


def test_a_superseded_charge_that_took_money_gives_it_back_once() -> None:
    amount, effects = a_payment_that_was_charged_anew()
    assert amount == TOTAL
    assert [effect.kind for effect in effects if isinstance(effect, Call)] == ["provider.refund"]
    assert len([effect for effect in effects if isinstance(effect, RefundRequested)]) == 1
    assert not [effect for effect in effects if isinstance(effect, PaymentCaptured)]


def test_a_superseded_promise_is_given_back() -> None:
    old = an_attempt(ChargeStatus.ASKED, superseded=True)
    payment = a_payment(State.AUTHORISED, attempts=[old, an_attempt(id=derive_id("pay", PAYMENT, "2"), number=2)])
    effects = hear(payment, old, a_charge(), NOON)
    assert [effect.kind for effect in effects if isinstance(effect, Call)] == ["provider.void"]


def test_a_request_that_was_just_sent_again_is_not_taken_for_lost() -> None:
    world = World(ToyProvider(lost={"provider.authorise"}))
    world.hear(a_payment_request())
    world.now += UNDER_WAY  # the first request is long gone when it is sent again
    world.answer(next(iter(world.calls)))
    world.answer(next(iter(world.calls)))
    attempt = world.payment().current
    assert attempt.asked_at >= NOON + UNDER_WAY
    world.hear(a_cancellation())
    effects = hear_absence(world.payment(), attempt, world.now)
    assert (world.payment().state, [effect.kind for effect in effects if isinstance(effect, Call)]) == (
        State.CANCELLING,
        ["provider.look_up"],
    )


def test_an_old_answer_about_a_refund_does_not_send_it_again() -> None:
    world = a_paid_world(provider=ToyProvider(silent={"provider.refund"}))
    world.hear(a_wish(Money(500, "EUR")))
    (first,) = world.calls.values()
    world.answer(first.id)  # unknown: a look-up follows
    stale = Answered(first.id, first.kind, ORDER, first.request, world.provider.answer(_a_look_up(), NOON))
    world.provider.charges[PAYMENT] = a_charge(ChargeStatus.CAPTURED, id=f"ch_{PAYMENT}")  # as it was before the refund
    stale_absence = Answered(first.id, first.kind, ORDER, first.request, world.provider.answer(_a_look_up(), NOON))
    before = dict(world.calls)
    world.hear(stale_absence)
    assert world.calls == before
    world.hear(stale)
    assert world.payment().refunds[0].state is RefundState.SUCCEEDED


def _a_look_up() -> Call:
    return Call("cal_x", "provider.look_up_refund", ORDER, {"key": PAYMENT})
