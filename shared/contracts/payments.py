"""What payments tells: the money of an order."""

from datetime import datetime

from shared.contracts.registry import Event, event
from shared.contracts.topics import PAYMENT, REFUND
from shared.contracts.values import PaymentMethod, PaymentMode, Reason
from shared.money import Money


@event("payments.payment.authorised.v1", topic=PAYMENT, key="order_id")
class PaymentAuthorised(Event):
    """The money is promised (or, for what a channel collected, there). `card_matches` is false when the provider saw another card."""

    order_id: str
    payment_id: str
    amount: Money
    mode: PaymentMode
    method: PaymentMethod
    card_fingerprint: str = ""
    card_matches: bool = True
    expires_at: datetime | None = None


@event("payments.payment.action_required.v1", topic=PAYMENT, key="order_id")
class PaymentActionRequired(Event):
    """The buyer must act (3-D Secure) at `action_url` before `expires_at`."""

    order_id: str
    payment_id: str
    action_url: str
    expires_at: datetime


@event("payments.payment.declined.v1", topic=PAYMENT, key="order_id")
class PaymentDeclined(Event):
    """The provider said no, or the buyer did not act in time. Nothing was charged."""

    order_id: str
    payment_id: str
    reason: Reason


@event("payments.payment.captured.v1", topic=PAYMENT, key="order_id")
class PaymentCaptured(Event):
    """The money is ours."""

    order_id: str
    payment_id: str
    amount: Money


@event("payments.payment.voided.v1", topic=PAYMENT, key="order_id")
class PaymentVoided(Event):
    """The promise was given back, nothing was taken."""

    order_id: str
    payment_id: str


@event("payments.payment.outcome_unknown.v1", topic=PAYMENT, key="order_id")
class PaymentOutcomeUnknown(Event):
    """The provider did not answer, or otherwise than was asked. It is being asked; nobody should guess meanwhile.

    `attention` tells that asking alone will not settle it: a person must look, and why. It is told at once, and again when
    the reason is another; the next authorised, captured, voided or declined ends it. The promise or the charge that was told
    before may be gone (`payment.promise_lost`) or other than was asked (`payment.conflicted`).
    """

    order_id: str
    payment_id: str
    operation: str  # authorise, capture, void, renew
    attention: Reason | None = None


CHARGED_TWICE = "charged_twice"
"""The `reason` in `RefundRequested` of what was taken beyond the order's total: it is no part of what the buyer paid for."""


@event("payments.refund.requested.v1", topic=REFUND, key="order_id")
class RefundRequested(Event):
    """Money is to go back. `through_channel` tells that the channel pays it out.

    Where less was left of the charge than a return is owed, `amount` is what is left, `asked` what was wanted, and `reduced`
    why. What lacks stays owed: a refund by hand that names the return can pay it.
    """

    order_id: str
    refund_id: str
    amount: Money
    reason: str
    return_id: str = ""
    through_channel: bool = False
    asked: Money | None = None
    reduced: Reason | None = None


@event("payments.refund.succeeded.v1", topic=REFUND, key="order_id")
class RefundSucceeded(Event):
    """The money went back."""

    order_id: str
    refund_id: str
    amount: Money
    return_id: str = ""


REFUND_BOUNCED = "refund.bounced"
"""The code of the reason in `RefundFailed` where the refund had succeeded and the money came back."""


@event("payments.refund.failed.v1", topic=REFUND, key="order_id")
class RefundFailed(Event):
    """The provider will not refund; a person must look."""

    order_id: str
    refund_id: str
    amount: Money
    reason: Reason
    return_id: str = ""
