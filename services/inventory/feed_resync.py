"""Comparing both sides of a channel: what it shows, page by page, with what it acknowledged. What differs is told again.

Pages come in the order of the SKUs, by code point, so a page and the offers between its ends are compared by one statement, and no
more than a page is ever in memory. What is on its way, or was acknowledged while the page was read, is left to the feed.
"""

from services.inventory.domain.feed import ChannelKey, Urgency
from services.inventory.feed_offers import CLOCK
from services.inventory.feed_requests import PageFound, Reading
from services.inventory.gateways.stock_channel import StockChannel
from shared.database import Database

SHOWN = 100
"""Differences that are kept by SKU; all are counted."""
MOST_PASSES = 10
"""After so many passes that each found something, a comparison ends unequal: the channel does not show what it acknowledges."""

# The column is collated by code point, so its key serves.
_BETWEEN = """o.store_id = $1 AND o.channel = $2 AND o.sku > $6 AND ($7::text IS NULL OR o.sku <= $7)"""
_FOREIGN = "p.version > o.version"  # not one of ours: ours would be taken for an older one until it is above
_OVER = f"r.dry_run OR r.pass_different + f.n = 0 OR r.passes + 1 >= {MOST_PASSES}"

# A SKU that the channel does not show and shall show none of is no difference. Offers are locked before the request's row,
# as by whoever writes down an outcome; who has lost the claim meanwhile changes nothing.
_COMPARE = f"""
WITH page AS (SELECT * FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS p(sku, quantity, version)),
different AS (
    SELECT o.sku, o.quantity AS wanted, p.quantity AS shown, p.version AS theirs FROM channel_offer o LEFT JOIN page p ON p.sku = o.sku
    WHERE {_BETWEEN} AND ({_FOREIGN} OR o.acked_version = o.version AND o.acked_at < $8 AND coalesce(p.quantity, 0) <> o.quantity)
    ORDER BY o.sku FOR UPDATE OF o
), beside AS (
    SELECT count(*) FILTER (WHERE o.refused_code <> '') AS refused, count(*) FILTER (WHERE o.refused_code = '') AS moving
    FROM channel_offer o LEFT JOIN page p ON p.sku = o.sku
    WHERE {_BETWEEN} AND o.acked_version < o.version AND ({_FOREIGN}) IS NOT TRUE
), found AS (SELECT count(*) AS n FROM different),
progress AS (
    UPDATE channel_resync r SET pages = r.pages + 1, lines = r.lines + cardinality($3::text[]), different = r.different + f.n,
        pass_different = r.pass_different + f.n, refused = r.refused + b.refused, moving = r.moving + b.moving,
        first = r.first || coalesce((SELECT jsonb_agg(jsonb_build_object('sku', d.sku, 'theirs', d.shown, 'ours', d.wanted) ORDER BY d.sku)
            FROM (SELECT * FROM different ORDER BY sku LIMIT greatest(0, {SHOWN} - jsonb_array_length(r.first))) d), '[]'),
        cursor = $11, after_sku = coalesce($7, ''), reading = $7 IS NOT NULL, claimed_until = NULL, error = '',
        passes = r.passes + ($7 IS NULL)::int, passed_at = CASE WHEN $7 IS NULL THEN now() ELSE r.passed_at END,
        done = CASE WHEN $7 IS NULL AND ({_OVER}) THEN r.covers ELSE r.done END,
        finished_at = CASE WHEN $7 IS NULL AND ({_OVER}) AND r.covers = r.asked THEN now() END
    FROM found f, beside b WHERE r.store_id = $1 AND r.channel = $2 AND r.dry_run = $9 AND r.claim = $10
    RETURNING r.finished_at, r.pass_different = 0 AND r.refused = 0 AS equal
), told_again AS (
    UPDATE channel_offer o SET acked_quantity = d.shown, version = greatest(o.version + 1, d.theirs + 1, {CLOCK}),
        urgency = CASE WHEN o.quantity = 0 THEN {Urgency.RAN_OUT} WHEN o.quantity < d.shown THEN {Urgency.OVERSTATED}
            ELSE {Urgency.USUAL} END,
        waiting_since = CASE WHEN o.acked_version = o.version THEN now() ELSE o.waiting_since END, next_at = now()
    FROM different d WHERE NOT $9::bool AND EXISTS (SELECT FROM progress)
        AND o.store_id = $1 AND o.channel = $2 AND o.sku = d.sku
)
SELECT f.n AS different, p.finished_at, p.equal FROM found f, progress p
"""  # noqa: S608 (constants)


async def compare_page(database: Database, key: ChannelKey, channel: StockChannel, page: Reading) -> PageFound:
    """Read a page and write down how it differs; unless it is a dry run, what differs is pending after. Raises like `read_stock`.

    Nothing is changed, and nothing found, where another replica has taken the page meanwhile.
    """
    read_at = await database.fetchval("SELECT now()")
    said = await channel.read_stock(page.cursor)
    upper = None if said.next is None else max((line.sku for line in said.lines), default=page.after)
    skus = [line.sku for line in said.lines]
    quantities, versions = [line.quantity for line in said.lines], [line.version for line in said.lines]
    row = await database.fetchrow(
        _COMPARE,
        *key,
        skus,
        quantities,
        versions,
        page.after,
        upper,
        read_at,
        page.dry_run,
        page.claim,
        None if upper is None else said.next,
    )
    return PageFound(row["different"], row["finished_at"], row["equal"]) if row else PageFound(0, None, equal=False)
