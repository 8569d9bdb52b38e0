"""Reads for the channels API."""

from datetime import datetime

from services.orders.channel_schemas import ChannelRefusalOut, FulfilledThereOut
from shared.database import Database, Row
from shared.money import Money


async def refusals(
    database: Database, store_id: str, channel: str, after: str | None, limit: int
) -> list[ChannelRefusalOut]:
    """What the store's channel sold and could not be taken in, by external id; one more than `limit` where there are more."""
    rows = await database.fetch(
        "SELECT external_id, code, detail, since, retry_at FROM channel_refusal"
        " WHERE store_id = $1 AND channel = $2 AND external_id > $3 ORDER BY external_id LIMIT $4",
        store_id,
        channel,
        after or "",
        limit + 1,
    )
    return [ChannelRefusalOut(**row) for row in rows]


async def fulfilled_there(
    database: Database, store_id: str, channel: str, after: tuple[datetime, str] | None, limit: int
) -> list[FulfilledThereOut]:
    """What the store's channel ships itself, the newest first; one more than `limit` where there are more."""
    rows = await database.fetch(
        "SELECT * FROM channel_fulfilled WHERE store_id = $1 AND channel = $2"
        " AND ($3::timestamptz IS NULL OR (placed_at, external_id) < ($3, $4))"
        " ORDER BY placed_at DESC, external_id DESC LIMIT $5",
        store_id,
        channel,
        *(after or (None, "")),
        limit + 1,
    )
    return [_order(row) for row in rows]


def _order(row: Row) -> FulfilledThereOut:
    names = ("goods", "shipping", "taxes")
    money = {name: Money(row[name], row["currency"]) for name in names}
    total = Money(sum(row[name] for name in names), row["currency"])
    said = {name: row[name] for name in ("external_id", "state", "placed_at", "updated_at", "lines")}
    return FulfilledThereOut.model_validate(
        said | money | {"total": total, "channel_fee": Money(row["fee"], row["currency"])}
    )
