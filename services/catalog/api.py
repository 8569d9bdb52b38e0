"""Catalog's routes: parse, use case, shape."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response

from services.catalog import queries
from services.catalog.domain.language import preferences
from services.catalog.domain.product import ProductStatus
from services.catalog.schemas import (
    BatchOut,
    MarketCode,
    MarketOut,
    MarketsOut,
    ProductBatchIn,
    ProductEntered,
    ProductOut,
    ProductSummary,
    StatusOut,
)
from services.catalog.usecases.publish_products import PublishProducts
from services.catalog.usecases.withdraw_product import WithdrawProduct
from shared.http import (
    PROBLEMS,
    After,
    Caller,
    Commands,
    Limit,
    Page,
    Reads,
    Sku,
    Text,
    only_known_parameters,
    requires,
)

router = APIRouter(prefix="/v1", tags=["catalog"])

Reader = Annotated[Caller, requires("catalog:read")]
Writer = Annotated[Caller, requires("catalog:write", idempotent=True)]


@router.post(
    "/products:batch",
    operation_id="products.batch",
    responses={200: {"model": BatchOut}, **PROBLEMS},
    response_class=Response,
)
async def publish(body: ProductBatchIn, caller: Writer, commands: Commands) -> Response:
    """Create or replace up to 500 products. Each item is judged by itself; the same content again changes nothing."""
    return await commands.execute(caller, PublishProducts(caller.store_id, body.products))


@router.get(
    "/products", operation_id="products.list", responses=PROBLEMS, dependencies=[Depends(only_known_parameters)]
)
async def list_products(
    caller: Reader,
    database: Reads,
    category: Text | None = None,
    status: ProductStatus | None = None,
    market: MarketCode | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[ProductSummary]:
    """The store's products by SKU; `market` keeps those with a price there."""
    return await queries.products(
        database, caller.store_id, category=category, status=status, market=market, after=after, limit=limit
    )


@router.get(
    "/products:export",
    operation_id="products.export",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def export_products(
    caller: Reader, database: Reads, after: After = None, limit: Limit = 50
) -> Page[ProductEntered]:
    """The store's published products as they were put, by SKU. The batch takes them back as they are, changing nothing.

    Withdrawn products are left out: putting one back would sell it again.
    """
    return await queries.entered(database, caller.store_id, after=after, limit=limit)


@router.post(
    "/products/{sku:path}/withdrawal",
    operation_id="products.withdraw",
    responses={200: {"model": StatusOut}, **PROBLEMS},
    response_class=Response,
)
async def withdraw(sku: Sku, caller: Writer, commands: Commands) -> Response:
    """Sell the product no more. Publishing it again brings it back."""
    return await commands.execute(caller, WithdrawProduct(caller.store_id, sku))


@router.get(
    "/products/{sku:path}",
    operation_id="products.get",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def get_product(
    sku: Sku,
    caller: Reader,
    database: Reads,
    response: Response,
    market: Annotated[MarketCode | None, Query(description="Whose price; never guessed from the language.")] = None,
    accept_language: Annotated[str, Header()] = "",
) -> ProductOut:
    """The product, its texts in the reader's language: wanted, else the market's, else English, else any."""
    found = await queries.product(database, caller.store_id, sku, market, preferences(accept_language))
    response.headers["Content-Language"] = found.language
    response.headers["Vary"] = "Accept-Language"
    return found


@router.get("/markets", operation_id="markets.list", responses=PROBLEMS, dependencies=[Depends(only_known_parameters)])
async def list_markets(caller: Reader, database: Reads) -> MarketsOut:
    """Every market: its currency, its tax, and whether buyers see prices with the tax inside."""
    return await queries.markets(database)


@router.get("/markets/{code}", operation_id="markets.get", responses=PROBLEMS)
async def get_market(code: MarketCode, caller: Reader, database: Reads) -> MarketOut:
    """One market."""
    return await queries.market(database, code)
