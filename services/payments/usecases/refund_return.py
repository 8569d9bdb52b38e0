"""Support decided what a return is worth."""

from services.payments.domain.books import Books
from services.payments.domain.payment import ENDED, Payment
from services.payments.domain.refunding import Wish, objection, open_refund, refuse_refund
from shared.contracts.support import ReturnApproved, ReturnReceived
from shared.effects import Effects, Moment
from shared.ids import derive_id
from shared.money import Money


def refund_received_return(received: ReturnReceived, books: Books, now: Moment) -> Effects:
    """The goods are back and graded."""
    return _refund(received.order_id, received.return_id, received.refund, books, now)


def refund_kept_goods(approved: ReturnApproved, books: Books, now: Moment) -> Effects:
    """The buyer keeps the goods, because sending them back costs more than they are worth."""
    return _refund(approved.order_id, approved.return_id, approved.refund_now, books, now)


def _refund(order_id: str, return_id: str, amount: Money | None, books: Books, now: Moment) -> Effects:
    """One refund a return, whatever is heard how often; before the capture it waits for it."""
    payment = books.payments.get(order_id)
    if payment is None or not amount:
        return []
    wish = Wish(id=derive_id("rfd", return_id), amount=amount, reason="return", return_id=return_id)
    waits = _may_still_be_captured(payment) and amount.currency == payment.amount.currency
    refusal = None if waits and amount <= payment.refundable(payment.current) else objection(payment, amount)
    if refusal is not None:
        return refuse_refund(payment, wish, refusal, now.decided_at)
    return open_refund(payment, wish, now.decided_at)


def _may_still_be_captured(payment: Payment) -> bool:
    return payment.captured is None and payment.state not in ENDED
