"""What catalog tells: products, with their full state in every event."""

from dataclasses import dataclass

from shared.contracts.registry import Event, event
from shared.contracts.topics import PRODUCT
from shared.contracts.values import GoodsFlag
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPrice:
    """The price of one unit in a market. `tax_rate_bps` is the rate inside it where `tax_included` (1900 is 19 %)."""

    market: str
    price: Money
    tax_included: bool
    tax_rate_bps: int = 0


@event("catalog.product.published.v1", topic=PRODUCT, key="sku")
class ProductPublished(Event):
    """The product as it now is. Papers and prices are decided from this, so it holds all that they need."""

    sku: str
    version: int
    titles: dict[str, str]  # language (BCP 47) to title
    category: str
    prices: tuple[MarketPrice, ...]
    hs_code: str = ""  # 6 to 12 digits; empty while unclassified
    origin_country: str = ""
    weight_grams: int = 0  # 0 while unknown
    flags: tuple[GoodsFlag, ...] = ()
    claims_preference: bool = False  # preferential origin is claimed: a certificate of origin is owed


@event("catalog.product.withdrawn.v1", topic=PRODUCT, key="sku")
class ProductWithdrawn(Event):
    """The product is not sold any more. Orders that were placed go on."""

    sku: str
    version: int
