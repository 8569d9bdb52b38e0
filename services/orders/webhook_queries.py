"""Reads for the webhooks API."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.orders.domain.webhook import Endpoint
from services.orders.webhook_letters import TOLD, body_of_row
from services.orders.webhook_repository import endpoint_of_row
from services.orders.webhook_schemas import (
    AttentionOut,
    WebhookAttemptOut,
    WebhookDeliveryDetailOut,
    WebhookDeliveryOut,
    WebhookEndpointOut,
)
from shared.database import Database, Row
from shared.errors import not_found


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """What the log is narrowed to; None is no wish."""

    endpoint: str | None = None
    status: str | None = None
    event_type: str | None = None
    order_id: str | None = None


async def endpoint(database: Database, store_id: str, endpoint_id: str) -> WebhookEndpointOut:
    """One endpoint of the store. Raises Refused `webhook_endpoint.not_found`."""
    row = await database.fetchrow(
        "SELECT * FROM webhook_endpoint WHERE id = $1 AND store_id = $2", endpoint_id, store_id
    )
    if row is None:
        raise not_found("webhook_endpoint", endpoint_id)
    return _endpoint(endpoint_of_row(row))


async def endpoints(
    database: Database, store_id: str, after: tuple[datetime, str] | None, limit: int
) -> list[WebhookEndpointOut]:
    """The store's endpoints, the newest first; one more than `limit` where there are more."""
    rows = await database.fetch(
        "SELECT * FROM webhook_endpoint WHERE store_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))"
        " ORDER BY created_at DESC, id DESC LIMIT $4",
        store_id,
        *(after or (None, "")),
        limit + 1,
    )
    return [_endpoint(endpoint_of_row(row)) for row in rows]


_CONDITIONS = {
    "endpoint": "endpoint_id = {}",
    "status": "status = {}",
    "event_type": "event_type = {}",
    "order_id": "order_id = {}",
}


async def deliveries(
    database: Database, store_id: str, wanted: DeliveryFilter, after: tuple[datetime, str] | None, limit: int
) -> list[WebhookDeliveryOut]:
    """The store's deliveries, the newest first; one more than `limit` where there are more."""
    conditions, values = ["store_id = $1"], list[Any]([store_id])
    for name, condition in _CONDITIONS.items():
        if (value := getattr(wanted, name)) is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    if after is not None:
        values += after
        conditions.append(f"(created_at, id) < (${len(values) - 1}, ${len(values)})")
    values.append(limit + 1)
    rows = await database.fetch(
        f"SELECT * FROM webhook_delivery WHERE {' AND '.join(conditions)}"  # noqa: S608 (ours)
        f" ORDER BY created_at DESC, id DESC LIMIT ${len(values)}",
        *values,
    )
    return [WebhookDeliveryOut(**_delivery(row)) for row in rows]


async def delivery(database: Database, store_id: str, delivery_id: str) -> WebhookDeliveryDetailOut:
    """One delivery of the store with its tries. Raises Refused `webhook_delivery.not_found`."""
    row = await database.fetchrow(
        f"SELECT d.*, d.created_at AS made_at, {TOLD} FROM webhook_delivery d"  # noqa: S608 (ours)
        " LEFT JOIN timeline_event t ON t.order_id = d.order_id AND t.event_id = d.event_id"
        " WHERE d.id = $1 AND d.store_id = $2",
        delivery_id,
        store_id,
    )
    if row is None:
        raise not_found("webhook_delivery", delivery_id)
    tries = await database.fetch("SELECT * FROM webhook_attempt WHERE delivery_id = $1 ORDER BY number", delivery_id)
    return WebhookDeliveryDetailOut(
        **_delivery(row),
        payload=orjson.loads(body_of_row(row)),
        log=[
            WebhookAttemptOut(
                number=each["number"],
                at=each["at"],
                duration_ms=each["duration_ms"],
                status=each["status"],
                error=each["error"] or None,
                response=each["response"],
            )
            for each in tries
        ],
    )


def _endpoint(found: Endpoint) -> WebhookEndpointOut:
    return WebhookEndpointOut(
        id=found.id,
        url=found.url,
        event_types=list(found.event_types),
        description=found.description,
        disabled=not found.enabled,
        disabled_because=found.disabled_because,
        disabled_at=found.disabled_at,
        failures=found.failures,
        failing_since=found.failing_since,
        previous_secret_until=found.previous_secret_until,
        attention=AttentionOut.model_validate(found.attention) if found.attention else None,
        created_at=found.created_at,
        updated_at=found.updated_at,
        version=found.version,
    )


def _delivery(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "endpoint_id": row["endpoint_id"],
        "event_id": row["event_id"],
        "event_type": row["event_type"],
        "order_id": row["order_id"] or None,
        "status": row["status"],
        "attempts": row["attempts"],
        "next_attempt_at": row["next_at"] if row["status"] == "pending" else None,
        "last_status": row["last_status"],
        "last_error": row["last_error"] or None,
        "created_at": row["created_at"],
        "settled_at": row["settled_at"],
    }
