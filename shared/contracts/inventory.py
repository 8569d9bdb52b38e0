"""What inventory tells: the life of an order's reservation, and what every channel may sell."""

from dataclasses import dataclass
from datetime import datetime

from shared.contracts.registry import Event, event
from shared.contracts.topics import RESERVATION, STOCK
from shared.contracts.values import Allocation, Reason, ReceivedLine, Shortfall


@event("inventory.reservation.reserved.v1", topic=RESERVATION, key="order_id")
class StockReserved(Event):
    """Every line is held, in these warehouses. The plan is what will be consumed or released. Also after a wait or an expiry."""

    order_id: str
    allocations: tuple[Allocation, ...]
    expires_at: datetime


@event("inventory.reservation.refused.v1", topic=RESERVATION, key="order_id")
class StockRefused(Event):
    """Nothing is held: some line is short. `waiting` tells that the order queues for stock (it is already sold)."""

    order_id: str
    short: tuple[Shortfall, ...]
    waiting: bool = False


@event("inventory.reservation.committed.v1", topic=RESERVATION, key="order_id")
class ReservationCommitted(Event):
    """The order is confirmed: the hold expires no more."""

    order_id: str


@event("inventory.reservation.broken.v1", topic=RESERVATION, key="order_id")
class ReservationBroken(Event):
    """A count or write-off found less than was reserved; this order, among the newest, lost its whole hold."""

    order_id: str
    short: tuple[Shortfall, ...]
    waiting: bool = False


@event("inventory.reservation.released.v1", topic=RESERVATION, key="order_id")
class ReservationReleased(Event):
    """The order was rejected or cancelled; what it held is for sale again."""

    order_id: str


@event("inventory.reservation.expired.v1", topic=RESERVATION, key="order_id")
class ReservationExpired(Event):
    """The hold ran out before the order was confirmed."""

    order_id: str


@event("inventory.reservation.consumed.v1", topic=RESERVATION, key="order_id")
class StockConsumed(Event):
    """The goods left the building: on hand and reserved both went down."""

    order_id: str
    allocations: tuple[Allocation, ...]


@event("inventory.reservation.restocked.v1", topic=RESERVATION, key="order_id")
class StockRestocked(Event):
    """Sellable returned units are on the shelf again."""

    order_id: str
    return_id: str
    allocations: tuple[Allocation, ...]


@event("inventory.reservation.restock_held.v1", topic=RESERVATION, key="order_id")
class RestockHeld(Event):
    """Sellable returned units are on no shelf yet; the reason says why, and what would put them there.

    Told once more when the reason is another. `StockRestocked` follows by itself once the reason is gone.
    """

    order_id: str
    return_id: str
    lines: tuple[ReceivedLine, ...]
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStock:
    """What a channel may sell: never above what is available."""

    channel: str
    available: int


@event("inventory.stock.changed.v1", topic=STOCK, key="sku")
class StockChanged(Event):
    """The SKU's stock over all warehouses, and what each channel may sell. The newest version wins."""

    sku: str
    version: int
    on_hand: int
    reserved: int
    available: int
    channels: tuple[ChannelStock, ...]
    as_of: datetime
