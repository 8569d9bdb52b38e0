"""What keeps an order, and how that ends."""

from datetime import timedelta

import pytest

from services.orders.domain.facts import Payment
from services.orders.domain.standing import Status
from shared.contracts.logistics import PapersHeld
from shared.contracts.orders import HoldCleared, HoldPlaced, OrderCancellationRequested, OrderCancelled, OrderConfirmed
from shared.contracts.payments import CHARGED_TWICE, REFUND_BOUNCED
from shared.contracts.registry import Event
from shared.contracts.risk import ReviewCause
from shared.contracts.values import Reason
from tests.builders import orders as b
from tests.unit.orders.world import events_of


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


def test_what_was_taken_twice_and_went_back_is_no_refund_of_the_order() -> None:
    order = b.a_confirmed_order()
    for message in (b.dispatched(), b.lost(), b.refund_requested(reason=CHARGED_TWICE), b.refunded()):
        order.hear(message, b.NOON)
    assert (order.facts.refunded, set(order.holds)) == (0, {"needs_attention"}), (
        "the lost parcel is still to be paid back"
    )
    order.hear(b.refund_failed(code=REFUND_BOUNCED), b.NOON)
    assert order.facts.refunded == 0


def test_a_refund_that_never_went_takes_nothing_from_one_that_did() -> None:
    order = b.a_confirmed_order()
    for message in (b.refunded(amount=1), b.refund_failed()):
        order.hear(message, b.NOON)
    assert order.facts.refunded == 1


@pytest.mark.parametrize(
    ("operation", "attention", "code"),
    [
        ("capture", "", "payment.capture_unknown"),
        ("renew", "payment.promise_expiring", "payment.promise_expiring"),
        ("authorise", "payment.promise_lost", "payment.promise_lost"),
        ("authorise", "payment.conflicted", "payment.conflicted"),
        ("capture", "payment.capture_failed", "payment.capture_failed"),
    ],
)
def test_money_that_is_in_doubt_after_the_confirmation_is_shown_at_once(
    operation: str, attention: str, code: str
) -> None:
    order = b.a_confirmed_order()
    (told,) = events_of(order.hear(b.unknown(operation=operation, attention=attention), b.NOON))
    assert isinstance(told, HoldPlaced)
    assert (told.code, [reason.code for reason in told.reasons]) == ("needs_attention", [code])
    assert order.facts.payment is Payment.AUTHORISED


@pytest.mark.parametrize("settles", [b.captured(), b.authorised()])
def test_what_settles_the_money_clears_the_doubt(settles: Event) -> None:
    order = b.a_confirmed_order()
    order.hear(b.unknown(operation="capture"), b.NOON)
    assert HoldCleared(order_id=b.ORDER, code="needs_attention") in order.hear(settles, b.NOON)
    assert order.facts.doubt is None


@pytest.mark.parametrize(("settles", "code"), [(b.voided(), "payment.voided"), (b.declined(), "payment.withdrawn")])
def test_money_that_is_gone_for_sure_is_in_doubt_no_more(settles: Event, code: str) -> None:
    order = b.a_confirmed_order()
    order.hear(b.unknown(operation="authorise", attention="payment.promise_lost"), b.NOON)
    order.hear(settles, b.NOON)
    assert [reason.code for reason in order.holds["needs_attention"].reasons] == [code]


def test_a_conflict_before_the_confirmation_is_shown_at_once_and_not_confirmed() -> None:
    order = b.an_order()
    for message in (b.reserved(), b.approved(), b.cleared(), b.unknown()):
        order.hear(message, b.NOON)
    assert order.holds == {}, "payments asks; the buyer's payment status says so"
    order.hear(b.unknown(attention="payment.conflicted"), b.NOON)
    assert [reason.code for reason in order.holds["needs_attention"].reasons] == ["payment.conflicted"]
    assert order.status is Status.PLACED
    order.hear(b.authorised(), b.NOON)
    assert (order.status, order.holds) == (Status.CONFIRMED, {})


def test_a_promise_that_was_lost_before_the_confirmation_is_no_promise() -> None:
    order = b.an_order()
    lost = b.unknown(operation="authorise", attention="payment.promise_lost")
    reviewed = b.review_opened(cause=ReviewCause.CARD_MISMATCH), b.review_decided(cause=ReviewCause.CARD_MISMATCH)
    for message in (b.reserved(), b.approved(), b.cleared(), b.authorised(card_matches=False), lost, *reviewed):
        order.hear(message, b.NOON)
    assert order.status is Status.PLACED
    order.hear(b.authorised(), b.NOON)
    assert order.status is Status.CONFIRMED


def test_a_promise_that_ends_soon_is_a_promise_still() -> None:
    order = b.an_order()
    expiring = b.unknown(operation="renew", attention="payment.promise_expiring")
    reviewed = b.review_opened(cause=ReviewCause.CARD_MISMATCH), b.review_decided(cause=ReviewCause.CARD_MISMATCH)
    for message in (b.reserved(), b.approved(), b.cleared(), b.authorised(card_matches=False), expiring, *reviewed):
        order.hear(message, b.NOON)
    assert order.status is Status.CONFIRMED
    assert [reason.code for reason in order.holds["needs_attention"].reasons] == ["payment.promise_expiring"]


def test_a_withdrawn_payment_is_not_shipped_over_in_silence() -> None:
    for message in (b.voided(), b.declined()):
        order = b.a_confirmed_order()
        (told,) = events_of(order.hear(message, b.NOON))
        assert isinstance(told, HoldPlaced)
        assert told.code == "needs_attention"
