"""What a batch of messages touches: the products it names, and the markets."""

from dataclasses import dataclass, field

from services.catalog.domain.market import MarketBook
from services.catalog.domain.product import Product


@dataclass(slots=True)
class Catalog:
    """Products by SKU as they stand, with the book of markets."""

    markets: MarketBook
    products: dict[str, Product] = field(default_factory=dict[str, Product])
    _new: set[str] = field(default_factory=set[str])
    _changed: set[str] = field(default_factory=set[str])

    def add(self, product: Product) -> None:
        """A product that was not there before."""
        self.products[product.sku] = product
        self._new.add(product.sku)

    def touch(self, product: Product) -> None:
        """This product has changed and must be saved."""
        self._changed.add(product.sku)

    def added(self) -> list[Product]:
        """What came in, by SKU."""
        return [self.products[sku] for sku in sorted(self._new)]

    def changed(self) -> list[Product]:
        """What changed and was there before, by SKU."""
        return [self.products[sku] for sku in sorted(self._changed - self._new)]
