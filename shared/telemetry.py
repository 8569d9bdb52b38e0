"""Logs as one JSON line an event, and the Prometheus metrics that every service has.

Labels are bounded: never an order, a SKU, a customer or a raw path.
"""

import logging
import sys
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

HTTP_SECONDS = Histogram(
    "freeport_http_request_duration_seconds",
    "Time to answer a request.",
    ("route", "method", "status"),
    buckets=_SECONDS,
)
HTTP_ACTIVE = Gauge("freeport_http_active_requests", "Requests being answered.")
IDEMPOTENCY = Counter("freeport_idempotency_requests_total", "Requests with an idempotency key.", ("outcome",))
COMMANDS_WAITING = Gauge("freeport_commands_waiting", "Commands that wait for a transaction.")
EVENTS_PUBLISHED = Counter("freeport_events_published_total", "Events that Kafka acknowledged.", ("type",))
EVENTS_REPUBLISHED = Counter(
    "freeport_events_republished_total", "Events published again because their log was lost.", ("topic",)
)
LOGS_REREAD = Counter(
    "freeport_logs_reread_total", "Partitions read from their beginning because they are another log.", ("topic",)
)
EVENTS_CONSUMED = Counter("freeport_events_consumed_total", "Events by what became of them.", ("topic", "outcome"))
EVENT_DELAY = Histogram(
    "freeport_event_end_to_end_seconds",
    "From the commit at the sender to the commit here.",
    ("topic",),
    buckets=_SECONDS,
)
BATCH_SECONDS = Histogram("freeport_event_batch_seconds", "Time to settle a batch of events.", buckets=_SECONDS)
CONSUMER_LAG = Gauge("freeport_consumer_lag_records", "Records that wait in the log.", ("topic", "partition"))
OUTBOX_PENDING = Gauge("freeport_outbox_pending", "Events that are committed and not published.")
OUTBOX_AGE = Gauge("freeport_outbox_oldest_age_seconds", "Age of the oldest unpublished event.")
STREAMS_HALTED = Counter("freeport_streams_halted_total", "Streams that Kafka would not take.", ("topic",))
DEAD_LETTERS = Gauge("freeport_dead_letters_open", "Messages that could not be decided.", ("source",))
DEAD_LETTER_AGE = Gauge(
    "freeport_dead_letters_oldest_age_seconds", "For how long the oldest dead letter has been open."
)
PARKED = Gauge("freeport_messages_parked", "Events that wait for a predecessor.")
POOL = Gauge("freeport_db_pool_connections", "Database connections.", ("state",))

for outcome in ("fresh", "replayed", "mismatch"):
    IDEMPOTENCY.labels(outcome)


# Without the frames' locals: they hold names and addresses.
_render = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _tracebacks(logger: Any, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    rendered = _render(logger, name, event)
    for exception in rendered.get("exception", ()):
        # PostgreSQL's details quote the row that it refuses: "Failing row contains (…)".
        exception["exc_value"] = exception["exc_value"].partition("\nDETAIL:")[0]
    return rendered


def configure_logging(service: str, *, level: str = "INFO") -> None:
    """JSON lines to standard output, of structlog and of the standard library alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
    ]
    structlog.configure(
        processors=[*shared, _tracebacks, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _tracebacks,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for noisy in ("aiokafka", "uvicorn.access", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _named(service: str) -> structlog.typing.Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add
