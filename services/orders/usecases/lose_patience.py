"""Somebody has not answered in time."""

from services.orders.domain.book import OrderBook
from shared.effects import Decision, Due, Moment


def lose_patience(due: Due, book: OrderBook, now: Moment) -> Decision:
    """Hold the order for a person, and say who is silent."""
    return book.order_of(due.key).lose_patience(now.decided_at)
