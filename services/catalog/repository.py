"""Loading and saving what a batch touches: one statement a table."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from services.catalog.domain.catalog import Catalog
from services.catalog.domain.product import Product
from services.catalog.market_book import market_book
from services.catalog.rows import product_from
from services.catalog.usecases.publish_products import PublishProducts
from services.catalog.usecases.withdraw_product import WithdrawProduct
from shared.database import Connection, Stale, columns
from shared.errors import Refusal
from shared.jsonable import dumps
from shared.messaging.message import Message

_COLUMNS = (
    "sku, store_id, status, version, category, hs_code, origin_country, weight_grams, flags, claims_preference, "
    "titles, descriptions, bullets, media, attributes, created_at, updated_at"
)


async def load_catalog(messages: Sequence[Message], connection: Connection) -> Catalog:
    """The products that the messages name, locked by SKU, with their prices."""
    catalog = Catalog(market_book())
    skus = sorted({sku for message in messages for sku in _named(message.body)})
    if not skus:
        return catalog
    rows = await connection.fetch("SELECT * FROM product WHERE sku = ANY($1) ORDER BY sku FOR UPDATE", skus)
    prices = await connection.fetch(
        "SELECT * FROM product_price WHERE sku = ANY($1) ORDER BY sku, market, currency", skus
    )
    by_sku = {sku: list(group) for sku, group in groupby(prices, key=lambda price: price["sku"])}
    catalog.products = {row["sku"]: product_from(row, by_sku.get(row["sku"], [])) for row in rows}
    return catalog


async def save_catalog(catalog: Catalog, connection: Connection) -> None:
    """Insert what is new, update what changed, replace their prices."""
    added, changed = catalog.added(), catalog.changed()
    if added:
        await _insert(added, connection)
    if changed:
        await _update(changed, connection)
        await connection.execute("DELETE FROM product_price WHERE sku = ANY($1)", [product.sku for product in changed])
    if prices := [row for product in (*added, *changed) for row in _price_rows(product)]:
        await connection.execute(_INSERT_PRICES, *columns(prices))


def _named(body: Any) -> Iterator[str]:
    match body:
        case PublishProducts(_, submissions):
            yield from (each.sku for each in submissions if not isinstance(each.content, Refusal))
        case WithdrawProduct(_, sku):
            yield sku
        case _:
            return


_GIVEN = """
    unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[], $9::text[], $10::bool[],
           $11::jsonb[], $12::jsonb[], $13::jsonb[], $14::text[], $15::jsonb[], $16::timestamptz[], $17::timestamptz[])
"""
# An array of arrays would be one array of two dimensions, so what is a list in each product travels as text.
_FLAGS = "given.flags::text[]"

_INSERT = f"""
INSERT INTO product ({_COLUMNS})
SELECT sku, store_id, status, version, category, hs_code, origin_country, weight_grams, {_FLAGS}, claims_preference,
       titles, descriptions, bullets, media::jsonb, attributes, created_at, updated_at
FROM {_GIVEN} AS given({_COLUMNS})
ON CONFLICT (sku) DO NOTHING
RETURNING sku
"""  # noqa: S608 - made of constants

_UPDATE = f"""
UPDATE product SET
    status = given.status, version = given.version, category = given.category, hs_code = given.hs_code,
    origin_country = given.origin_country, weight_grams = given.weight_grams, flags = {_FLAGS},
    claims_preference = given.claims_preference, titles = given.titles, descriptions = given.descriptions,
    bullets = given.bullets, media = given.media::jsonb, attributes = given.attributes, updated_at = given.updated_at
FROM {_GIVEN} AS given({_COLUMNS})
WHERE product.sku = given.sku
"""  # noqa: S608 - made of constants

_INSERT_PRICES = """
INSERT INTO product_price (sku, market, currency, entered_amount, entered_tax_included, entered_tax_rate_bps, foreign_currency,
                           shown_amount, tax_included, tax_rate_bps)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bool[], $6::int[], $7::bool[], $8::bigint[], $9::bool[], $10::int[])
"""


async def _insert(products: Sequence[Product], connection: Connection) -> None:
    made = await connection.fetch(_INSERT, *columns([_row(product) for product in products]))
    if len(made) < len(products):
        raise Stale("another replica has just created one of these products")


async def _update(products: Sequence[Product], connection: Connection) -> None:
    await connection.execute(_UPDATE, *columns([_row(product) for product in products]))


def _row(product: Product) -> tuple[Any, ...]:
    content = product.content
    return (
        product.sku,
        product.store_id,
        product.status,
        product.version,
        content.category,
        content.hs_code,
        content.origin_country,
        content.weight_grams,
        f"{{{','.join(content.flags)}}}",
        content.claims_preference,
        content.titles,
        content.descriptions,
        content.bullets,
        dumps(content.media).decode(),
        content.attributes,
        product.created_at,
        product.updated_at,
    )


def _price_rows(product: Product) -> Iterator[tuple[Any, ...]]:
    shown = {(price.market, price.price.currency): price for price in product.shown}
    for entered in product.content.prices:
        seen = shown[entered.market, entered.price.currency]
        yield (
            product.sku,
            entered.market,
            entered.price.currency,
            entered.price.amount,
            entered.tax_included,
            entered.tax_rate_bps,
            entered.foreign_currency,
            seen.price.amount,
            seen.tax_included,
            seen.tax_rate_bps,
        )
