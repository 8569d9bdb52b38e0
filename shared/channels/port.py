"""What a channel is asked to do, whatever its kind.

Every call is bounded in time and follows no redirect. It raises ChannelBusy (nothing was done, ask later), ChannelRefused (the call as
a whole was refused) or ChannelSilent (the outcome is unknown: ask again, every call may be made twice).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class StockUpdate:
    """What a channel shall show of a SKU, in units. Of two versions the greater is true; one version means one quantity."""

    sku: str
    quantity: int
    version: int


@dataclass(frozen=True, slots=True)
class StockOutcome:
    """What the channel said of an update. `pending`: it took it into `feed`, and says later what came of it."""

    sku: str
    version: int
    result: Literal["applied", "stale", "refused", "pending"]
    detail: str = ""
    feed: str = ""


@dataclass(frozen=True, slots=True)
class StockLine:
    """What the channel shows now. `version` is None where the channel keeps none."""

    sku: str
    quantity: int
    version: int | None = None


@dataclass(frozen=True, slots=True)
class StockPage:
    """A part of all that the channel shows, by SKU. `next` is None at the end."""

    lines: Sequence[StockLine]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """What is offered there. `price_minor`: minor units of `currency`."""

    sku: str
    title: str
    price_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class ListingOutcome:
    """What became of a listing."""

    sku: str
    result: Literal["applied", "refused"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ChannelLine:
    """Units that were sold there, at its price: minor units of the order's currency.

    `tax_minor` is the tax of the whole line on top of the price, 0 where the price has it in it.
    """

    sku: str
    quantity: int
    unit_price_minor: int
    tax_minor: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOrder:
    """An order as the channel tells it, by the channel's clock. Fields of the buyer that it does not tell are empty.

    The buyer paid lines, their taxes and shipping. `fees_minor` is the channel's commission: it keeps that out of what the
    buyer paid, so it is in no total, and 0 where the channel settles it elsewhere.
    """

    external_id: str
    state: Literal["open", "shipped", "cancelled"]
    placed_at: datetime
    updated_at: datetime
    currency: str
    lines: Sequence[ChannelLine]
    country: str
    fees_minor: int = 0
    shipping_minor: int = 0
    region: str = ""
    postcode: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    fulfilled_by: Literal["seller", "channel"] = "seller"
    ship_by: datetime | None = None
    cancel_reason: str = ""


@dataclass(frozen=True, slots=True)
class OrderPage:
    """What was sold or changed after a cursor, oldest change first. `next` is where to read on; the given cursor where nothing followed."""

    orders: Sequence[ChannelOrder]
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelReport:
    """A parcel on its way: `lines` are the units in it by SKU."""

    carrier: str
    tracking_number: str
    lines: Mapping[str, int]
    shipped_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A pushed order notice whose signature was right. `id` is the same however often it is delivered."""

    id: str
    order: ChannelOrder


class ChannelBusy(Exception):
    """It did nothing, and wants rest: 429 or 503."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"busy for {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ChannelRefused(Exception):
    """It refuses the call as a whole: what was asked, or the credentials. `code` is the channel's."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ChannelSilent(Exception):
    """A time-out, a broken connection, a 5xx or an unreadable answer: nobody knows whether it took effect."""


class BadSignature(Exception):
    """A notice that is not the channel's, or too old, or altered."""


class ChannelGateway(Protocol):
    """One channel of one store."""

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        """One outcome an update; an older version than the channel has is `stale` and changes nothing."""
        ...

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        """What came of a feed; None while it is not known."""
        ...

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        """What the channel shows, page by page: for comparing both sides."""
        ...

    async def publish(self, listings: Sequence[Listing]) -> Sequence[ListingOutcome]:
        """Offer goods, or offer them anew with another title or price."""
        ...

    async def withdraw(self, skus: Sequence[str]) -> Sequence[ListingOutcome]:
        """Offer them no longer."""
        ...

    async def fetch_orders(self, cursor: str = "") -> OrderPage:
        """What was sold or changed after the cursor; the empty one is the beginning."""
        ...

    async def acknowledge(self, external_ids: Sequence[str]) -> None:
        """The orders are here."""
        ...

    async def report_shipment(self, external_id: str, parcel: ParcelReport) -> None:
        """Tell the tracking number. The same number twice is one report."""
        ...

    async def cancel(self, external_id: str, reason: str) -> None:
        """The seller ends the order; doing it twice is doing it once."""
        ...

    async def refund(self, external_id: str, amount_minor: int, key: str) -> None:
        """Give money back through the channel, once for each key."""
        ...

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """A pushed notice, its signature checked over the raw body. Raises BadSignature."""
        ...
