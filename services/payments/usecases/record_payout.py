"""A person paid a refund out by hand: cash on delivery has no charge to give back from."""

from dataclasses import dataclass

from services.payments.domain.books import Books
from services.payments.domain.refund import RefundNews, RefundState
from services.payments.domain.refunding import take_refund
from services.payments.usecases.request_refund import no_payment
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPayout:
    """The refund was paid out."""

    store_id: str
    order_id: str
    refund_id: str


def record_payout(paid: RecordPayout, books: Books, now: Moment) -> Decision:
    """Only a refund that waits for a hand can be paid by one."""
    payment = books.payments.get(paid.order_id)
    if payment is None or payment.store_id != paid.store_id:
        return no_payment(paid.order_id)
    refund = payment.refund(paid.refund_id)
    if refund is None:
        return Refusal(code="refund.not_found", detail=f"there is no refund {paid.refund_id}", kind=Kind.NOT_FOUND)
    if refund.state is not RefundState.BY_HAND:
        return Refusal(
            code="refund.not_by_hand", detail=f"the refund is {refund.state}; nobody is to pay it out by hand"
        )
    effects = take_refund(payment, refund, RefundNews.PAID_OUT, now.decided_at)
    return [*effects, Reply({"id": refund.id, "order_id": payment.order_id, "state": refund.state}, 200)]
