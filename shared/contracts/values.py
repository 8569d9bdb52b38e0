"""Words that several events share. Like the events they are additive for ever."""

from dataclasses import dataclass
from enum import StrEnum

from shared.money import Money


class GoodsFlag(StrEnum):
    """What a carrier must know about goods."""

    BATTERY = "battery"
    LIQUID = "liquid"
    FRAGILE = "fragile"
    AEROSOL = "aerosol"


class PaymentMode(StrEnum):
    """Who takes the buyer's money: we collect it, or the channel already has."""

    COLLECT = "collect"
    COLLECTED_BY_CHANNEL = "collected_by_channel"


class PaymentMethod(StrEnum):
    """The kind of method; it decides when the money is captured."""

    CARD = "card"  # at dispatch
    WALLET = "wallet"  # at once
    BANK_TRANSFER = "bank_transfer"  # at once
    CASH_ON_DELIVERY = "cash_on_delivery"  # at delivery
    CHANNEL = "channel"  # the channel has it


class Incoterm(StrEnum):
    """Who pays duty and import tax: delivered duty paid (the seller), delivered at place (the buyer)."""

    DDP = "DDP"
    DAP = "DAP"


class ServiceLevel(StrEnum):
    """How fast the buyer was promised the parcel."""

    ECONOMY = "economy"
    STANDARD = "standard"
    EXPRESS = "express"


class Grade(StrEnum):
    """What a returned unit is worth: only `sellable` goes back on the shelf."""

    SELLABLE = "sellable"
    DAMAGED = "damaged"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something is refused or held. `code` is stable; `clears_with` says what would clear it."""

    code: str
    message: str
    clears_with: str = ""
    rule: str = ""
    source: str = ""
    subject: str = ""  # the sku, document or limit it is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the goods go, as far as tax and customs need it. Countries are ISO 3166-1 alpha-2."""

    country: str
    region: str = ""  # ISO 3166-2 subdivision without the country, where tax needs it
    postal_area: str = ""  # the leading part of the postcode, never the whole of it


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """A line as sold. `total` is what the buyer pays for the line: unit price times quantity."""

    line: int  # 1, 2, 3 …
    sku: str
    quantity: int
    unit_price: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTotals:
    """What the order comes to; the parts add up to `total`. Included tax is inside `goods`."""

    goods: Money
    shipping: Money
    duties: Money
    taxes: Money
    fees: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSignals:
    """Keyed hashes (HMAC) of who and what ordered; never the plain values. Empty where unknown, as for channels."""

    customer: str = ""
    email: str = ""
    phone: str = ""
    device: str = ""
    address: str = ""
    ip: str = ""
    card: str = ""  # the provider's card fingerprint, which is not a card number


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Units of one SKU in one warehouse; `country` is the warehouse's."""

    sku: str
    warehouse: str
    country: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """What is missing of a SKU: `requested` units, `available` when it was decided."""

    sku: str
    requested: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One box from one warehouse."""

    parcel_id: str
    warehouse: str
    tracking_number: str
    weight_grams: int
    items: tuple[Allocation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLine:
    """Units of a SKU on their way back. `reason` is a code: `damaged`, `not_as_described`, `unwanted`, `late` …"""

    sku: str
    quantity: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedLine:
    """Units of a SKU that came back, graded; `warehouse` is where they are."""

    sku: str
    quantity: int
    grade: Grade
    warehouse: str
