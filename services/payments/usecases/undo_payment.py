"""The order ended before hand-over: exactly what was done for it is undone."""

from services.payments.domain.books import Books
from services.payments.domain.moves import News, Scene, take
from shared.contracts.orders import OrderCancelled, OrderRejected
from shared.effects import Effects, Moment


def undo_payment(ended: OrderRejected | OrderCancelled, books: Books, now: Moment) -> Effects:
    """Void a promise, refund what was captured, and wait for the outcome of what is under way to undo that."""
    payment = books.payments.get(ended.order_id)
    return [] if payment is None else take(payment, News.CANCELLED, Scene(now=now.decided_at))
