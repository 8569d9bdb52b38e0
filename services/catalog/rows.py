"""From rows to products; what both the repository and the queries read."""

from collections.abc import Sequence

from services.catalog.domain.pricing import EnteredPrice
from services.catalog.domain.product import Media, Product, ProductContent, ProductStatus
from shared.contracts.catalog import MarketPrice
from shared.contracts.values import GoodsFlag
from shared.database import Row
from shared.money import Money


def product_from(row: Row, prices: Sequence[Row]) -> Product:
    """A product from its row and its prices', which come by market and currency."""
    content = ProductContent(
        titles=row["titles"],
        descriptions=row["descriptions"],
        bullets={language: tuple(lines) for language, lines in row["bullets"].items()},
        media=tuple(Media(url=media["url"], alt=media["alt"]) for media in row["media"]),
        category=row["category"],
        hs_code=row["hs_code"],
        origin_country=row["origin_country"],
        weight_grams=row["weight_grams"],
        flags=tuple(GoodsFlag(flag) for flag in row["flags"]),
        claims_preference=row["claims_preference"],
        prices=tuple(_entered(price) for price in prices),
        attributes=row["attributes"],
    )
    by_market = sorted(prices, key=lambda price: (price["market"], price["foreign_currency"], price["currency"]))
    return Product(
        sku=row["sku"],
        store_id=row["store_id"],
        content=content,
        shown=tuple(_shown(price) for price in by_market),
        status=ProductStatus(row["status"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _entered(price: Row) -> EnteredPrice:
    return EnteredPrice(
        market=price["market"],
        price=Money(price["entered_amount"], price["currency"]),
        tax_included=price["entered_tax_included"],
        tax_rate_bps=price["entered_tax_rate_bps"],
        foreign_currency=price["foreign_currency"],
    )


def _shown(price: Row) -> MarketPrice:
    return MarketPrice(
        market=price["market"],
        price=Money(price["shown_amount"], price["currency"]),
        tax_included=price["tax_included"],
        tax_rate_bps=price["tax_rate_bps"],
    )
