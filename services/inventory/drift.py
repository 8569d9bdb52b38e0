"""The reconciler: whether the counters are the folded ledger and what is reserved is held, while orders go on.

It reads the SKUs by pages of the key, so its memory is one page however many there are. Each page is one statement and thus one
snapshot: counters, ledger and holds change in the same transactions, so what a snapshot sees apart is apart.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple

import structlog
from prometheus_client import Counter, Gauge

from shared.database import Database, Row, is_transient
from shared.runtime import Kit

_log = structlog.get_logger()
PAGE = 200
"""SKUs that are compared at a time."""

EVERY_S = 600.0
_SHARE = 0.1  # of the time the database is asked, at most: the check yields to orders
_LOOK_AGAIN_S = 60.0  # whatever stopped it, perhaps the check itself, is given time

CHECKED = Counter(
    "freeport_stock_reconciled_skus_total", "SKUs whose counters were compared with the ledger and the holds."
)
DRIFTS = Gauge("freeport_stock_drift_places", "Places (SKU, warehouse) that disagreed in the last complete round.")

# `last` is the page's last SKU, whether or not anything there is wrong; null behind the end.
_PAGE = """
WITH page AS MATERIALIZED (
    SELECT sku FROM stock_item WHERE ($1::text IS NULL OR store_id = $1) AND sku > $2 ORDER BY sku LIMIT $3
), ledger AS (
    SELECT m.sku, m.warehouse, sum(m.on_hand)::bigint AS on_hand, sum(m.reserved)::bigint AS reserved
    FROM page JOIN movement m USING (sku) GROUP BY m.sku, m.warehouse
), level AS (
    SELECT l.sku, l.warehouse, l.on_hand, l.reserved FROM page JOIN stock_level l USING (sku)
), held AS (
    SELECT a.sku, a.warehouse, sum(a.quantity)::bigint AS held
    FROM reservation r
    CROSS JOIN jsonb_to_recordset(r.allocations) AS a(sku text, warehouse text, quantity bigint)
    JOIN page ON page.sku = a.sku
    WHERE r.status IN ('held', 'committed') AND r.skus && ARRAY(SELECT sku FROM page)
    GROUP BY a.sku, a.warehouse
), wrong AS (
    SELECT sku, warehouse, coalesce(v.on_hand, 0) AS on_hand, coalesce(v.reserved, 0) AS reserved,
        coalesce(l.on_hand, 0) AS ledger_on_hand, coalesce(l.reserved, 0) AS ledger_reserved, coalesce(h.held, 0) AS held
    FROM level v FULL JOIN ledger l USING (sku, warehouse) FULL JOIN held h USING (sku, warehouse)
    WHERE (coalesce(v.on_hand, 0), coalesce(v.reserved, 0), coalesce(v.reserved, 0))
        IS DISTINCT FROM (coalesce(l.on_hand, 0), coalesce(l.reserved, 0), coalesce(h.held, 0))
), cause AS (
    SELECT w.sku, w.warehouse, f.next AS since_movement
    FROM wrong w CROSS JOIN LATERAL (
        SELECT next FROM (
            SELECT 0 AS id, min(id) AS next, 0 AS on_hand, 0 AS reserved FROM movement WHERE sku = w.sku AND warehouse = w.warehouse
            UNION ALL
            SELECT id, lead(id) OVER entries AS next,
                sum(on_hand) OVER entries AS on_hand, sum(reserved) OVER entries AS reserved
            FROM movement WHERE sku = w.sku AND warehouse = w.warehouse WINDOW entries AS (ORDER BY id)
        ) folded
        WHERE (folded.on_hand, folded.reserved) = (w.on_hand, w.reserved) ORDER BY id DESC LIMIT 1
    ) f
)
SELECT (SELECT max(sku) FROM page) AS last, (SELECT count(*) FROM page) AS skus, w.*, c.since_movement
FROM (SELECT 1) AS always LEFT JOIN wrong w ON true LEFT JOIN cause c USING (sku, warehouse)
ORDER BY w.sku, w.warehouse
"""


Cause = Literal["entry_without_counter", "counter_without_entry", "hold_without_entry"]


class Drift(NamedTuple):
    """A place where counters, ledger and holds disagree, and from which ledger entry on."""

    sku: str
    warehouse: str
    on_hand: int
    reserved: int
    ledger_on_hand: int
    ledger_reserved: int
    held: int
    since_movement: int | None
    cause: Cause


class Checked(NamedTuple):
    """A page: how many SKUs, the last of them ("" behind the end), and what is wrong with them."""

    skus: int
    last: str
    drifts: list[Drift]


def cause_of(row: Row) -> Cause:
    """What most likely happened for the numbers to be as they are.

    `entry_without_counter`: the counters are those of before `since_movement`, so from it on entries were not counted.
    `counter_without_entry`: the counters never were what the ledger says at any time, so something changed them past it.
    `hold_without_entry`: counters and ledger agree; what orders hold is something else.
    """
    if (row["on_hand"], row["reserved"]) == (row["ledger_on_hand"], row["ledger_reserved"]):
        return "hold_without_entry"
    return "counter_without_entry" if row["since_movement"] is None else "entry_without_counter"


async def check_page(database: Database, after: str, *, store_id: str | None = None, limit: int = PAGE) -> Checked:
    """Compare the next `limit` SKUs behind `after`, of one store or of all."""
    rows = await database.fetch(_PAGE, store_id, after, limit)
    return Checked(rows[0]["skus"], rows[0]["last"] or "", [_drift(row) for row in rows if row["sku"] is not None])


def _drift(row: Row) -> Drift:
    cause = cause_of(row)
    names: dict[str, Any] = {name: row[name] for name in Drift._fields if name not in ("cause", "since_movement")}
    return Drift(
        **names, cause=cause, since_movement=row["since_movement"] if cause == "entry_without_counter" else None
    )


async def check_all(database: Database) -> AsyncIterator[Checked]:
    """All SKUs, page by page."""
    after = ""
    while (found := await check_page(database, after, limit=PAGE)).skus:
        yield found
        after = found.last


async def reconcile(database: Database) -> int:
    """One round. Logs each place that drifted, and measures. Returns how many there are."""
    wrong = 0
    began = time.monotonic()
    async for found in check_all(database):
        CHECKED.inc(found.skus)
        for drift in found.drifts:
            _log.error("stock.drift", **drift._asdict())
        wrong += len(found.drifts)
        await asyncio.sleep((time.monotonic() - began) * (1 / _SHARE - 1))
        began = time.monotonic()
    DRIFTS.set(wrong)
    return wrong


async def keep_reconciling(kit: Kit[Any]) -> None:
    """Round after round, in every replica: a check that only one of them makes ends with it."""
    while True:
        try:
            await reconcile(kit.database)
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("stock.reconcile_waits", error=repr(error))
            await asyncio.sleep(_LOOK_AGAIN_S)
            continue
        await asyncio.sleep(EVERY_S)
