"""Reads for the channels API."""

from services.orders.channel_schemas import ChannelRefusalOut
from shared.database import Database


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
