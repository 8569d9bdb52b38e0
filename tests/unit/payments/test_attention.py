"""What a person must look at is told at once, with the reason, by the event that others hear."""

from datetime import timedelta

import pytest

from services.payments.domain.books import Books
from services.payments.domain.charge import ChargeStatus
from services.payments.domain.moves import News, Scene, take
from services.payments.domain.payment import Payment, State
from shared.contracts.payments import PaymentOutcomeUnknown
from shared.contracts.values import Reason
from shared.effects import Effect
from shared.money import Money
from tests.builders.payments import NOON, ORDER, ToyProvider, World, a_cancellation, a_charge, a_payment_request
from tests.unit.payments.test_moves_table import PAIRS, a_payment, a_scene


def alarms(effects: list[Effect]) -> list[PaymentOutcomeUnknown]:
    return [effect for effect in effects if isinstance(effect, PaymentOutcomeUnknown) and effect.attention is not None]


def reason_of(alarm: PaymentOutcomeUnknown) -> Reason:
    assert alarm.attention is not None
    return alarm.attention


def heard(world: World) -> list[str]:
    """The codes of the attention that others heard of."""
    return [reason_of(alarm).code for alarm in alarms([*world.events])]


@pytest.mark.parametrize(("state", "news"), PAIRS)
def test_whatever_needs_a_person_is_told_in_the_same_decision(state: State, news: News) -> None:
    payment = a_payment(state)
    effects = take(payment, news, a_scene(news))
    told = [reason_of(alarm).code for alarm in alarms(effects)]
    assert told == ([payment.attention] if payment.attention else [])


@pytest.mark.parametrize(("state", "news"), PAIRS)
def test_what_was_told_is_not_told_again_while_it_is_so(state: State, news: News) -> None:
    payment = a_payment(state)
    first = alarms(take(payment, news, a_scene(news)))
    again = alarms(take(payment, news, a_scene(news)))
    assert not {reason_of(alarm).code for alarm in first} & {reason_of(alarm).code for alarm in again}


def test_a_conflict_says_what_was_charged_and_what_was_asked() -> None:
    payment = a_payment(State.AUTHORISING)
    other = a_charge(ChargeStatus.AUTHORISED, Money(1099, "EUR"))
    (alarm,) = alarms(take(payment, News.CONFLICT, Scene(now=NOON, charge=other)))
    reason = reason_of(alarm)
    assert (alarm.operation, reason.code, reason.subject) == ("authorise", "payment.conflicted", payment.payment_id)
    assert "10.99 EUR" in reason.message
    assert "12.99 EUR" in reason.message
    assert "cancel" in reason.clears_with


def test_a_conflict_that_follows_a_silence_is_told_all_the_same() -> None:
    # The outcome was unknown already; what it turned out to be must not wait for somebody's patience to end.
    world = World(ToyProvider(silent={"provider.authorise"}, adds=-200))
    world.hear(a_payment_request())
    world.settle()
    assert world.names == ["outcome_unknown", "outcome_unknown"]
    assert heard(world) == ["payment.conflicted"]


def test_a_promise_that_lapses_after_the_confirmation_is_told_at_once() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.provider.expire(next(iter(world.provider.charges)))
    world.provider.declines = True
    for _ in range(3):
        world.come_due()
        world.settle()
    assert world.payment().state is State.LAPSED
    assert heard(world)[-1] == "payment.promise_lost"


def test_goods_that_left_unpaid_are_told() -> None:
    world = World(books=Books({ORDER: a_payment(State.VOIDED)}))
    effects = take(world.payment(), News.CAPTURE_DUE, Scene(now=NOON + timedelta(hours=1)))
    assert [reason_of(alarm).code for alarm in alarms(effects)] == ["payment.dispatched_unpaid"]


def test_what_ends_a_payment_ends_what_a_person_had_to_look_at() -> None:
    world = World(ToyProvider(adds=-200))
    world.hear(a_payment_request())
    world.settle()
    assert world.payment().attention == "payment.conflicted"
    world.hear(a_cancellation())
    world.settle()
    assert (world.names[-1], world.payment().attention) == ("voided", "")


def test_every_reason_has_words_and_says_what_would_clear_it() -> None:
    seen: dict[str, Reason] = {}
    for state, news in PAIRS:
        payment: Payment = a_payment(state)
        for alarm in alarms(take(payment, news, a_scene(news))):
            seen[reason_of(alarm).code] = reason_of(alarm)
    assert seen.keys() == {
        "payment.conflicted",
        "payment.promise_lost",
        "payment.promise_expiring",
        "payment.capture_failed",
        "payment.dispatched_unpaid",
        "payment.charge_missing",
    }
    assert all(reason.message and reason.clears_with for reason in seen.values())
