"""What orders counts beside the kit's metrics, and the loop that measures what only the database knows."""

import asyncio

import structlog
from prometheus_client import Counter, Gauge

from services.orders.schemas import HoldCode
from services.orders.settings import Settings
from shared.database import Database, is_transient
from shared.runtime import Kit

_log = structlog.get_logger()
_EVERY_S = 10.0

ORDERS = Counter("freeport_orders_total", "Orders that reached a state.", ("market", "state"))
OVERSOLD = Counter("freeport_orders_oversold_total", "Orders that a channel sold and stock was short of.", ("channel",))
HELD = Gauge("freeport_orders_held", "Orders that something keeps from going on.", ("code",))
HELD_AGE = Gauge("freeport_orders_held_oldest_age_seconds", "Since when the oldest of them is held.", ("code",))

for code in HoldCode:
    HELD.labels(code)
    HELD_AGE.labels(code)


async def measure(database: Database) -> None:
    """Set the gauges of what is held now."""
    rows = await database.fetch(
        "SELECT code, count(*) AS orders, extract(epoch FROM now() - min(since)) AS age FROM order_hold GROUP BY code"
    )
    found = {row["code"]: row for row in rows}
    for code in HoldCode:
        HELD.labels(code).set(found[code]["orders"] if code in found else 0)
        HELD_AGE.labels(code).set(float(found[code]["age"]) if code in found else 0)


async def keep_measuring(kit: Kit[Settings]) -> None:
    """The service's own worker: alarms on holds that grow old read these gauges."""
    while True:
        try:
            await measure(kit.database)
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("measuring.retry", error=repr(error))
        await asyncio.sleep(_EVERY_S)
