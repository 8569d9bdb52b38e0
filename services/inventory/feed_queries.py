"""Reading how channels answer and what they are offered. A store sees only its own."""

from services.inventory.domain.feed import ChannelKey
from services.inventory.feed_requests import ask
from services.inventory.feed_schemas import FeedOut, OfferOut, ResyncOut
from shared.database import Database
from shared.errors import Refusal, Refused, not_found
from shared.http import Page, decode_cursor, page

_FEED = """
SELECT h.channel, h.connected, h.state, h.since, h.delay_s, h.lag_s, h.silent_since, h.answered_at, h.error,
    count(o.sku) AS offers, count(o.sku) FILTER (WHERE o.acked_version < o.version) AS pending,
    count(o.sku) FILTER (WHERE o.refused_code <> '') AS refused,
    min(o.waiting_since) FILTER (WHERE o.acked_version < o.version AND o.refused_code = '') AS oldest_pending_since
FROM channel_health h LEFT JOIN channel_offer o USING (store_id, channel)
WHERE h.store_id = $1 AND ($2::text IS NULL OR h.channel = $2) GROUP BY h.store_id, h.channel ORDER BY h.channel
"""


async def feed(database: Database, store_id: str, channel: str) -> FeedOut:
    """How the channel answers. Raises Refused `channel.not_found` where none of that name was ever connected."""
    row = await database.fetchrow(_FEED, store_id, channel)
    if row is None:
        raise not_found("channel", channel)
    return FeedOut(**row)


async def feeds(database: Database, store_id: str) -> Page[FeedOut]:
    """How every channel answers that was ever connected, by name."""
    rows = await database.fetch(_FEED, store_id, None)
    return Page(data=[FeedOut(**row) for row in rows], has_more=False, next=None)


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


_RESYNC = """
SELECT channel, dry_run, CASE WHEN done = asked THEN 'finished' WHEN started_at IS NULL THEN 'waiting' ELSE 'running' END AS state,
    asked AS request, cause, requested_at, started_at, finished_at, passes, pages, lines, different AS differences, first,
    pass_different AS still_different, refused, moving, CASE WHEN done = asked THEN pass_different = 0 AND refused = 0 END AS equal, error
FROM channel_resync WHERE store_id = $1 AND channel = $2 AND dry_run = $3
"""


async def resync(database: Database, key: ChannelKey, *, dry_run: bool) -> ResyncOut:
    """The newest comparison of the kind. Raises Refused `resync.not_found` where none was ever asked for."""
    row = await database.fetchrow(_RESYNC, *key, dry_run)
    if row is None:
        raise not_found("resync", key.channel)
    return ResyncOut(**row)


async def ask_resync(database: Database, key: ChannelKey, *, dry_run: bool) -> ResyncOut:
    """Ask for one. Raises Refused `channel.not_found`, or `channel.not_connected` where nobody is there to take it."""
    if await ask(database, key, dry_run=dry_run):
        return await resync(database, key, dry_run=dry_run)
    known = await feed(database, *key)
    raise Refused(
        Refusal(
            code="channel.not_connected",
            detail=f"{known.channel} is not connected any more",
            clears_with="the channel in the file of channels",
        )
    )
