"""Reading the catalog."""

from collections.abc import Sequence

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency

from services.catalog.domain.language import choose
from services.catalog.domain.market import Market
from services.catalog.domain.pricing import without_tax
from services.catalog.domain.product import Product, ProductStatus
from services.catalog.market_book import market_book
from services.catalog.rows import product_from
from services.catalog.schemas import (
    EnteredPriceOut,
    MarketOut,
    MarketsOut,
    MediaOut,
    PriceOut,
    ProductEntered,
    ProductOut,
    ProductSummary,
    TaxOut,
)
from shared.contracts.catalog import MarketPrice
from shared.database import Database
from shared.errors import Kind, Refusal, Refused, not_found
from shared.http import Page, decode_cursor, page


async def product(
    database: Database, store_id: str, sku: str, market_code: str | None, wanted: Sequence[str]
) -> ProductOut:
    """The product in the language nearest to what is wanted, with the market's price. Raises Refused with NOT_FOUND."""
    market = _market(market_code)
    found = await _find(database, store_id, sku)
    price = None if market is None else _price_in(found, market)
    language = choose(wanted, found.content.titles, market.languages if market else ())
    return _product_out(found, language, price, market)


async def products(
    database: Database,
    store_id: str,
    *,
    category: str | None,
    status: ProductStatus | None,
    market: str | None,
    after: str | None,
    limit: int,
) -> Page[ProductSummary]:
    """The store's products by SKU."""
    place = decode_cursor(after, 1)
    rows = await database.fetch(
        """
        SELECT sku, status, version, category, titles, hs_code, origin_country, weight_grams, updated_at
        FROM product
        WHERE store_id = $1 AND ($2::text IS NULL OR sku > $2) AND ($3::text IS NULL OR category = $3)
          AND ($4::text IS NULL OR status = $4)
          AND ($5::text IS NULL OR EXISTS (SELECT FROM product_price p WHERE p.sku = product.sku AND p.market = $5))
        ORDER BY sku LIMIT $6
        """,
        store_id,
        place[0] if place else None,
        category,
        status,
        market,
        limit + 1,
    )
    return page([ProductSummary.model_validate(dict(row)) for row in rows], limit, lambda item: [item.sku])


async def entered(database: Database, store_id: str, *, after: str | None, limit: int) -> Page[ProductEntered]:
    """The store's published products with all that was put of them, by SKU."""
    place = decode_cursor(after, 1)
    # One statement, thus one snapshot: a product with another moment's prices would be put back as a change.
    rows = await database.fetch(
        """
        SELECT sku, titles, descriptions, bullets, media, category, hs_code, origin_country, weight_grams, flags,
               claims_preference, attributes,
               ARRAY(SELECT jsonb_build_object(
                         'market', p.market,
                         'price', jsonb_build_object('amount', p.entered_amount::text, 'currency', p.currency),
                         'tax_included', p.entered_tax_included,
                         'tax_rate_bps', p.entered_tax_rate_bps,
                         'foreign_currency', p.foreign_currency)
                     FROM product_price p WHERE p.sku = product.sku ORDER BY p.market, p.currency) AS prices
        FROM product
        WHERE store_id = $1 AND status = 'published' AND ($2::text IS NULL OR sku > $2)
        ORDER BY sku LIMIT $3
        """,
        store_id,
        place[0] if place else None,
        limit + 1,
    )
    return page([ProductEntered.model_validate(dict(row)) for row in rows], limit, lambda item: [item.sku])


async def markets(database: Database) -> MarketsOut:
    """Every market, with the tax rate of today by the database's clock."""
    now = await database.fetchval("SELECT now()")
    return MarketsOut(data=[MarketOut.of(market, now) for market in market_book().all()])


async def market(database: Database, code: str) -> MarketOut:
    """One market. Raises Refused with NOT_FOUND."""
    now = await database.fetchval("SELECT now()")
    found = _market(code)
    assert found is not None  # noqa: S101 - a code was given
    return MarketOut.of(found, now)


def _market(code: str | None) -> Market | None:
    if code is None:
        return None
    market = market_book().find(code)
    if market is None:
        raise not_found("market", code)
    return market


async def _find(database: Database, store_id: str, sku: str) -> Product:
    async with database.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM product WHERE sku = $1 AND store_id = $2", sku, store_id)
        if row is None:
            raise not_found("product", sku)
        prices = await connection.fetch("SELECT * FROM product_price WHERE sku = $1 ORDER BY market, currency", sku)
    return product_from(row, prices)


def _price_in(found: Product, market: Market) -> MarketPrice:
    price = next((price for price in found.shown if price.market == market.code), None)
    if price is None or found.status is ProductStatus.WITHDRAWN:
        detail = f"{found.sku} is not sold in {market.code}"
        raise Refused(
            Refusal(code="product.not_sold", detail=detail, kind=Kind.NOT_FOUND, clears_with="a price in this market")
        )
    return price


def _product_out(found: Product, language: str, price: MarketPrice | None, market: Market | None) -> ProductOut:
    content = found.content
    return ProductOut(
        sku=found.sku,
        status=found.status,
        version=found.version,
        language=language,
        title=content.titles[language],
        description=content.descriptions.get(language, ""),
        bullets=list(content.bullets.get(language, ())),
        price=None if price is None or market is None else _price_out(price, market, language),
        titles=dict(content.titles),
        category=content.category,
        hs_code=content.hs_code,
        origin_country=content.origin_country,
        weight_grams=content.weight_grams,
        flags=list(content.flags),
        claims_preference=content.claims_preference,
        media=[MediaOut(url=media.url, alt=dict(media.alt)) for media in content.media],
        attributes=dict(content.attributes),
        prices=[EnteredPriceOut.model_validate(entered) for entered in content.prices],
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _price_out(shown: MarketPrice, market: Market, language: str) -> PriceOut:
    net = without_tax(shown)
    tax = (
        TaxOut(name=market.tax_name, rate_bps=shown.tax_rate_bps, amount=shown.price - net)
        if shown.tax_included
        else None
    )
    return PriceOut(
        market=market.code,
        price=shown.price,
        formatted=_formatted(shown, language),
        tax_included=shown.tax_included,
        tax=tax,
        price_without_tax=net,
    )


def _formatted(shown: MarketPrice, language: str) -> str:
    # Without quantization CLDR's display digits are a minimum: it knows no cents for LBP or RSD and would round them away.
    return format_currency(
        shown.price.decimal(), shown.price.currency, locale=_locale(language), decimal_quantization=False
    )


def _locale(language: str) -> Locale:
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale("en")
