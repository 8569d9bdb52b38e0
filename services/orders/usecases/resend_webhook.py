"""A seller wants to be told again."""

from dataclasses import dataclass
from datetime import datetime

from services.orders.domain.book import OrderBook
from services.orders.domain.webhook import DeliveryStatus
from services.orders.usecases.change_webhook import no_such_endpoint
from services.orders.usecases.ping_webhook import told_nothing
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal

MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendWebhook:
    """One delivery."""

    store_id: str
    delivery_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendWebhooks:
    """All of an endpoint's deliveries of some statuses that were made since a time, oldest first, a thousand at once.

    `after` is the place (time and id) of the last one that was sent again: for the next thousand.
    """

    store_id: str
    endpoint_id: str
    since: datetime
    until: datetime | None = None
    statuses: tuple[DeliveryStatus, ...] = (DeliveryStatus.EXHAUSTED, DeliveryStatus.SKIPPED)
    after: tuple[datetime, str] | None = None


def resend_webhook(command: ResendWebhook, book: OrderBook, now: Moment) -> Decision:
    """At once, under the same webhook-id, with ten tries anew."""
    delivery = book.webhooks.deliveries.get(command.delivery_id)
    if delivery is None or delivery.store_id != command.store_id:
        return Refusal(
            code="webhook_delivery.not_found",
            detail=f"there is no webhook delivery {command.delivery_id}",
            kind=Kind.NOT_FOUND,
        )
    endpoint = book.webhooks.endpoint_of(command.store_id, delivery.endpoint_id)
    if endpoint is None:
        return Refusal(
            code="webhook_endpoint.deleted",
            detail=f"the endpoint {delivery.endpoint_id} of this delivery is deleted",
        )
    if not endpoint.enabled:
        return told_nothing(endpoint)
    delivery.ask_again(now.decided_at)
    book.webhooks.touch(delivery)
    if endpoint.wake():
        book.webhooks.touch(endpoint)
    return [Reply({"id": delivery.id}, 202)]


def resend_webhooks(command: ResendWebhooks, book: OrderBook, now: Moment) -> Decision:
    """What failed, or was skipped while the endpoint was disabled, after a mishap on the seller's side."""
    endpoint = book.webhooks.endpoint_of(command.store_id, command.endpoint_id)
    if endpoint is None:
        return no_such_endpoint(command.endpoint_id)
    if not endpoint.enabled:
        return told_nothing(endpoint)
    found = book.webhooks.found(command)
    chosen = found[:MOST_AT_ONCE]
    for delivery in chosen:
        delivery.ask_again(now.decided_at)
        book.webhooks.touch(delivery)
    if endpoint.wake():
        book.webhooks.touch(endpoint)
    last = [chosen[-1].created_at, chosen[-1].id] if len(found) > len(chosen) else None
    return [Reply({"resent": len(chosen), "last": last}, 202)]
