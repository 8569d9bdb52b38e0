"""A buyer, the seller or a channel wants an order to end."""

from dataclasses import dataclass

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import ends_told
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOrder:
    """`reason` is a code, for it is published; `requested_by` is buyer, seller or channel."""

    store_id: str
    order_id: str
    reason: str
    requested_by: str


def cancel_order(command: CancelOrder, book: OrderBook, now: Moment) -> Decision:
    """At once while it is only placed (200); a request to logistics once it is confirmed (202), or while a channel's money is booked."""
    order = book.orders.get(command.order_id)
    if order is None or order.store_id != command.store_id:
        return Refusal(code="order.not_found", detail=f"there is no order {command.order_id}", kind=Kind.NOT_FOUND)
    decision = order.cancel(command.reason, command.requested_by, now.decided_at)
    if isinstance(decision, Refusal):
        return decision
    book.changed.add(order.id)
    told = ends_told(order, decision) if book.is_connected(order) else []
    return [*decision, *told, Reply({"id": order.id}, status=200 if order.status.ended else 202)]
