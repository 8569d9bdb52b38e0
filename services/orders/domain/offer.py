"""What orders knows of the catalog: its own copy, kept by catalog's events, so that placing an order asks nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one unit costs in each market. A withdrawn product keeps its prices, and is not sold."""

    sku: str
    version: int
    prices: Mapping[str, Money] = field(default_factory=dict[str, Money])
    withdrawn: bool = False

    def learn(self, product: ProductPublished | ProductWithdrawn) -> "Offer":
        """The offer after an event. The newer version wins, whatever came first."""
        return self if product.version <= self.version else offer_of(product, self.prices)


def offer_of(product: ProductPublished | ProductWithdrawn, known_prices: Mapping[str, Money] | None = None) -> Offer:
    """The offer that an event tells of. A withdrawal carries no prices: those that were known stay."""
    if isinstance(product, ProductWithdrawn):
        return Offer(sku=product.sku, version=product.version, prices=known_prices or {}, withdrawn=True)
    prices = {price.market: price.price for price in product.prices}
    return Offer(sku=product.sku, version=product.version, prices=prices)
