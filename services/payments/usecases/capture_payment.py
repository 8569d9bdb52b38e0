"""The goods are on their way, or at the door: what is due now is taken."""

from services.payments.domain.books import Books
from services.payments.domain.moves import News, Scene, take
from services.payments.domain.payment import CaptureAt
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched
from shared.effects import Effects, Moment


def capture_at_dispatch(dispatched: ShipmentDispatched, books: Books, now: Moment) -> Effects:
    """Cards are captured when the carrier has the parcels."""
    return _capture(dispatched.order_id, CaptureAt.DISPATCH, books, now)


def capture_at_delivery(delivered: ShipmentDelivered, books: Books, now: Moment) -> Effects:
    """Cash is with the carrier when the buyer has the parcels."""
    return _capture(delivered.order_id, CaptureAt.DELIVERY, books, now)


def _capture(order_id: str, at: CaptureAt, books: Books, now: Moment) -> Effects:
    payment = books.payments.get(order_id)
    if payment is None or payment.capture_at is not at:
        return []
    return take(payment, News.CAPTURE_DUE, Scene(now=now.decided_at))
