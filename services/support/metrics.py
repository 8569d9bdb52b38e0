"""What waits for a person, measured from the database: true whichever process made it so."""

import asyncio

import structlog
from prometheus_client import Gauge

from services.support import queries
from services.support.settings import Settings
from shared.database import Database, is_transient
from shared.runtime import Kit

_EVERY_S = 10.0
_log = structlog.get_logger()

_GAUGES = {
    "tickets_open": Gauge("freeport_tickets_open", "Tickets that wait for somebody."),
    "tickets_breached": Gauge(
        "freeport_tickets_first_response_breached", "Tickets whose first answer came too late or not."
    ),
    "returns_open": Gauge("freeport_returns_open", "Returns that are not settled."),
    "refunds_failed": Gauge("freeport_returns_refund_failed", "Returns whose refund failed: a person must look."),
    "restocks_held": Gauge("freeport_returns_restock_held", "Returns whose goods are on no shelf: no such warehouse."),
    "refunds_short": Gauge("freeport_returns_refund_short", "Returns that were paid as far as the charge reached."),
}


async def measure(database: Database) -> None:
    """Set the gauges to what is so now."""
    for name, value in (await queries.counts(database)).items():
        _GAUGES[name].set(value)


async def keep_measuring(kit: Kit[Settings]) -> None:
    """A worker's loop. A database that is away is asked again later."""
    while True:
        try:
            await measure(kit.database)
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("metrics.retry", error=repr(error))
        await asyncio.sleep(_EVERY_S)
