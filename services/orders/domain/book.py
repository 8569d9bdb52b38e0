"""The working set: what a batch of messages touches."""

from dataclasses import dataclass, field

from services.orders.domain.fulfilled import FulfilledThere
from services.orders.domain.offer import Offer
from services.orders.domain.order import Order
from services.orders.domain.patience import USUAL, Patience
from services.orders.domain.recipient import Recipient
from services.orders.domain.standing import Status
from services.orders.domain.timeline import Happening
from services.orders.domain.webhook_book import WebhookBook
from shared.contracts.logistics import ShipmentBooked
from shared.contracts.orders import OrderPlaced
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is written once, when an order comes in: how it was announced, for whom, and what a channel had sent."""

    placed: OrderPlaced
    recipient: Recipient
    content_hash: str = ""
    channel_fee: Money | None = None  # what the channel keeps of the sale, as far as it is known then


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRefusal:
    """What a channel sold and we could not take in, or could at last (`code` is empty). `cursor`: where it is read again."""

    store_id: str
    channel: str
    external_id: str
    code: str
    detail: str
    cursor: str


@dataclass(slots=True)
class OrderBook:
    """Orders by id, offers by SKU, and what the batch adds to them."""

    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    before: dict[str, Status] = field(default_factory=dict[str, Status])  # the orders' statuses when they were loaded
    held_before: dict[str, frozenset[str]] = field(
        default_factory=dict[str, frozenset[str]]
    )  # and the codes of their holds
    offers: dict[str, Offer] = field(default_factory=dict[str, Offer])
    imported: dict[str, str] = field(default_factory=dict[str, str])  # order id to the hash of what the channel sent
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])  # of new orders
    changed: set[str] = field(default_factory=set[str])  # ids of orders, new ones included
    learned: set[str] = field(default_factory=set[str])  # SKUs of offers
    happenings: list[Happening] = field(default_factory=list[Happening])
    webhooks: WebhookBook = field(default_factory=WebhookBook)
    patience: Patience = USUAL  # of new orders
    announced: dict[str, OrderPlaced] = field(default_factory=dict[str, OrderPlaced])  # of orders whose patience ends
    connected: frozenset[tuple[str, str]] = frozenset()  # (store, channel): which are told about their orders
    bookings: dict[str, ShipmentBooked] = field(default_factory=dict[str, ShipmentBooked])  # of shipments that left
    channel_refusals: list[ChannelRefusal] = field(default_factory=list[ChannelRefusal])
    channel_refused: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # channel, kind of the call
    fulfilled_there: dict[tuple[str, str, str], FulfilledThere] = field(
        default_factory=dict[tuple[str, str, str], FulfilledThere]
    )  # by store, channel and external id
    counted_there: list[str] = field(
        default_factory=list[str]
    )  # the channels of those that were new when they were saved
    escalations: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # matter, what was done about it

    def enter(self, order: Order, entry: Entry) -> None:
        """Take in a new order."""
        self.orders[order.id] = order
        self.entries[order.id] = entry
        self.changed.add(order.id)
        if entry.content_hash:
            self.imported[order.id] = entry.content_hash

    def count_there(self, store_id: str, channel: str, order: FulfilledThere) -> None:
        """Take in what a channel ships itself; what it told last counts."""
        key = store_id, channel, order.external_id
        known = self.fulfilled_there.get(key)
        if known is None or known.updated_at <= order.updated_at:
            self.fulfilled_there[key] = order

    def order_of(self, order_id: str) -> Order:
        """The order that a message is about, to be changed. Raises LookupError: every order of the platform began here."""
        order = self.orders.get(order_id)
        if order is None:
            raise LookupError(f"there is no order {order_id}")
        self.changed.add(order_id)
        return order

    def announcement_of(self, order_id: str) -> OrderPlaced:
        """How an order whose patience ends was announced. Raises LookupError: every order was."""
        if order_id not in self.announced:
            raise LookupError(f"the order {order_id} was never announced")
        return self.announced[order_id]

    def is_connected(self, order: Order) -> bool:
        """Whether the order's channel is one that this installation talks with."""
        return (order.store_id, order.channel) in self.connected

    def booking_of(self, shipment_id: str) -> ShipmentBooked:
        """How a shipment that left was booked. Raises LookupError: every one was, and that came first."""
        if shipment_id not in self.bookings:
            raise LookupError(f"the shipment {shipment_id} was never booked")
        return self.bookings[shipment_id]

    def learn(self, offer: Offer) -> None:
        """Take in a newer offer."""
        self.offers[offer.sku] = offer
        self.learned.add(offer.sku)
