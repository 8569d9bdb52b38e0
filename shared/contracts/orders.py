"""What orders tells: the life of an order. The key of everything about it is the order id."""

from datetime import datetime

from shared.contracts.registry import Event, event
from shared.contracts.topics import ORDER
from shared.contracts.values import (
    Allocation,
    Destination,
    Incoterm,
    OrderLine,
    OrderTotals,
    PaymentMethod,
    PaymentMode,
    Reason,
    RiskSignals,
    ServiceLevel,
)
from shared.money import Money


@event("orders.order.placed.v1", topic=ORDER, key="order_id")
class OrderPlaced(Event):
    """An order came in. `refusable` is false for what a channel has already sold: lacking stock it waits, it is not rejected."""

    order_id: str
    number: str
    store_id: str
    market: str
    channel: str  # "storefront" or the channel's name
    placed_at: datetime  # the buyer's or the channel's clock
    lines: tuple[OrderLine, ...]
    totals: OrderTotals
    destination: Destination
    payment_mode: PaymentMode
    payment_method: PaymentMethod
    refusable: bool = True
    external_id: str = ""
    incoterm: Incoterm = Incoterm.DAP
    service: ServiceLevel = ServiceLevel.STANDARD
    quote_id: str = ""
    signals: RiskSignals = RiskSignals()


@event("orders.order.payment_requested.v1", topic=ORDER, key="order_id")
class PaymentRequested(Event):
    """Stock is reserved, risk passed and papers do not forbid it: authorise (or book what the channel collected)."""

    order_id: str
    payment_id: str
    amount: Money
    mode: PaymentMode
    method: PaymentMethod
    token: str  # the provider's token, empty where the channel collected; never a card number
    channel: str
    card_fingerprint: str = ""  # what the storefront claimed


@event("orders.order.confirmed.v1", topic=ORDER, key="order_id")
class OrderConfirmed(Event):
    """Paid for and reserved. Logistics may book as soon as the papers are clear."""

    order_id: str
    allocations: tuple[Allocation, ...]


@event("orders.order.hold_placed.v1", topic=ORDER, key="order_id")
class HoldPlaced(Event):
    """Something keeps the order from going on. Codes: risk_review, customs_papers, payment_action, stock, needs_attention."""

    order_id: str
    code: str
    reasons: tuple[Reason, ...]


@event("orders.order.hold_cleared.v1", topic=ORDER, key="order_id")
class HoldCleared(Event):
    """What kept the order came in, or the order has ended."""

    order_id: str
    code: str


@event("orders.order.rejected.v1", topic=ORDER, key="order_id")
class OrderRejected(Event):
    """We said no. Whoever did something for this order undoes exactly that."""

    order_id: str
    reasons: tuple[Reason, ...]


@event("orders.order.cancellation_requested.v1", topic=ORDER, key="order_id")
class OrderCancellationRequested(Event):
    """Booking may have begun, so logistics decides: `ShipmentCancelled` or `CancellationRefused`."""

    order_id: str
    reason: str
    requested_by: str  # buyer, seller, channel, risk, customs, stock


@event("orders.order.cancelled.v1", topic=ORDER, key="order_id")
class OrderCancelled(Event):
    """The order ended before hand-over. Whoever did something for it undoes exactly that."""

    order_id: str
    reason: str
    requested_by: str


@event("orders.order.completed.v1", topic=ORDER, key="order_id")
class OrderCompleted(Event):
    """Delivered and paid."""

    order_id: str


@event("orders.order.answer_awaited.v1", topic=ORDER, key="order_id")
class AnswerAwaited(Event):
    """Somebody has not answered in time. Each of `whom` tells its present answer again; who never heard of the order decides.

    It carries what was asked: the placing always; the payment, the confirmation and the cancellation where they were asked for.
    """

    order_id: str
    matter: str  # agreement, payment, card, reservation, cancellation
    whom: tuple[str, ...]  # of inventory, logistics, payments, risk
    placed: OrderPlaced
    payment: PaymentRequested | None = None
    confirmed: OrderConfirmed | None = None
    cancellation: OrderCancellationRequested | None = None
