"""Another service told something about an order."""

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import ends_told, refund_told, shipment_told
from services.orders.domain.order import Order
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.payments import RefundRequested
from shared.contracts.registry import Event
from shared.effects import Decision, Effect, Moment


def hear_news(message: Event, book: OrderBook, now: Moment) -> Decision:
    """Record the fact, and do what follows from all that is known by now."""
    order = book.order_of(message.key)
    effects = order.hear(message, now.decided_at)
    if not book.is_connected(order):
        return effects
    return [*effects, *ends_told(order, effects), *_passed_on(order, message, book)]


def _passed_on(order: Order, message: Event, book: OrderBook) -> list[Effect]:
    match message:
        case ShipmentDispatched(shipment_id=shipment_id):
            return [shipment_told(order, message, book.booking_of(shipment_id))]
        case RefundRequested():
            return refund_told(order, message)
        case _:
            return []
