"""How many orders wait for their papers, by country and finding, and how long the oldest has waited."""

import asyncio
from collections import Counter

import structlog
from prometheus_client import Gauge

from services.logistics.settings import Settings
from shared.database import Database, is_transient
from shared.runtime import Kit

HELD = Gauge("freeport_shipments_held", "Orders held for their papers.", ("country", "reason"))
OLDEST = Gauge("freeport_customs_hold_oldest_age_seconds", "How long the oldest hold has lasted.")

_log = structlog.get_logger()
_PAUSE_S = 15.0
# Every held order has lines in this small table, so that the large one need not be read.
_HOLDS = """
SELECT c.destination, finding ->> 'code' AS code, count(DISTINCT c.order_id) AS orders,
       max(extract(epoch FROM now() - c.placed_at))::float8 AS age
FROM consignment c CROSS JOIN LATERAL jsonb_array_elements(c.papers -> 'findings') AS finding
WHERE c.order_id IN (SELECT order_id FROM held_line)
GROUP BY 1, 2
"""


async def watch_holds(kit: Kit[Settings]) -> None:
    """Measure every quarter of a minute, for ever."""
    while True:
        try:
            await measure(kit.database)
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("holds.retry", error=repr(error))
        await asyncio.sleep(_PAUSE_S)


async def measure(database: Database) -> None:
    """Set the gauges to what the database says; a hold that is over counts no more."""
    held: Counter[tuple[str, str]] = Counter()
    oldest = 0.0
    for row in await database.fetch(_HOLDS):
        held[row["destination"], row["code"]] = row["orders"]
        oldest = max(oldest, row["age"])
    HELD.clear()
    for (country, reason), orders in held.items():
        HELD.labels(country, reason).set(orders)
    OLDEST.set(oldest)
