"""The other two axes of an order: where its money is, and where its parcels are. Both follow from the facts."""

from services.orders.domain.facts import Facts, Payment, Shipment

PAYMENT_STATUSES = (
    "none",
    "requested",
    "action_required",
    "unknown",
    "authorised",
    "declined",
    "captured",
    "voided",
    "partially_refunded",
    "refunded",
)
FULFILMENT_STATUSES = ("unfulfilled", "booked", "dispatched", "exception", "delivered", "lost", "cancelled")


def payment_status(facts: Facts, total: int) -> str:
    """Where the money is; `total` is what the order came to, in minor units."""
    if facts.refunded:
        return "refunded" if facts.refunded >= total else "partially_refunded"
    return "action_required" if facts.payment is Payment.ACTION else facts.payment.value


def fulfilment_status(facts: Facts) -> str:
    """Where the parcels are."""
    if facts.trouble is not None and facts.shipment in (Shipment.NONE, Shipment.BOOKED, Shipment.DISPATCHED):
        return "exception"
    return "unfulfilled" if facts.shipment is Shipment.NONE else facts.shipment.value
