"""The tables that are small and read whole: warehouses and channels, for deciding and for the API."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from services.inventory.domain.channel import Channel
from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from shared.database import Row


class Source(Protocol):
    """A database or a connection of it."""

    async def fetch(self, query: str, /, *args: Any) -> list[Row]: ...


_WAREHOUSES = "SELECT code, store_id, kind, country, name FROM warehouse ORDER BY code"


async def read_warehouses(source: Source) -> dict[str, Warehouse]:
    """All warehouses by code."""
    return {row["code"]: to_warehouse(row) for row in await source.fetch(_WAREHOUSES)}


def to_warehouse(row: Row) -> Warehouse:
    """A row of the table."""
    return Warehouse(
        code=row["code"],
        store_id=row["store_id"],
        kind=WarehouseKind(row["kind"]),
        country=row["country"],
        name=row["name"],
    )


_CHANNELS = """
SELECT c.store_id, c.name, c.buffer, c.country, b.sku, b.buffer AS own_buffer
FROM channel c
LEFT JOIN channel_buffer b
    ON b.store_id = c.store_id AND b.channel = c.name AND ($2::text[] IS NULL OR b.sku = ANY($2))
WHERE c.store_id = ANY($1)
ORDER BY c.store_id, c.name, b.sku
"""


async def read_channels(
    source: Source, stores: Collection[str], skus: Collection[str] | None
) -> dict[str, dict[str, Channel]]:
    """The stores' channels by store and name, with the buffers of these SKUs; None for the buffers of all."""
    rows = await source.fetch(_CHANNELS, list(stores), None if skus is None else list(skus))
    return _to_channels(rows)


def _to_channels(rows: Sequence[Row]) -> dict[str, dict[str, Channel]]:
    channels: dict[str, dict[str, Channel]] = {}
    buffers: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        key = row["store_id"], row["name"]
        if key not in buffers:
            own: Mapping[str, int] = buffers.setdefault(key, {})
            channel = Channel(name=row["name"], buffer=row["buffer"], country=row["country"], buffers=own)
            channels.setdefault(row["store_id"], {})[row["name"]] = channel
        if row["sku"] is not None:
            buffers[key][row["sku"]] = row["own_buffer"]
    return channels
