"""Somebody has not answered in time."""

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import ends_told
from services.orders.domain.facts import Facts
from shared.effects import Decision, Due, Moment


def lose_patience(due: Due, book: OrderBook, now: Moment) -> Decision:
    """Ask again; when the silence stays, end the order where that is safe, else tell a person who is silent."""
    order = book.order_of(due.key)
    before, matter = order.facts, order.awaits
    effects = order.lose_patience(now.decided_at, book.announcement_of(due.key))
    if stage := _stage(before, order.facts):
        book.escalations.append((matter, stage))
    return [*effects, *ends_told(order, effects)] if book.is_connected(order) else effects


def _stage(before: Facts, after: Facts) -> str:
    if after.given_up != before.given_up:
        return "given_up"
    if after.overdue != before.overdue:
        return "alarmed"
    return "asked" if after.asked != before.asked else ""
