"""The tables that are small and read whole: warehouses and channels, for deciding and for the API."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from services.inventory.domain.channel import Channel
from services.inventory.domain.policy import Policy
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
SELECT c.store_id, c.name, c.country, c.buffer, c.cap, c.allotment, c.closed, c.units_per_s,
    coalesce(h.lag_s, 0) AS lag_s, coalesce(h.objective_s, 0) AS objective_s,
    p.sku, p.buffer AS sku_buffer, p.cap AS sku_cap, p.allotment AS sku_allotment, p.closed AS sku_closed
FROM channel c
LEFT JOIN channel_health h ON h.store_id = c.store_id AND h.channel = c.name AND h.connected
LEFT JOIN channel_policy p
    ON p.store_id = c.store_id AND p.channel = c.name AND ($2::text[] IS NULL OR p.sku = ANY($2))
WHERE c.store_id = ANY($1)
ORDER BY c.store_id, c.name, p.sku
"""


async def read_channels(
    source: Source, stores: Collection[str], skus: Collection[str] | None
) -> dict[str, dict[str, Channel]]:
    """The stores' channels by store and name, with the policies of these SKUs; None for the policies of all."""
    rows = await source.fetch(_CHANNELS, list(stores), None if skus is None else list(skus))
    return _to_channels(rows)


def _to_channels(rows: Sequence[Row]) -> dict[str, dict[str, Channel]]:
    channels: dict[str, dict[str, Channel]] = {}
    policies: dict[tuple[str, str], dict[str, Policy]] = {}
    for row in rows:
        key = row["store_id"], row["name"]
        if key not in policies:
            policies[key] = {}
            channels.setdefault(row["store_id"], {})[row["name"]] = Channel(
                name=row["name"],
                country=row["country"],
                policy=to_policy(row),
                policies=policies[key],
                units_per_s=row["units_per_s"],
                lag_s=row["lag_s"],
                objective_s=row["objective_s"],
            )
        if row["sku"] is not None:
            policies[key][row["sku"]] = to_policy(row, "sku_")
    return channels


def to_policy(row: Row, prefix: str = "") -> Policy:
    """A policy from the columns that begin so."""
    return Policy(
        closed=row[f"{prefix}closed"],
        buffer=row[f"{prefix}buffer"],
        cap=row[f"{prefix}cap"],
        allotment=row[f"{prefix}allotment"],
    )
