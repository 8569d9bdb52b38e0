"""Another service told something about an order."""

from services.orders.domain.book import OrderBook
from shared.contracts.registry import Event
from shared.effects import Decision, Moment


def hear_news(message: Event, book: OrderBook, now: Moment) -> Decision:
    """Record the fact, and do what follows from all that is known by now."""
    return book.order_of(message.key).hear(message, now.decided_at)
