"""Webhooks to and from the tables: one statement a table and batch. Endpoints are locked before deliveries."""

from collections.abc import Iterable, Sequence
from typing import Any

from services.orders.domain.webhook import Delivery, DeliveryStatus, DisabledBecause, Endpoint, patterns_of
from services.orders.domain.webhook_book import Attempt, WebhookBook
from services.orders.usecases.change_webhook import ChangeWebhook
from services.orders.usecases.ping_webhook import PingWebhook
from services.orders.usecases.register_webhook import RegisterWebhook
from services.orders.usecases.remove_webhook import RemoveWebhook
from services.orders.usecases.resend_webhook import MOST_AT_ONCE, ResendWebhook, ResendWebhooks
from services.orders.usecases.rotate_webhook import RotateWebhook
from services.orders.usecases.settle_webhook import WebhookTried
from shared.database import Connection, Row, columns
from shared.messaging.message import Message

_COMMANDS = (
    RegisterWebhook,
    ChangeWebhook,
    RemoveWebhook,
    RotateWebhook,
    PingWebhook,
    ResendWebhook,
    ResendWebhooks,
    WebhookTried,
)


async def load_webhooks(messages: Sequence[Message], book: WebhookBook, connection: Connection) -> None:
    """Lock and read what the messages touch. Orders and their events, which are nearly all messages, cost no statement."""
    bodies = [message.body for message in messages if isinstance(message.body, _COMMANDS)]
    if not bodies:
        return
    stores: set[str] = set()
    endpoint_ids: set[str] = set()
    delivery_ids: set[str] = set()
    for body in bodies:
        match body:
            case RegisterWebhook(store_id=store_id):
                stores.add(store_id)
            case ResendWebhook(delivery_id=delivery_id) | WebhookTried(attempt=Attempt(delivery_id=delivery_id)):
                delivery_ids.add(delivery_id)
            case _:
                endpoint_ids.add(body.endpoint_id)
    if delivery_ids:
        rows = await connection.fetch(
            "SELECT DISTINCT endpoint_id FROM webhook_delivery WHERE id = ANY($1)", sorted(delivery_ids)
        )
        endpoint_ids.update(row["endpoint_id"] for row in rows)
    await _lock_stores(sorted(stores), connection)
    rows = await connection.fetch(
        "SELECT * FROM webhook_endpoint WHERE id = ANY($1) OR store_id = ANY($2) ORDER BY id FOR UPDATE",
        sorted(endpoint_ids),
        sorted(stores),
    )
    book.endpoints = {row["id"]: endpoint_of_row(row) for row in rows}
    for body in bodies:
        if isinstance(body, ResendWebhooks):
            book.chosen[body] = await _choose(body, connection)
            delivery_ids.update(book.chosen[body])
    if delivery_ids:
        rows = await connection.fetch(
            "SELECT * FROM webhook_delivery WHERE id = ANY($1) ORDER BY id FOR UPDATE", sorted(delivery_ids)
        )
        book.deliveries = {row["id"]: _delivery_of_row(row) for row in rows}
    for asked, ids in book.chosen.items():  # the night's cleaning may have been faster
        book.chosen[asked] = [delivery_id for delivery_id in ids if delivery_id in book.deliveries]


async def save_webhooks(book: WebhookBook, connection: Connection) -> None:
    """Write what changed."""
    await _remove_endpoints(sorted(book.removed), connection)
    new, changed = sorted(book.new), sorted(book.changed)
    await _insert_endpoints([book.endpoints[item] for item in new if item in book.endpoints], connection)
    await _update_endpoints([book.endpoints[item] for item in changed if item in book.endpoints], connection)
    await _insert_deliveries([book.deliveries[item] for item in new if item in book.deliveries], connection)
    await _update_deliveries([book.deliveries[item] for item in changed if item in book.deliveries], connection)
    await _insert_attempts(book.attempts, connection)


def webhook_patterns(event_types: Iterable[str]) -> tuple[list[str], list[str]]:
    """Types, and beside each the patterns that take it in, parted by spaces: what endpoints listen to is compared with that."""
    kinds = sorted(event_types)
    return kinds, [" ".join(patterns_of(kind)) for kind in kinds]


def endpoint_of_row(row: Row) -> Endpoint:
    """The endpoint of a row."""
    return Endpoint(
        id=row["id"],
        store_id=row["store_id"],
        url=row["url"],
        event_types=tuple(row["event_types"]),
        description=row["description"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        disabled_because=DisabledBecause(row["disabled_because"]) if row["disabled_because"] else None,
        disabled_at=row["disabled_at"],
        secret_version=row["secret_version"],
        previous_secret_until=row["previous_secret_until"],
        failures=row["failures"],
        failing_since=row["failing_since"],
        resting_until=row["resting_until"],
        version=row["version"],
    )


def _delivery_of_row(row: Row) -> Delivery:
    return Delivery(
        id=row["id"],
        endpoint_id=row["endpoint_id"],
        store_id=row["store_id"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        order_id=row["order_id"],
        created_at=row["created_at"],
        next_at=row["next_at"],
        status=DeliveryStatus(row["status"]),
        tries=row["tries"],
        attempts=row["attempts"],
        claimed_until=row["claimed_until"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        settled_at=row["settled_at"],
    )


async def _lock_stores(stores: list[str], connection: Connection) -> None:
    """A store's endpoints are counted by one at a time: a row that does not exist yet cannot be locked."""
    if stores:
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('webhook_endpoint ' || store, 0)) FROM unnest($1::text[]) AS store",
            stores,
        )


async def _choose(wanted: ResendWebhooks, connection: Connection) -> list[str]:
    created_at, delivery_id = wanted.after or (wanted.since, "")
    rows = await connection.fetch(
        "SELECT id FROM webhook_delivery WHERE store_id = $1 AND endpoint_id = $2 AND status = ANY($3) AND created_at >= $4"
        " AND (created_at, id) > ($5, $6) AND ($7::timestamptz IS NULL OR created_at < $7)"
        " ORDER BY created_at, id LIMIT $8",
        wanted.store_id,
        wanted.endpoint_id,
        [str(status) for status in wanted.statuses],
        wanted.since,
        created_at,
        delivery_id,
        wanted.until,
        MOST_AT_ONCE + 1,
    )
    return [row["id"] for row in rows]


async def _remove_endpoints(ids: list[str], connection: Connection) -> None:
    if ids:
        await connection.execute("DELETE FROM webhook_endpoint WHERE id = ANY($1)", ids)


async def _insert_endpoints(endpoints: Sequence[Endpoint], connection: Connection) -> None:
    for endpoint in endpoints:  # hardly ever more than one at once, and arrays of arrays have no unnest
        await connection.execute(
            "INSERT INTO webhook_endpoint (id, store_id, url, event_types, description, state, disabled_because, disabled_at,"
            " secret_version, previous_secret_until, failures, failing_since, resting_until, created_at, updated_at, version)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)",
            endpoint.id,
            endpoint.store_id,
            endpoint.url,
            list(endpoint.event_types),
            endpoint.description,
            *_state(endpoint),
            endpoint.secret_version,
            endpoint.previous_secret_until,
            endpoint.failures,
            endpoint.failing_since,
            endpoint.resting_until,
            endpoint.created_at,
            endpoint.updated_at,
        )


_UPDATE_ENDPOINTS = """
UPDATE webhook_endpoint e SET url = n.url, event_types = string_to_array(n.event_types, ' '), description = n.description,
    state = n.state, disabled_because = n.disabled_because, disabled_at = n.disabled_at, secret_version = n.secret_version,
    previous_secret_until = n.previous_secret_until, failures = n.failures, failing_since = n.failing_since,
    resting_until = n.resting_until, updated_at = n.updated_at, version = e.version + 1
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::int[],
    $9::timestamptz[], $10::int[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[])
    AS n(id, url, event_types, description, state, disabled_because, disabled_at, secret_version, previous_secret_until,
        failures, failing_since, resting_until, updated_at)
WHERE e.id = n.id
"""


async def _update_endpoints(endpoints: Sequence[Endpoint], connection: Connection) -> None:
    if not endpoints:
        return
    rows = [
        (
            e.id, e.url, " ".join(e.event_types), e.description, *_state(e), e.secret_version, e.previous_secret_until,
            e.failures, e.failing_since, e.resting_until, e.updated_at,
        )
        for e in endpoints
    ]  # fmt: skip
    await connection.execute(_UPDATE_ENDPOINTS, *columns(rows))


def _state(endpoint: Endpoint) -> tuple[str, str, Any]:
    return ("enabled" if endpoint.enabled else "disabled", endpoint.disabled_because or "", endpoint.disabled_at)


async def _insert_deliveries(deliveries: Sequence[Delivery], connection: Connection) -> None:
    if deliveries:
        await connection.execute(
            "INSERT INTO webhook_delivery (id, endpoint_id, store_id, event_id, event_type, order_id, status, tries, attempts,"
            " next_at, last_error, created_at) SELECT id, endpoint_id, store_id, event_id, event_type, order_id, status, 0, 0,"
            " next_at, '', created_at FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
            " $7::text[], $8::timestamptz[], $9::timestamptz[])"
            " AS n(id, endpoint_id, store_id, event_id, event_type, order_id, status, next_at, created_at)",
            *columns(
                [
                    (
                        d.id,
                        d.endpoint_id,
                        d.store_id,
                        d.event_id,
                        d.event_type,
                        d.order_id,
                        d.status,
                        d.next_at,
                        d.created_at,
                    )
                    for d in deliveries
                ]
            ),
        )


_UPDATE_DELIVERIES = """
UPDATE webhook_delivery d SET status = n.status, tries = n.tries, next_at = n.next_at, last_status = n.last_status,
    last_error = n.last_error, settled_at = n.settled_at,
    claimed_until = n.claimed_until
FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::int[], $6::text[], $7::timestamptz[],
    $8::timestamptz[])
    AS n(id, status, tries, next_at, last_status, last_error, settled_at, claimed_until)
WHERE d.id = n.id
"""


async def _update_deliveries(deliveries: Sequence[Delivery], connection: Connection) -> None:
    if deliveries:
        rows = [
            (d.id, d.status, d.tries, d.next_at, d.last_status, d.last_error, d.settled_at, d.claimed_until)
            for d in deliveries
        ]
        await connection.execute(_UPDATE_DELIVERIES, *columns(rows))


async def _insert_attempts(attempts: Sequence[Attempt], connection: Connection) -> None:
    if attempts:
        await connection.execute(
            "INSERT INTO webhook_attempt (delivery_id, number, at, duration_ms, status, error, response) SELECT * FROM"
            " unnest($1::text[], $2::int[], $3::timestamptz[], $4::int[], $5::int[], $6::text[], $7::text[])"
            " ON CONFLICT DO NOTHING",
            *columns([(a.delivery_id, a.number, a.at, a.duration_ms, a.status, a.error, a.response) for a in attempts]),
        )
