"""A person gives money back."""

from dataclasses import dataclass

from services.payments.domain.books import Books
from services.payments.domain.payment import Payment
from services.payments.domain.refunding import Wish, objection, open_refund
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal
from shared.ids import derive_id
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund:
    """Give back a part of what an order paid. `reason` is a code.

    `return_id` names the return whose refund failed or fell short and is settled by this one; `settles_none` says that none is.
    """

    store_id: str
    order_id: str
    amount: Money
    reason: str
    return_id: str = ""
    settles_none: bool = False


def request_refund(wanted: RequestRefund, books: Books, now: Moment) -> Decision:
    """Never more than was captured, under the payment's lock, and only in the charge's currency."""
    payment = books.payments.get(wanted.order_id)
    if payment is None or payment.store_id != wanted.store_id:
        return no_payment(wanted.order_id)
    refusal = _which_return(payment, wanted) or objection(payment, wanted.amount)
    if refusal is not None:
        return refusal
    wish = Wish(
        id=derive_id("rfd", now.message_id), amount=wanted.amount, reason=wanted.reason, return_id=wanted.return_id
    )
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
        "return_id": opened.return_id,
    }
    return [*effects, Reply(body, 202, {"Location": f"/v1/payments/{payment.order_id}"})]


def _which_return(payment: Payment, wanted: RequestRefund) -> Refusal | None:
    """A return is settled by what names it, and by no more than it is owed; while one is owed, nothing is left to guessing."""
    if wanted.return_id:
        return _objection_to_settling(payment, wanted.return_id, wanted.amount)
    owed = payment.owed_returns()
    if wanted.settles_none or not owed:
        return None
    return Refusal(
        code="refund.return_owed",
        detail=f"{', '.join(f'{amount} to {return_id}' for return_id, amount in owed.items())} is owed and was not paid",
        clears_with='"return_id": the return that this refund settles, or null for none of them',
        facts={"returns": [{"return_id": return_id, "owed": amount} for return_id, amount in owed.items()]},
    )


def _objection_to_settling(payment: Payment, return_id: str, amount: Money) -> Refusal | None:
    owed = payment.owed_to(return_id)
    if owed is None:
        return Refusal(
            code="refund.unknown_return",
            detail=f"no refund was asked for the return {return_id}",
            clears_with="the return's receipt, or its approval without sending back",
        )
    if amount.currency != owed.currency or owed < amount:
        return Refusal(
            code="refund.exceeds_return",
            detail=f"{amount} is more than the {owed} that the return {return_id} is owed",
            clears_with=f"at most {owed}; a refund beside it has the return_id null",
            facts={"owed": owed},
        )
    return None


def no_payment(order_id: str) -> Refusal:
    """There is no such payment, or it is another store's."""
    return Refusal(
        code="payment.not_found", detail=f"there is no payment for the order {order_id}", kind=Kind.NOT_FOUND
    )
