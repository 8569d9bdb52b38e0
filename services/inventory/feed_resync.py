"""Comparing both sides of a channel: what it shows, page by page, with what it acknowledged. What differs is told again.

Pages come in the order of the SKUs, by code point, so a page and the offers between its ends are compared by one statement, and no
more than a page is ever in memory. What is on its way, or was acknowledged while the page was read, is left to the feed.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.domain.feed import ChannelKey, Urgency
from services.inventory.feed_offers import CLOCK
from services.inventory.gateways.stock_channel import StockChannel
from shared.channels.port import StockPage
from shared.database import Database

_SHOWN = 1000

# A SKU that the channel does not show and shall show none of is no difference.
_COMPARE = f"""
WITH page AS (SELECT * FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS p(sku, quantity, version)),
different AS (
    SELECT o.sku, o.quantity AS wanted, p.quantity AS shown, p.version AS theirs FROM channel_offer o LEFT JOIN page p ON p.sku = o.sku
    WHERE o.store_id = $1 AND o.channel = $2 AND o.sku COLLATE "C" > $6 AND ($7::text IS NULL OR o.sku COLLATE "C" <= $7)
        AND o.acked_version = o.version AND o.acked_at < $8 AND coalesce(p.quantity, 0) <> o.quantity
    ORDER BY o.sku FOR UPDATE OF o
), told_again AS (
    UPDATE channel_offer o SET acked_quantity = d.shown, version = greatest(o.version + 1, d.theirs + 1, {CLOCK}),
        urgency = CASE WHEN o.quantity = 0 THEN {Urgency.RAN_OUT} WHEN o.quantity < d.shown THEN {Urgency.OVERSTATED}
            ELSE {Urgency.USUAL} END,
        waiting_since = now(), next_at = now()
    FROM different d WHERE NOT $9::bool AND o.store_id = $1 AND o.channel = $2 AND o.sku = d.sku
)
SELECT sku, wanted, shown FROM different ORDER BY sku
"""  # noqa: S608 (constants)


@dataclass(frozen=True, slots=True)
class Difference:
    """A SKU that the channel shows other than it acknowledged; `shown` None: not at all."""

    sku: str
    wanted: int
    shown: int | None


@dataclass(slots=True)
class Comparison:
    """How many lines the channel shows, how many SKUs differ, and the first of these."""

    lines: int = 0
    different: int = 0
    first: list[Difference] = field(default_factory=list[Difference])


async def compare(
    database: Database, key: ChannelKey, channel: StockChannel, call: Callable[[], Awaitable[None]], *, dry_run: bool
) -> Comparison:
    """Compare all that the channel shows; `call` waits until it may be called. Unless `dry_run`, what differs is pending after."""
    found, after, cursor = Comparison(), "", None
    while True:
        await call()
        read_at: datetime = await database.fetchval("SELECT now()")
        page = await channel.read_stock(cursor)
        upper = None if page.next is None else max((line.sku for line in page.lines), default=after)
        await _compare_page(database, key, page, (after, upper), read_at, found, dry_run=dry_run)
        if page.next is None or upper is None:
            return found
        after, cursor = upper, page.next


async def _compare_page(
    database: Database,
    key: ChannelKey,
    page: StockPage,
    ends: tuple[str, str | None],
    read_at: datetime,
    found: Comparison,
    *,
    dry_run: bool,
) -> None:
    skus = [line.sku for line in page.lines]
    quantities, versions = [line.quantity for line in page.lines], [line.version for line in page.lines]
    rows = await database.fetch(_COMPARE, *key, skus, quantities, versions, *ends, read_at, dry_run)
    found.lines += len(page.lines)
    found.different += len(rows)
    found.first += [Difference(*row) for row in rows[: _SHOWN - len(found.first)]]
