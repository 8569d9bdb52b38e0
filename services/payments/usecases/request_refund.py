"""A person gives money back."""

from dataclasses import dataclass

from services.payments.domain.books import Books
from services.payments.domain.refunding import Wish, objection, open_refund
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal
from shared.ids import derive_id
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund:
    """Give back a part of what an order paid. `reason` is a code."""

    store_id: str
    order_id: str
    amount: Money
    reason: str


def request_refund(wanted: RequestRefund, books: Books, now: Moment) -> Decision:
    """Never more than was captured, under the payment's lock, and only in the charge's currency."""
    payment = books.payments.get(wanted.order_id)
    if payment is None or payment.store_id != wanted.store_id:
        return no_payment(wanted.order_id)
    refusal = objection(payment, wanted.amount)
    if refusal is not None:
        return refusal
    wish = Wish(id=derive_id("rfd", now.message_id), amount=wanted.amount, reason=wanted.reason)
    effects = open_refund(payment, wish, now.decided_at)
    opened = payment.refund(wish.id)
    if opened is None:
        raise LookupError(f"the refund {wish.id} was not opened")
    body = {
        "id": opened.id,
        "order_id": payment.order_id,
        "amount": opened.amount,
        "reason": opened.reason,
        "state": opened.state,
    }
    return [*effects, Reply(body, 202, {"Location": f"/v1/payments/{payment.order_id}"})]


def no_payment(order_id: str) -> Refusal:
    """There is no such payment, or it is another store's."""
    return Refusal(
        code="payment.not_found", detail=f"there is no payment for the order {order_id}", kind=Kind.NOT_FOUND
    )
