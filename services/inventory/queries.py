"""Reading stock, reservations and the ledger. A store sees only its own."""

from collections.abc import Mapping

from services.inventory.domain.channel import Channel, stock_by_channel, with_storefront
from services.inventory.domain.stock import StockItem, StockLevel
from services.inventory.rows import read_channels, read_warehouses
from services.inventory.schemas import (
    AllocationOut,
    ChannelOut,
    ChannelStockOut,
    DemandOut,
    LevelOut,
    MovementOut,
    ReservationOut,
    StockOut,
    StockSummary,
    WarehouseOut,
)
from shared.database import Database, Row
from shared.errors import Kind, Refusal, Refused, not_found
from shared.http import Page, decode_cursor, page


async def warehouses(database: Database, store_id: str, after: str | None, limit: int) -> Page[WarehouseOut]:
    """The store's warehouses by code."""
    place = decode_cursor(after, 1)
    rows = await database.fetch(
        "SELECT code, kind, country, name FROM warehouse WHERE store_id = $1 AND ($2::text IS NULL OR code > $2)"
        " ORDER BY code LIMIT $3",
        store_id,
        place and place[0],
        limit + 1,
    )
    return page([WarehouseOut(**row) for row in rows], limit, lambda warehouse: [warehouse.code])


async def stock(database: Database, store_id: str, sku: str) -> StockOut:
    """One SKU, by warehouse and by channel. Raises Refused `stock.not_found`."""
    rows = await database.fetch(
        "SELECT i.version, l.warehouse, l.on_hand, l.reserved FROM stock_item i LEFT JOIN stock_level l USING (sku)"
        " WHERE i.sku = $1 AND i.store_id = $2 ORDER BY l.warehouse",
        sku,
        store_id,
    )
    if not rows:
        raise not_found("stock", sku)
    item = StockItem(sku, store_id, rows[0]["version"])
    item.levels = {row["warehouse"]: StockLevel(row["on_hand"], row["reserved"]) for row in rows if row["warehouse"]}
    return await _stock_out(item, database)


_IN_TRANSIT = """
SELECT coalesce(sum(shipped - arrived - damaged - short), 0)::bigint FROM transfer_line
WHERE sku = $1 AND arrived + damaged + short < shipped
"""


async def _stock_out(item: StockItem, database: Database) -> StockOut:
    places = await read_warehouses(database)
    channels = await _channels_of(item.store_id, database, [item.sku])
    shares = stock_by_channel(item, channels.values(), places)
    return StockOut(
        sku=item.sku,
        version=item.version,
        on_hand=item.on_hand,
        reserved=item.reserved,
        available=item.on_hand - item.reserved,
        in_transit=await database.fetchval(_IN_TRANSIT, item.sku),
        warehouses=[
            LevelOut(
                warehouse=code,
                kind=places[code].kind,
                country=places[code].country,
                on_hand=level.on_hand,
                reserved=level.reserved,
                available=level.available,
            )
            for code, level in item.levels.items()
        ],
        channels=[
            ChannelStockOut(
                channel=share.channel,
                available=share.available,
                buffer=channels[share.channel].buffer_of(item.sku),
            )
            for share in shares
        ],
    )


async def all_stock(database: Database, store_id: str, after: str | None, limit: int) -> Page[StockSummary]:
    """The store's SKUs, in their order."""
    place = decode_cursor(after, 1)
    rows = await database.fetch(
        """
        SELECT i.sku, i.version, coalesce(sum(l.on_hand), 0)::bigint AS on_hand,
            coalesce(sum(l.reserved), 0)::bigint AS reserved, coalesce(sum(l.on_hand - l.reserved), 0)::bigint AS available
        FROM (
            SELECT sku, version FROM stock_item WHERE store_id = $1 AND ($2::text IS NULL OR sku > $2)
            ORDER BY sku LIMIT $3
        ) i LEFT JOIN stock_level l USING (sku)
        GROUP BY i.sku, i.version ORDER BY i.sku
        """,
        store_id,
        place and place[0],
        limit + 1,
    )
    return page([StockSummary(**row) for row in rows], limit, lambda summary: [summary.sku])


async def movements(database: Database, store_id: str, sku: str, after: str | None, limit: int) -> Page[MovementOut]:
    """The SKU's ledger, newest first. Raises Refused `stock.not_found`."""
    place = decode_cursor(after, 1)
    if not await database.fetchval("SELECT true FROM stock_item WHERE sku = $1 AND store_id = $2", sku, store_id):
        raise not_found("stock", sku)
    rows = await database.fetch(
        """
        SELECT id::text, sku, warehouse, kind, on_hand, reserved, in_transit, cause, reason, message_id, at FROM movement
        WHERE sku = $1 AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
        """,
        sku,
        _entry(place[0]) if place else None,
        limit + 1,
    )
    return page([MovementOut(**row) for row in rows], limit, lambda entry: [entry.id])


async def reservation(database: Database, store_id: str, order_id: str) -> ReservationOut:
    """What the order holds. Raises Refused `reservation.not_found`."""
    row = await database.fetchrow(
        """
        SELECT order_id, status, refusable, confirmed, demand, restocked, allocations, expires_at, created_at, updated_at
        FROM reservation WHERE order_id = $1 AND store_id = $2
        """,
        order_id,
        store_id,
    )
    if row is None:
        raise not_found("reservation", order_id)
    return _reservation_out(row)


def _reservation_out(row: Row) -> ReservationOut:
    return ReservationOut(
        order_id=row["order_id"],
        status=row["status"],
        refusable=row["refusable"],
        confirmed=row["confirmed"],
        lines=[
            DemandOut(sku=sku, quantity=quantity, restocked=row["restocked"].get(sku, 0))
            for sku, quantity in sorted(row["demand"].items())
        ],
        allocations=[AllocationOut(**part) for part in row["allocations"]],
        expires_at=row["expires_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def channels(database: Database, store_id: str) -> Page[ChannelOut]:
    """The store's channels, by name, with every buffer in units."""
    found = await _channels_of(store_id, database, None)
    shown = [
        ChannelOut(
            name=name,
            buffer=channel.policy.buffer,
            country=channel.country,
            skus={sku: own.buffer for sku, own in channel.policies.items() if own.buffer is not None},
            cap=channel.policy.cap,
            allotment=channel.policy.allotment,
            closed=channel.policy.closed,
            units_per_s=channel.units_per_s,
        )
        for name, channel in sorted(found.items())
    ]
    return Page(data=shown, has_more=False, next=None)


async def _channels_of(store_id: str, database: Database, skus: list[str] | None) -> Mapping[str, Channel]:
    found = await read_channels(database, [store_id], skus)
    return with_storefront(found.get(store_id, {}))


def _entry(place: str) -> int:
    if not (place.isascii() and place.isdigit() and len(place) < 19):
        raise Refused(Refusal(code="cursor.malformed", detail="this is not a cursor of this list", kind=Kind.MALFORMED))
    return int(place)
