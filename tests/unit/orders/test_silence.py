"""A silent participant leads to a question, then to compensation where that is safe, at last to a person; never to a guess."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr, ValidationError

from services.inventory.domain import reservation as inventory
from services.orders.domain.order import SILENCE, Order
from services.orders.domain.patience import Patience
from services.orders.domain.standing import Status
from services.orders.settings import Settings
from services.orders.usecases.lose_patience import lose_patience
from shared.contracts.orders import (
    AnswerAwaited,
    HoldCleared,
    HoldPlaced,
    OrderCancellationRequested,
    OrderConfirmed,
    OrderRejected,
    PaymentRequested,
)
from shared.contracts.registry import Event
from shared.contracts.risk import ReviewCause
from shared.effects import Deadline, Due, Effect, Forget
from tests.builders import orders as b
from tests.unit.orders.world import events_of

PATIENCE = Patience()
ASKED_AT = b.NOON + PATIENCE.ask
PAYMENT_ASKED_AT = b.NOON + PATIENCE.payment_ask


def told(*messages: Event, order: Order | None = None, at: datetime = b.NOON) -> Order:
    order = order or b.an_order()
    for message in messages:
        order.hear(message, at)
    return order


def silence(order: Order, at: datetime | None = None) -> list[Effect]:
    """The order's deadline comes."""
    return order.lose_patience(at or order.patient_until or b.NOON, b.an_announcement())


def asked_by(effects: list[Effect]) -> AnswerAwaited:
    (asked,) = [effect for effect in effects if isinstance(effect, AnswerAwaited)]
    return asked


# ── The question ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_silent_is_asked_again_with_all_that_deciding_needs() -> None:
    order = told(b.approved())
    effects = silence(order, ASKED_AT)
    asked = asked_by(effects)
    assert (asked.matter, asked.whom) == ("agreement", ("inventory", "logistics"))
    assert asked.placed == b.an_announcement()
    assert (asked.payment, asked.confirmed, asked.cancellation) == (None, None, None)
    assert Deadline(SILENCE, b.ORDER, ASKED_AT + PATIENCE.give_up) in effects
    assert order.holds == {}, "nobody is bothered before the second deadline"


def test_payments_is_told_again_what_it_was_asked_for() -> None:
    order = b.an_order()
    (requested,) = [
        event
        for message in (b.reserved(), b.approved(), b.cleared())
        for event in events_of(order.hear(message, b.NOON))
        if isinstance(event, PaymentRequested)
    ]
    assert silence(order, ASKED_AT) == [], "the provider has minutes of its own"
    effects = silence(order, PAYMENT_ASKED_AT)
    asked = asked_by(effects)
    assert (asked.matter, asked.whom, asked.payment) == ("payment", ("payments",), requested)
    assert Deadline(SILENCE, b.ORDER, PAYMENT_ASKED_AT + PATIENCE.payment_alarm) in effects


def test_inventory_is_told_again_of_the_confirmation() -> None:
    order = told(b.reserved(), b.expired(), b.approved(), b.cleared(), b.authorised())
    asked = asked_by(silence(order))
    assert (asked.matter, asked.whom) == ("reservation", ("inventory",))
    assert asked.confirmed == OrderConfirmed(order_id=b.ORDER, allocations=b.PLAN)


def test_logistics_is_told_again_of_the_wish_to_cancel() -> None:
    order = b.a_confirmed_order()
    order.cancel("changed_mind", "buyer", b.NOON)
    asked = asked_by(silence(order))
    assert (asked.matter, asked.whom) == ("cancellation", ("logistics",))
    assert asked.cancellation == OrderCancellationRequested(
        order_id=b.ORDER, reason="changed_mind", requested_by="buyer"
    )
    assert asked.confirmed is not None


def test_nobody_is_asked_before_its_time_or_when_the_answer_has_come() -> None:
    order = b.an_order()
    assert silence(order, ASKED_AT - timedelta(seconds=1)) == []
    answered = told(b.reserved(), b.approved(), b.cleared(), b.authorised())
    assert answered.lose_patience(PAYMENT_ASKED_AT, b.an_announcement()) == []


def test_an_answer_to_the_question_lets_the_order_go_on_as_if_nothing_had_been() -> None:
    order = told(b.approved(), b.cleared())
    silence(order)
    assert [type(event) for event in events_of(order.hear(b.reserved(), ASKED_AT))] == [PaymentRequested]
    assert (order.awaits, order.facts.asked) == ("payment", frozenset())


def test_the_same_deadline_twice_asks_once() -> None:
    order = b.an_order()
    silence(order, ASKED_AT)
    assert silence(order, ASKED_AT) == []


def test_a_new_matter_has_a_patience_of_its_own() -> None:
    order = told(b.approved(), b.cleared())
    silence(order)
    order.hear(b.reserved(), ASKED_AT)
    assert order.patient_until == ASKED_AT + PATIENCE.payment_ask
    assert asked_by(silence(order)).matter == "payment"


# ── What follows when the silence stays ───────────────────────────────────────────────────────────────────────────────


def test_a_storefronts_order_that_nobody_agreed_to_is_rejected_with_who_was_silent() -> None:
    order = told(b.reserved())
    silence(order)
    (rejected,) = events_of(silence(order))
    assert isinstance(rejected, OrderRejected)
    assert [(reason.code, reason.subject) for reason in rejected.reasons] == [
        ("logistics.silent", "logistics"),
        ("risk.silent", "risk"),
    ]
    assert order.status is Status.REJECTED


def test_nobody_is_given_up_on_after_the_hold_on_the_stock_has_ended() -> None:
    assert PATIENCE.ask + PATIENCE.give_up < inventory.HOLD


def test_an_order_whose_card_nobody_looked_at_is_rejected_and_its_promise_given_back() -> None:
    order = told(b.reserved(), b.approved(), b.cleared(), b.authorised(card_matches=False))
    assert asked_by(silence(order)).matter == "card"
    (rejected,) = events_of(silence(order))
    assert isinstance(rejected, OrderRejected), "payments voids what it had authorised"
    assert [reason.code for reason in rejected.reasons] == ["risk.silent"]


def an_unanswered_payment() -> Order:
    return told(b.reserved(), b.approved(), b.cleared())


def an_unknown_payment() -> Order:
    return told(b.reserved(), b.approved(), b.cleared(), b.unknown())


def a_doubted_promise() -> Order:
    doubt = b.unknown(attention="payment.conflicted")
    return told(b.reserved(), b.approved(), b.cleared(), b.authorised(card_matches=False), doubt)


def a_sold_order() -> Order:
    return b.a_sold_order()


def a_sold_order_that_is_to_end() -> Order:
    return told(b.prohibited(), order=b.a_sold_order())


def an_expired_reservation() -> Order:
    return told(b.reserved(), b.expired(), b.approved(), b.cleared(), b.authorised())


def an_unanswered_cancellation() -> Order:
    order = b.a_confirmed_order()
    order.cancel("changed_mind", "buyer", b.NOON)
    return order


UNSAFE: dict[str, tuple[Callable[[], Order], set[str]]] = {
    "payments has not answered": (an_unanswered_payment, {"payments.silent"}),
    "the outcome of the payment is unknown": (an_unknown_payment, {"payments.silent"}),
    "another card, and its charge in doubt": (a_doubted_promise, {"risk.silent", "payment.conflicted"}),
    "a channel has sold it": (a_sold_order, {"inventory.silent", "logistics.silent", "risk.silent"}),
    "a channel's money is not booked": (a_sold_order_that_is_to_end, {"payments.silent"}),
    "confirmed, and its stock is gone": (an_expired_reservation, {"inventory.silent"}),
    "logistics has not said whether it may be cancelled": (an_unanswered_cancellation, {"logistics.silent"}),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_what_cannot_be_undone_safely_waits_for_a_person(case: str) -> None:
    make, reasons = UNSAFE[case]
    order = make()
    status = order.status
    asked_by(silence(order))
    held = [event for event in events_of(silence(order)) if isinstance(event, HoldPlaced)]
    assert [hold.code for hold in held] == ["needs_attention"]
    assert {reason.code for reason in held[0].reasons} == reasons
    assert order.status is status, "silence is neither a yes nor a no"
    assert silence(order) == [], "told once"


def test_the_late_answer_clears_the_alarm_and_the_order_goes_on() -> None:
    order = told(b.approved(), b.cleared(), order=b.a_sold_order())
    silence(order)
    silence(order)
    names = [type(event) for event in events_of(order.hear(b.reserved(), ASKED_AT))]
    assert names == [HoldCleared, PaymentRequested]
    assert order.holds == {}


def test_a_part_of_the_answers_leaves_the_rest_in_the_alarm() -> None:
    order = told(b.cleared(), order=b.a_sold_order())
    silence(order)
    silence(order)
    order.hear(b.approved(), ASKED_AT)
    assert [reason.code for reason in order.holds["needs_attention"].reasons] == ["inventory.silent"]


def test_answers_that_come_after_the_rejection_change_nothing() -> None:
    order = told(b.approved(), b.cleared())
    silence(order)
    silence(order)
    for message in (b.reserved(), b.authorised(), b.captured(), b.held()):
        assert events_of(order.hear(message, ASKED_AT)) == []
    assert order.status is Status.REJECTED


def test_who_waits_for_nobody_forgets_its_deadline() -> None:
    order = told(b.reserved(), b.approved(), b.cleared())
    assert Forget(SILENCE, b.ORDER) in order.hear(b.authorised(), b.NOON)


def test_a_persons_review_has_its_deadline_elsewhere() -> None:
    order = told(b.reserved(), b.cleared(), b.review_opened())
    assert order.patient_until is None
    assert order.lose_patience(b.NOON + timedelta(days=1), b.an_announcement()) == []
    card = told(b.reserved(), b.approved(), b.cleared(), b.authorised(card_matches=False))
    card.hear(b.review_opened(cause=ReviewCause.CARD_MISMATCH), b.NOON)
    assert card.patient_until is None


def test_patience_can_be_shortened() -> None:
    second = timedelta(seconds=1)
    order = b.an_order(patience=replace(PATIENCE, ask=second, give_up=second), awaits="", patient_until=None)
    assert Deadline(SILENCE, b.ORDER, b.NOON + second) in order.advance(b.NOON)
    effects = silence(order)
    assert Deadline(SILENCE, b.ORDER, b.NOON + 2 * second) in effects
    assert isinstance(events_of(silence(order))[0], OrderRejected)


@pytest.mark.parametrize("value", ["2m", "0", "-1", "nan", "700000"])
def test_a_patience_that_is_no_time_ends_the_start_and_not_the_first_message(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FREEPORT_ORDERS_PAYMENT_ASK_AFTER_S", value)
    with pytest.raises(ValidationError, match="orders_payment_ask_after_s"):
        Settings(database_url=SecretStr("postgresql://"), pii_hash_key=SecretStr("k" * 32))


# ── The use case ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_stage_is_counted_once() -> None:
    order = b.a_sold_order()
    book = b.a_book(orders=[order])
    book.announced[b.ORDER] = b.an_announcement()
    for _ in range(2):
        at = order.patient_until or b.NOON
        for _ in range(2):  # deadlines come at least once
            lose_patience(Due(SILENCE, b.ORDER), book, b.a_moment(at=at))
    assert book.escalations == [("agreement", "asked"), ("agreement", "alarmed")]


def test_an_order_whose_announcement_is_nowhere_is_not_asked_about_in_vain() -> None:
    book = b.a_book(orders=[b.an_order()])
    with pytest.raises(LookupError, match="announced"):
        lose_patience(Due(SILENCE, b.ORDER), book, b.a_moment(at=ASKED_AT))
