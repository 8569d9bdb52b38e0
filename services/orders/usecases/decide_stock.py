"""What becomes of an order that is sold and short is the seller's to say."""

from dataclasses import dataclass
from datetime import datetime

from services.orders.domain.book import OrderBook
from services.orders.usecases.cancel_order import CancelOrder, cancel_order
from shared.effects import Decision, Due, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """For stock, until a time; then a person is told."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The order ends. `reason` is a code."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideStock:
    """What the seller decided about an order with the hold `stock`."""

    store_id: str
    order_id: str
    decision: Wait | GiveUp


def decide_stock(command: DecideStock, book: OrderBook, now: Moment) -> Decision:
    """Waiting is remembered (200); giving up is the seller's cancellation (200 or 202). `order.not_short` where it lacks nothing."""
    order = book.orders.get(command.order_id)
    if order is None or order.store_id != command.store_id:
        return Refusal(code="order.not_found", detail=f"there is no order {command.order_id}", kind=Kind.NOT_FOUND)
    if "stock" not in order.holds:
        return Refusal(code="order.not_short", detail="the order lacks no stock")
    match command.decision:
        case GiveUp(reason=reason):
            end = CancelOrder(store_id=order.store_id, order_id=order.id, reason=reason, requested_by="seller")
            return cancel_order(end, book, now)
        case Wait(until=until):
            waits = order.wait_for_stock(until, now.decided_at)
            if isinstance(waits, Refusal):
                return waits
            book.changed.add(order.id)
            return [*waits, Reply({"id": order.id}, status=200)]


def end_stock_wait(due: Due, book: OrderBook, now: Moment) -> Decision:
    """The time that the seller gave it is over."""
    return book.order_of(due.key).end_stock_wait(now.decided_at)
