"""Inventory's routes: parse, use case, shape."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.inventory import queries
from services.inventory.schemas import (
    AdjustmentIn,
    AdjustmentOut,
    ChannelIn,
    ChannelName,
    ChannelOut,
    MovementOut,
    OrderId,
    ReservationOut,
    StockOut,
    StockSummary,
    WarehouseCode,
    WarehouseIn,
    WarehouseOut,
)
from shared.http import (
    PROBLEMS,
    After,
    Caller,
    Commands,
    Limit,
    Page,
    Reads,
    Sku,
    only_known_parameters,
    requires,
)

router = APIRouter(prefix="/v1", tags=["inventory"])

Reader = Annotated[Caller, requires("stock:read")]
Writer = Annotated[Caller, requires("stock:write")]
KeyedWriter = Annotated[Caller, requires("stock:write", idempotent=True)]
LISTS = [Depends(only_known_parameters)]


@router.put(
    "/warehouses/{code}",
    operation_id="warehouses.put",
    responses={200: {"model": WarehouseOut}, 201: {"model": WarehouseOut}, **PROBLEMS},
    response_class=Response,
)
async def put_warehouse(code: WarehouseCode, body: WarehouseIn, caller: Writer, commands: Commands) -> Response:
    """Set up a warehouse, or rename it. Kind and country are for ever."""
    return await commands.execute(caller, body.to_command(code))


@router.get("/warehouses", operation_id="warehouses.list", responses=PROBLEMS, dependencies=LISTS)
async def list_warehouses(
    caller: Reader, database: Reads, after: After = None, limit: Limit = 50
) -> Page[WarehouseOut]:
    """The store's warehouses by code."""
    return await queries.warehouses(database, caller.store_id, after, limit)


@router.post(
    "/stock/adjustments",
    operation_id="stock.adjust",
    status_code=201,
    responses={201: {"model": AdjustmentOut}, **PROBLEMS},
    response_class=Response,
)
async def adjust(body: AdjustmentIn, caller: KeyedWriter, commands: Commands) -> Response:
    """Say what came, what went, or what is really there: up to 500 SKUs in one warehouse, all or none."""
    return await commands.execute(caller, body.to_command())


@router.get("/stock", operation_id="stock.list", responses=PROBLEMS, dependencies=LISTS)
async def list_stock(caller: Reader, database: Reads, after: After = None, limit: Limit = 50) -> Page[StockSummary]:
    """The store's SKUs with their totals."""
    return await queries.all_stock(database, caller.store_id, after, limit)


@router.get("/stock/{sku:path}/movements", operation_id="stock.movements", responses=PROBLEMS, dependencies=LISTS)
async def list_movements(
    sku: Sku, caller: Reader, database: Reads, after: After = None, limit: Limit = 50
) -> Page[MovementOut]:
    """The SKU's ledger, newest entry first. Its sum is the stock."""
    return await queries.movements(database, caller.store_id, sku, after, limit)


@router.get("/stock/{sku:path}", operation_id="stock.get", responses=PROBLEMS)
async def get_stock(sku: Sku, caller: Reader, database: Reads) -> StockOut:
    """One SKU, by warehouse and by channel."""
    return await queries.stock(database, caller.store_id, sku)


@router.get("/reservations/{order_id}", operation_id="reservations.get", responses=PROBLEMS)
async def get_reservation(order_id: OrderId, caller: Reader, database: Reads) -> ReservationOut:
    """What an order holds, waits for, or took."""
    return await queries.reservation(database, caller.store_id, order_id)


@router.put(
    "/channels/{channel}",
    operation_id="channels.put",
    responses={200: {"model": ChannelOut}, **PROBLEMS},
    response_class=Response,
)
async def put_channel(channel: ChannelName, body: ChannelIn, caller: Writer, commands: Commands) -> Response:
    """Set what a channel may sell. It is told anew of every SKU, some hundred at a time."""
    return await commands.execute(caller, body.to_command(channel))


@router.get("/channels", operation_id="channels.list", responses=PROBLEMS)
async def list_channels(caller: Reader, database: Reads) -> Page[ChannelOut]:
    """The store's channels. `storefront` is always there."""
    return await queries.channels(database, caller.store_id)
