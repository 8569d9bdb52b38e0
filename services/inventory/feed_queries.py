"""Reading how channels answer and what they are offered. A store sees only its own."""

from services.inventory.feed_schemas import FeedOut, OfferOut
from shared.database import Database
from shared.errors import not_found
from shared.http import Page, decode_cursor, page

_FEED = """
SELECT h.channel, h.connected, h.state, h.since, h.delay_s, h.lag_s, h.silent_since, h.answered_at, h.error,
    count(o.sku) AS offers, count(o.sku) FILTER (WHERE o.acked_version < o.version) AS pending,
    count(o.sku) FILTER (WHERE o.refused_code <> '') AS refused,
    min(o.waiting_since) FILTER (WHERE o.acked_version < o.version AND o.refused_code = '') AS oldest_pending_since
FROM channel_health h LEFT JOIN channel_offer o USING (store_id, channel)
WHERE h.store_id = $1 AND h.channel = $2 GROUP BY h.store_id, h.channel
"""


async def feed(database: Database, store_id: str, channel: str) -> FeedOut:
    """How the channel answers. Raises Refused `channel.not_found` where none of that name was ever connected."""
    row = await database.fetchrow(_FEED, store_id, channel)
    if row is None:
        raise not_found("channel", channel)
    return FeedOut(**row)


_OFFERS = """
SELECT sku, wanted, quantity, version, acked_quantity AS acknowledged_quantity, acked_version AS acknowledged_version,
    acked_at AS acknowledged_at, CASE WHEN acked_version < version THEN waiting_since END AS pending_since,
    refused_code, refused_detail, CASE WHEN refused_code <> '' THEN next_at END AS next_try_at
FROM channel_offer WHERE store_id = $1 AND channel = $2 AND ($3::text IS NULL OR sku > $3)
    AND ($4 = 'all' OR acked_version < version AND ($4 = 'pending' OR refused_code <> ''))
ORDER BY sku LIMIT $5
"""


async def offers(
    database: Database, store_id: str, channel: str, state: str, after: str | None, limit: int
) -> Page[OfferOut]:
    """The channel's SKUs in their order: all, those it has not acknowledged, or those it refuses."""
    place = decode_cursor(after, 1)
    if not await database.fetchval(
        "SELECT true FROM channel_health WHERE store_id = $1 AND channel = $2", store_id, channel
    ):
        raise not_found("channel", channel)
    rows = await database.fetch(_OFFERS, store_id, channel, place and place[0], state, limit + 1)
    return page([OfferOut(**row) for row in rows], limit, lambda offer: [offer.sku])
