"""Support decided what a return is worth."""

from services.payments.domain.books import Books
from services.payments.domain.refund import refund_of
from services.payments.domain.refunding import Wish, refund_return
from shared.contracts.support import ReturnApproved, ReturnReceived
from shared.effects import Effects, Moment
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
    wish = Wish(id=refund_of(return_id), amount=amount, reason="return", return_id=return_id)
    return refund_return(payment, wish, now.decided_at)
