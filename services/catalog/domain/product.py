"""A product: the seller's content, what buyers see of it, and a version that counts real changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from services.catalog.domain.hs_code import normalise_hs_code
from services.catalog.domain.market import MarketBook
from services.catalog.domain.pricing import EnteredPrice, shown_prices
from shared.contracts.catalog import MarketPrice, ProductPublished, ProductWithdrawn
from shared.contracts.values import GoodsFlag
from shared.errors import Kind, Refusal

AttributeValue = str | int | bool


class ProductStatus(StrEnum):
    """Published is for sale in the markets that have a price. Withdrawn is not; publishing again brings it back."""

    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class Outcome(StrEnum):
    """What publishing came to."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture or film; `alt` is its text by language."""

    url: str
    alt: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductContent:
    """All that the seller says of a product. Texts are by language (BCP 47); `hs_code` empty means not classified yet."""

    titles: Mapping[str, str]
    descriptions: Mapping[str, str] = field(default_factory=dict[str, str])
    bullets: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    media: tuple[Media, ...] = ()
    category: str = ""
    hs_code: str = ""
    origin_country: str = ""
    weight_grams: int = 0
    flags: tuple[GoodsFlag, ...] = ()
    claims_preference: bool = False
    prices: tuple[EnteredPrice, ...] = ()
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])


@dataclass(frozen=True, slots=True)
class CheckedContent:
    """Content that keeps every rule, with the prices that buyers see."""

    content: ProductContent
    shown: tuple[MarketPrice, ...]


def check_content(content: ProductContent, markets: MarketBook, at: datetime) -> CheckedContent | Refusal:
    """The content in its normal form with its prices as shown on that day, or the first rule that it breaks."""
    if not content.titles:
        return _refuse("product.untitled", "a product has a title in at least one language", "/titles")
    hs_code = normalise_hs_code(content.hs_code)
    if isinstance(hs_code, Refusal):
        return hs_code
    if content.origin_country and not markets.is_country(content.origin_country):
        return _refuse(
            "product.unknown_origin", f"{content.origin_country} is no ISO 3166-1 country", "/origin_country"
        )
    if content.claims_preference and not content.origin_country:
        return _refuse(
            "product.preference_without_origin",
            "a preferential origin is claimed, but no origin is named",
            "/origin_country",
        )
    shown = shown_prices(content.prices, markets, at.date())
    if isinstance(shown, Refusal):
        return shown
    return CheckedContent(_normal(content, hs_code, markets), shown)


def _normal(content: ProductContent, hs_code: str, markets: MarketBook) -> ProductContent:
    # Sellers' exports list flags and prices in any order, and state the obvious or not: neither is a change.
    stated = (
        replace(price, foreign_currency=markets.is_foreign(price.price.currency, price.market))
        for price in content.prices
    )
    prices = sorted(stated, key=lambda price: (price.market, price.price.currency))
    return replace(content, hs_code=hs_code, flags=tuple(sorted(set(content.flags))), prices=tuple(prices))


@dataclass(slots=True, kw_only=True)
class Product:
    """One SKU of one store. Only `publish` and `withdraw` change it, and each counts the version up once."""

    sku: str
    store_id: str
    content: ProductContent
    shown: tuple[MarketPrice, ...]
    status: ProductStatus
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def create(cls, sku: str, store_id: str, checked: CheckedContent, at: datetime) -> "Product":
        """A product that is for sale from now on, at version 1."""
        return cls(
            sku=sku, store_id=store_id, content=checked.content, shown=checked.shown, status=ProductStatus.PUBLISHED, version=1,
            created_at=at, updated_at=at,
        )  # fmt: skip

    def publish(self, checked: CheckedContent, at: datetime) -> Outcome:
        """Take over the content; the same content again changes nothing, not even the version."""
        same = self.content == checked.content and self.shown == checked.shown
        if same and self.status is ProductStatus.PUBLISHED:
            return Outcome.UNCHANGED
        self.content, self.shown, self.status = checked.content, checked.shown, ProductStatus.PUBLISHED
        self._touch(at)
        return Outcome.UPDATED

    def withdraw(self, at: datetime) -> bool:
        """Sell it no more. False when that was so already."""
        if self.status is ProductStatus.WITHDRAWN:
            return False
        self.status = ProductStatus.WITHDRAWN
        self._touch(at)
        return True

    def published(self) -> ProductPublished:
        """The event that tells the product as it now is."""
        content = self.content
        return ProductPublished(
            sku=self.sku,
            version=self.version,
            titles=dict(content.titles),
            category=content.category,
            prices=self.shown,
            hs_code=content.hs_code,
            origin_country=content.origin_country,
            weight_grams=content.weight_grams,
            flags=content.flags,
            claims_preference=content.claims_preference,
        )

    def withdrawn(self) -> ProductWithdrawn:
        """The event that tells that it is not sold any more."""
        return ProductWithdrawn(sku=self.sku, version=self.version)

    def _touch(self, at: datetime) -> None:
        self.version += 1
        self.updated_at = at


def _refuse(code: str, detail: str, pointer: str) -> Refusal:
    return Refusal(code=code, detail=detail, kind=Kind.INVALID, facts={"pointer": pointer})
