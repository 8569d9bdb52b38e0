"""What orders counts beside the kit's metrics, and the loop that measures what only the database knows."""

import asyncio
from collections import Counter as Counting

import structlog
from prometheus_client import Counter, Gauge

from services.orders.domain.book import OrderBook
from services.orders.domain.holds import ATTENTION_REASONS
from services.orders.domain.patience import MATTERS
from services.orders.domain.standing import Status
from services.orders.schemas import HoldCode
from services.orders.settings import Settings
from services.orders.webhook_metrics import count_tries
from shared.database import Database, is_transient
from shared.runtime import Kit

_log = structlog.get_logger()
_EVERY_S = 10.0

ORDERS = Counter("freeport_orders_total", "Orders that reached a state.", ("market", "state"))
OVERSOLD = Counter("freeport_orders_oversold_total", "Orders that a channel sold and stock was short of.", ("channel",))
OVERSOLD_UNITS = Counter(
    "freeport_orders_oversold_units_total", "Units that a channel sold and stock lacked.", ("channel",)
)
CHANNEL_REFUSED = Counter(
    "freeport_orders_channel_refused_calls_total",
    "What a channel refused to be told about an order.",
    ("channel", "kind"),
)
FULFILLED_THERE = Counter(
    "freeport_orders_fulfilled_there_total",
    "Orders that a channel sold and ships from its own warehouse.",
    ("channel",),
)
NOT_TAKEN_IN = Gauge(
    "freeport_orders_channel_not_taken_in", "Orders that a channel sold and that could not be imported.", ("channel",)
)
HELD = Gauge("freeport_orders_held", "Orders that something keeps from going on.", ("code",))
HELD_AGE = Gauge("freeport_orders_held_oldest_age_seconds", "Since when the oldest of them is held.", ("code",))

SILENCES = Counter(
    "freeport_orders_silences_total",
    "Answers that did not come in time, by what was done about it.",
    ("matter", "stage"),
)

_OTHER = "other"
_STOCK = HoldCode.STOCK
_REASONS = (*sorted(ATTENTION_REASONS), _OTHER)
ATTENTION = Gauge("freeport_orders_attention", "Orders that need a person, by each reason that they have.", ("reason",))

for code in HoldCode:
    HELD.labels(code)
    HELD_AGE.labels(code)
for reason in _REASONS:
    ATTENTION.labels(reason)
for matter in MATTERS:
    for stage in ("asked", "given_up", "alarmed"):
        SILENCES.labels(matter, stage)


def count_decisions(book: OrderBook) -> None:
    """What became of the orders of a batch, and of the webhooks that were tried, once it is committed."""
    for order_id in book.changed:
        order = book.orders[order_id]
        if order_id in book.entries:
            ORDERS.labels(order.market, Status.PLACED).inc()
        if order.status is not book.before.get(order_id, Status.PLACED):
            ORDERS.labels(order.market, order.status).inc()
        if _STOCK in order.holds and not order.refusable and _STOCK not in book.held_before.get(order_id, ()):
            OVERSOLD.labels(order.channel).inc()
            OVERSOLD_UNITS.labels(order.channel).inc(
                sum(short.requested - short.available for short in order.facts.short)
            )
    for channel, kind in book.channel_refused:
        CHANNEL_REFUSED.labels(channel, kind).inc()
    for channel in book.counted_there:
        FULFILLED_THERE.labels(channel).inc()
    for matter, stage in book.escalations:
        SILENCES.labels(matter, stage).inc()
    count_tries(book.webhooks)


async def measure(database: Database) -> None:
    """Set the gauges of what is held now."""
    rows = await database.fetch(
        "SELECT code, count(*) AS orders, extract(epoch FROM now() - min(since)) AS age FROM order_hold GROUP BY code"
    )
    found = {row["code"]: row for row in rows}
    for code in HoldCode:
        HELD.labels(code).set(found[code]["orders"] if code in found else 0)
        HELD_AGE.labels(code).set(float(found[code]["age"]) if code in found else 0)
    await _measure_attention(database)
    await _measure_refusals(database)


async def _measure_refusals(database: Database) -> None:
    # A channel's last refusal leaves no row: what was shown is cleared, not kept.
    rows = await database.fetch("SELECT channel, count(*) AS orders FROM channel_refusal GROUP BY channel")
    NOT_TAKEN_IN.clear()
    for row in rows:
        NOT_TAKEN_IN.labels(row["channel"]).set(row["orders"])


async def _measure_attention(database: Database) -> None:
    rows = await database.fetch(
        "SELECT reason ->> 'code' AS code, count(DISTINCT order_id) AS orders"
        " FROM order_hold, jsonb_array_elements(reasons) AS reason WHERE code = 'needs_attention' GROUP BY 1"
    )
    found: Counting[str] = Counting()
    for row in rows:
        found[row["code"] if row["code"] in ATTENTION_REASONS else _OTHER] += row["orders"]
    for reason in _REASONS:
        ATTENTION.labels(reason).set(found[reason])


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
