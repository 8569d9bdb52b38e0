"""What keeps an order, who is waited for, and how both end."""

from datetime import timedelta

from services.orders.domain.order import SILENCE
from services.orders.domain.patience import ANSWER, PAYMENT
from services.orders.domain.standing import Status
from shared.contracts.logistics import PapersHeld
from shared.contracts.orders import HoldCleared, HoldPlaced, OrderCancellationRequested, OrderCancelled, OrderConfirmed
from shared.contracts.payments import REFUND_BOUNCED
from shared.contracts.risk import ReviewCause
from shared.contracts.values import Reason
from shared.effects import Deadline, Forget
from tests.builders import orders as b
from tests.unit.orders.world import events_of

LATER = b.NOON + ANSWER
MUCH_LATER = b.NOON + PAYMENT


def test_a_hold_keeps_its_beginning_when_its_reasons_change() -> None:
    order = b.an_order()
    order.hear(b.held(), b.NOON)
    other = PapersHeld(
        order_id=b.ORDER, rulebook="2026-11", findings=(Reason(code="origin.missing", message="no origin"),)
    )
    told = order.hear(other, b.NOON + timedelta(hours=1))
    assert told == [HoldPlaced(order_id=b.ORDER, code="customs_papers", reasons=other.findings)]
    assert order.holds["customs_papers"].since == b.NOON


def test_the_same_findings_again_are_no_news() -> None:
    order = b.an_order()
    order.hear(b.held(), b.NOON)
    assert order.hear(b.held(), b.NOON) == []


def test_a_hold_clears_by_itself_when_the_missing_thing_arrives() -> None:
    order = b.a_confirmed_order()
    order.hear(b.held(), b.NOON)
    assert order.hear(b.cleared(), b.NOON) == [HoldCleared(order_id=b.ORDER, code="customs_papers")]
    assert order.holds == {}


def test_papers_may_be_missing_when_the_buyer_pays_but_risk_may_not() -> None:
    held = b.an_order()
    for message in (b.reserved(), b.approved(), b.held(), b.authorised()):
        held.hear(message, b.NOON)
    assert held.status is Status.CONFIRMED
    reviewed = b.an_order()
    for message in (b.reserved(), b.review_opened(), b.cleared(), b.authorised()):
        reviewed.hear(message, b.NOON)
    assert reviewed.status is Status.PLACED


def test_another_card_waits_for_its_review_before_the_confirmation() -> None:
    order = b.an_order()
    for message in (b.reserved(), b.approved(), b.cleared(), b.authorised(card_matches=False)):
        assert not any(isinstance(event, OrderConfirmed) for event in order.hear(message, b.NOON))
    order.hear(b.review_opened(cause=ReviewCause.CARD_MISMATCH), b.NOON)
    told = events_of(order.hear(b.review_decided(cause=ReviewCause.CARD_MISMATCH), b.NOON))
    assert [type(event) for event in told] == [HoldCleared, OrderConfirmed]


def test_what_is_sold_waits_for_stock_instead_of_being_rejected() -> None:
    order = b.a_sold_order()
    (told,) = events_of(order.hear(b.refused(waiting=True), b.NOON))
    assert isinstance(told, HoldPlaced)
    assert (told.code, told.reasons[0].subject, told.reasons[0].clears_with) == ("stock", "MUG", "stock")
    assert order.status is Status.PLACED


def test_a_refused_cancellation_lets_the_order_go_on_and_is_remembered() -> None:
    order = b.a_confirmed_order()
    order.hear(b.prohibited(), b.NOON)
    assert set(order.holds) == {"customs_papers"}
    told = events_of(order.hear(b.cancellation_refused(), b.NOON))
    assert told == [HoldCleared(order_id=b.ORDER, code="customs_papers")]
    assert order.status is Status.CONFIRMED
    assert order.facts.cancel_refusal is not None
    assert order.facts.cancel_refusal.code == "shipment.handed_over"


def test_logistics_grants_a_cancellation_in_the_name_of_who_asked() -> None:
    order = b.a_confirmed_order()
    (asked,) = events_of(order.cancel("changed_mind", "buyer", b.NOON))  # pyright: ignore[reportArgumentType]
    assert isinstance(asked, OrderCancellationRequested)
    (ended,) = events_of(order.hear(b.shipment_cancelled(), b.NOON))
    assert ended == OrderCancelled(order_id=b.ORDER, reason="changed_mind", requested_by="buyer")


def test_after_five_minutes_a_person_is_told_who_is_silent() -> None:
    order = b.an_order()
    order.hear(b.approved(), b.NOON)
    (told,) = events_of(order.lose_patience(LATER))
    assert isinstance(told, HoldPlaced)
    assert (told.code, [reason.subject for reason in told.reasons]) == ("needs_attention", ["inventory", "logistics"])


def test_the_late_answer_clears_its_silence_and_the_order_goes_on() -> None:
    order = b.an_order()
    for message in (b.approved(), b.cleared()):
        order.hear(message, b.NOON)
    order.lose_patience(LATER)
    told = [type(event) for event in events_of(order.hear(b.reserved(), LATER))]
    assert told[0] is HoldCleared
    assert order.holds == {}


def test_a_deadline_that_comes_too_early_or_too_late_changes_nothing() -> None:
    order = b.an_order()
    assert order.lose_patience(LATER - timedelta(seconds=1)) == []
    assert b.a_confirmed_order().lose_patience(MUCH_LATER) == []


def test_the_payment_has_fifteen_minutes_of_its_own() -> None:
    order = b.an_order()
    effects = [
        effect for message in (b.reserved(), b.approved(), b.cleared()) for effect in order.hear(message, b.NOON)
    ]
    assert Deadline(SILENCE, b.ORDER, b.NOON + PAYMENT) in effects
    assert order.lose_patience(LATER) == []
    order.hear(b.unknown(), b.NOON)
    (told,) = events_of(order.lose_patience(MUCH_LATER))
    assert isinstance(told, HoldPlaced)
    assert [reason.code for reason in told.reasons] == ["payments.silent"]


def test_who_waits_for_nobody_forgets_its_deadline() -> None:
    order = b.an_order()
    for message in (b.reserved(), b.approved(), b.cleared()):
        order.hear(message, b.NOON)
    assert Forget(SILENCE, b.ORDER) in order.hear(b.authorised(), b.NOON)


def test_a_persons_review_has_its_deadline_elsewhere() -> None:
    order = b.an_order()
    for message in (b.reserved(), b.cleared(), b.review_opened()):
        order.hear(message, b.NOON)
    assert order.patient_until is None
    assert order.lose_patience(MUCH_LATER) == []


def test_a_lost_parcel_needs_a_person_until_it_is_refunded() -> None:
    order = b.a_confirmed_order()
    for message in (b.dispatched(), b.lost()):
        order.hear(message, b.NOON)
    assert set(order.holds) == {"needs_attention"}
    order.hear(b.refunded(), b.NOON)
    assert order.holds == {}


def test_a_refund_that_came_back_brings_the_hold_of_a_lost_parcel_back() -> None:
    order = b.a_confirmed_order()
    for message in (b.dispatched(), b.lost(), b.refunded(), b.refund_failed(code=REFUND_BOUNCED)):
        order.hear(message, b.NOON)
    assert set(order.holds) == {"needs_attention"}
    assert order.facts.refunded == 0


def test_a_refund_that_never_went_takes_nothing_from_one_that_did() -> None:
    order = b.a_confirmed_order()
    for message in (b.refunded(amount=1), b.refund_failed()):
        order.hear(message, b.NOON)
    assert order.facts.refunded == 1


def test_a_withdrawn_payment_is_not_shipped_over_in_silence() -> None:
    for message in (b.voided(), b.declined()):
        order = b.a_confirmed_order()
        (told,) = events_of(order.hear(message, b.NOON))
        assert isinstance(told, HoldPlaced)
        assert told.code == "needs_attention"
