"""What is counted about webhooks. Neither an endpoint nor its store becomes a label."""

from prometheus_client import Counter, Gauge, Histogram

from services.orders.domain.webhook import DeliveryStatus, DisabledBecause, Verdict, verdict_of
from services.orders.domain.webhook_book import WebhookBook
from shared.database import Database

TRIES = Counter("freeport_webhook_deliveries_total", "Tries to deliver, by how they ended.", ("outcome",))
SECONDS = Histogram(
    "freeport_webhook_attempt_seconds", "Time of a try.", buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)
)
PENDING = Gauge("freeport_webhook_pending", "Deliveries that a try is still to come for.")
PENDING_AGE = Gauge("freeport_webhook_oldest_pending_age_seconds", "Age of the oldest of them.")
OVERDUE = Gauge("freeport_webhook_overdue_seconds", "How late the next try is that could be made now.")
ENDPOINTS = Gauge("freeport_webhook_endpoints", "Endpoints by state.", ("state",))

EXHAUSTED = "exhausted"  # beside the verdicts: a failure after which no try follows
for outcome in (*Verdict, EXHAUSTED):
    TRIES.labels(outcome)
for state in ("enabled", *DisabledBecause):
    ENDPOINTS.labels(state)

_MEASURE = """
SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(d.created_at)), 0) AS age,
    coalesce(extract(epoch FROM now() - min(d.next_at)
        FILTER (WHERE d.next_at <= now() AND e.state = 'enabled' AND coalesce(e.resting_until <= now(), true))), 0) AS overdue
FROM webhook_delivery d LEFT JOIN webhook_endpoint e ON e.id = d.endpoint_id WHERE d.status = 'pending'
"""
_STATES = "SELECT coalesce(nullif(disabled_because, ''), 'enabled') AS state, count(*) AS endpoints FROM webhook_endpoint GROUP BY 1"


def count_tries(book: WebhookBook) -> None:
    """How the tries of a batch ended, once it is committed."""
    for attempt in book.attempts:
        delivery = book.deliveries[attempt.delivery_id]
        exhausted = delivery.status is DeliveryStatus.EXHAUSTED and attempt.number == delivery.attempts
        TRIES.labels(EXHAUSTED if exhausted else verdict_of(attempt.status)).inc()
        SECONDS.observe(attempt.duration_ms / 1000)


async def measure_webhooks(database: Database) -> None:
    """Set the gauges."""
    for row in await database.fetch(_MEASURE):
        PENDING.set(row["pending"])
        PENDING_AGE.set(float(row["age"]))
        OVERDUE.set(float(row["overdue"]))
    found = {row["state"]: row["endpoints"] for row in await database.fetch(_STATES)}
    for state in ("enabled", *DisabledBecause):
        ENDPOINTS.labels(state).set(found.get(state, 0))
