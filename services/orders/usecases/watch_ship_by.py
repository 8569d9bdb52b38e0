"""The channel's ship-by deadline nears, or is over."""

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import lateness
from shared.effects import Decision, Due, Moment


def watch_ship_by(due: Due, book: OrderBook, now: Moment) -> Decision:
    """A person is told, unless the channel has its tracking or the order has ended."""
    order = book.order_of(due.key)
    if order.status.ended or order.facts.channel_has_tracking:
        return []
    return order.complain(lateness(due.kind), now.decided_at)
