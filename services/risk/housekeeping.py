"""Loops beside the desk: the gauges of the review queue, and forgetting keys that nobody used for long."""

import asyncio
from typing import Any

import structlog
from prometheus_client import Gauge

from services.risk.domain.velocity import REMEMBERED
from shared.database import Database, is_transient
from shared.runtime import Kit

OPEN = Gauge("freeport_risk_reviews_open", "Reviews that wait for a person.")
OVERDUE = Gauge("freeport_risk_reviews_overdue", "Open reviews whose time is up.")

_log = structlog.get_logger()
_MEASURE_EVERY_S = 5.0
_CHUNK = 1000
_QUEUE = "SELECT count(*) AS open, count(*) FILTER (WHERE overdue) AS overdue FROM review WHERE status = 'open'"
# Locked like every other writer locks a history: first the key, then its tree.
_FORGET = """
WITH chunk AS (SELECT key FROM velocity_key WHERE key > $1 ORDER BY key LIMIT $2),
stale AS (
    DELETE FROM velocity_key v USING chunk
    WHERE v.key = chunk.key AND v.touched_at < now() - make_interval(secs => $3) RETURNING v.key
),
trees AS (DELETE FROM velocity_node n USING stale WHERE n.key = stale.key)
SELECT max(key) FROM chunk
"""


async def watch_reviews(kit: Kit[Any]) -> None:
    """Measure the queue, and walk once through all keys to forget those that were not touched for as long as is remembered."""
    place = ""
    while True:
        try:
            await measure(kit.database)
            place = await forget(kit.database, place)
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("risk.housekeeping.retry", error=repr(error))
        await asyncio.sleep(_MEASURE_EVERY_S)


async def measure(database: Database) -> None:
    """Set the gauges."""
    for row in await database.fetch(_QUEUE):
        OPEN.set(row["open"])
        OVERDUE.set(row["overdue"])


async def forget(database: Database, after: str, *, older_than_s: float = REMEMBERED) -> str:
    """Forget what is old among the next keys after `after`. Returns where to go on, "" to begin anew."""
    return await database.fetchval(_FORGET, after, _CHUNK, float(older_than_s)) or ""
