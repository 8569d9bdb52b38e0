"""What orders knows of the catalog: its own copy, kept by catalog's events, so that placing an order asks nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one unit costs in each market, in the market's own currency first. A withdrawn product keeps its prices, unsold."""

    sku: str
    store_id: str
    version: int
    prices: Mapping[str, tuple[Money, ...]] = field(default_factory=dict[str, tuple[Money, ...]])
    withdrawn: bool = False

    def price(self, market: str, currency: str = "") -> Money | None:
        """The price in the market, in that currency or else in the market's own; None where it is not sold so."""
        prices = self.prices.get(market, ())
        return next((price for price in prices if currency in ("", price.currency)), None)

    def learn(self, product: ProductPublished | ProductWithdrawn) -> "Offer":
        """The offer after an event. The newer version wins, whatever came first."""
        if product.version <= self.version:
            return self
        news = offer_of(product, self.store_id)
        # A withdrawal carries no prices: those that were known stay.
        return replace(news, prices=self.prices) if news.withdrawn else news


def offer_of(product: ProductPublished | ProductWithdrawn, store_id: str) -> Offer:
    """The offer that an event tells of."""
    if isinstance(product, ProductWithdrawn):
        return Offer(sku=product.sku, store_id=store_id, version=product.version, withdrawn=True)
    prices: dict[str, tuple[Money, ...]] = {}
    for found in product.prices:
        prices[found.market] = (*prices.get(found.market, ()), found.price)
    return Offer(sku=product.sku, store_id=store_id, version=product.version, prices=prices)
