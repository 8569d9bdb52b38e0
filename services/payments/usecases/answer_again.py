"""Orders asks again where an order's money is."""

from services.payments.domain.attention import has_words, reason_for
from services.payments.domain.books import Books
from services.payments.domain.moves import declined_for
from services.payments.domain.payment import Payment, State
from services.payments.usecases.request_payment import request_payment
from shared.contracts.orders import AnswerAwaited
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
)
from shared.contracts.registry import Event
from shared.effects import Effect, Effects, Moment

WHO = "payments"
_ASKED_NOW = frozenset({State.AUTHORISING, State.ABANDONING})
"""Where the order waits for the provider's word: it is looked up at once, however long the pause would have been."""


def answer_again(awaited: AnswerAwaited, books: Books, now: Moment) -> Effects:
    """Tell where the money is once more. A request that was never heard is heard now; an unknown outcome is looked up."""
    if WHO not in awaited.whom:
        return []
    payment = books.payments.get(awaited.order_id)
    if payment is None:
        return [] if awaited.payment is None else request_payment(awaited.payment, books, now)
    told: list[Effect] = [*_where_it_is(payment)]
    if payment.state in _ASKED_NOW:
        told.append(payment.current.call("provider.look_up", payment.order_id, key=payment.current.id))
    return told


def _where_it_is(payment: Payment) -> list[Event]:
    order_id, payment_id = payment.order_id, payment.payment_id
    doubt = [_unknown(payment, payment.told)] if payment.told else []
    match payment.state:
        case State.AUTHORISING:
            return [_unknown(payment, payment.told or "authorise")]
        case State.ACTION_REQUIRED:
            return [_action(payment), *doubt]
        case State.AUTHORISED | State.RENEWING | State.CAPTURING:
            return [_authorised(payment), *doubt]
        case State.CAPTURED:
            amount = payment.captured or payment.amount
            captured = PaymentCaptured(order_id=order_id, payment_id=payment_id, amount=amount)
            return [_authorised(payment), captured, *doubt]
        case State.LAPSED | State.CONFLICTED:
            return [_unknown(payment, payment.told or "authorise")]
        case State.CANCELLING | State.VOIDING | State.ABANDONING:
            return [_unknown(payment, payment.told or "void")]
        case State.VOIDED:
            return [PaymentVoided(order_id=order_id, payment_id=payment_id)]
        case State.DECLINED:
            reason = declined_for(payment.current.decline_code or "declined")
            return [PaymentDeclined(order_id=order_id, payment_id=payment_id, reason=reason)]


def _authorised(payment: Payment) -> PaymentAuthorised:
    attempt = payment.fallback or payment.current  # while a promise is renewed the old one stands
    return PaymentAuthorised(
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        amount=payment.amount,
        mode=payment.mode,
        method=payment.method,
        card_fingerprint=attempt.fingerprint,
        card_matches=payment.card_matches(attempt.fingerprint),
        expires_at=attempt.expires_at,
    )


def _action(payment: Payment) -> PaymentActionRequired | PaymentOutcomeUnknown:
    if payment.action_expires_at is None:
        return _unknown(payment, "authorise")
    return PaymentActionRequired(
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        action_url=payment.action_url,
        expires_at=payment.action_expires_at,
    )


def _unknown(payment: Payment, operation: str) -> PaymentOutcomeUnknown:
    payment.told = operation
    reason = reason_for(payment.attention, payment, None) if has_words(payment.attention) else None
    return PaymentOutcomeUnknown(
        order_id=payment.order_id, payment_id=payment.payment_id, operation=operation, attention=reason
    )
