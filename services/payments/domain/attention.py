"""What only a person can settle, in words: the reason that others hear at once."""

from collections.abc import Callable, Mapping

from services.payments.domain.charge import Charge
from services.payments.domain.payment import Payment
from shared.contracts.values import Reason

_CANCELLING = "cancelling the order, which undoes what the provider charged; or the provider's correction"
_CHARGED_ANEW = "the dispatch, which charges anew; or cancelling the order"
_COLLECTED = "the money, collected another way"

_WORDS: Mapping[str, tuple[Callable[[Payment, Charge | None], str], str]] = {
    "payment.conflicted": (lambda payment, charge: _conflict(payment, charge), _CANCELLING),
    "payment.promise_lost": (lambda payment, _: f"the promise of {payment.amount} is gone", _CHARGED_ANEW),
    "payment.promise_expiring": (lambda payment, _: _expiring(payment), "the dispatch before then; or a new order"),
    "payment.capture_failed": (lambda payment, _: f"the promised {payment.amount} could not be taken", _COLLECTED),
    "payment.dispatched_unpaid": (lambda payment, _: f"the goods left, and {payment.amount} is not paid", _COLLECTED),
    "payment.charge_missing": (
        lambda payment, _: f"the provider does not know the charge of {payment.captured} that it told us of",
        "the provider's explanation",
    ),
}


def has_words(code: str) -> bool:
    """Whether others are told of it as the payment's trouble; a refund's is told as the refund's."""
    return code in _WORDS


def reason_for(code: str, payment: Payment, charge: Charge | None) -> Reason:
    """Why a person must look, and what would clear it. Raises KeyError for a code that has no words."""
    words, clears_with = _WORDS[code]
    return Reason(code=code, message=words(payment, charge), clears_with=clears_with, subject=payment.payment_id)


def _conflict(payment: Payment, charge: Charge | None) -> str:
    asked = f"where {payment.amount} was asked"
    if charge is None:
        return f"the provider charged something else {asked}"
    taken = f" and took {charge.captured}" if charge.captured and charge.captured != charge.amount else ""
    return f"the provider charged {charge.amount}{taken} {asked}"


def _expiring(payment: Payment) -> str:
    ends = payment.current.expires_at
    until = f" at {ends:%Y-%m-%d %H:%M} UTC" if ends is not None else ""
    return f"the promise of {payment.amount} ends{until} and cannot be renewed"
