"""A seller wants to see whether their endpoint hears."""

from dataclasses import dataclass

from services.orders.domain.book import OrderBook
from services.orders.domain.webhook import PING, Delivery, Endpoint
from services.orders.usecases.change_webhook import no_such_endpoint
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal
from shared.ids import derive_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PingWebhook:
    """Which."""

    store_id: str
    endpoint_id: str


def ping_webhook(command: PingWebhook, book: OrderBook, now: Moment) -> Decision:
    """A message of its own type goes the way of all others, whatever the endpoint listens to."""
    endpoint = book.webhooks.endpoint_of(command.store_id, command.endpoint_id)
    if endpoint is None:
        return no_such_endpoint(command.endpoint_id)
    if not endpoint.enabled:
        return told_nothing(endpoint)
    event_id = derive_id("evt", now.message_id, "ping")
    delivery = Delivery(
        id=derive_id("whd", event_id, endpoint.id),
        endpoint_id=endpoint.id,
        store_id=endpoint.store_id,
        event_id=event_id,
        event_type=PING,
        order_id="",
        created_at=now.decided_at,
        next_at=now.decided_at,
    )
    book.webhooks.add(delivery)
    if endpoint.wake():
        book.webhooks.touch(endpoint)
    return [Reply({"id": delivery.id}, 202, {"Location": f"/v1/webhook-deliveries/{delivery.id}"})]


def told_nothing(endpoint: Endpoint) -> Refusal:
    """It is disabled."""
    return Refusal(
        code="webhook_endpoint.disabled",
        detail=f"the endpoint {endpoint.id} is disabled ({endpoint.disabled_because})",
        clears_with="enabling it: PATCH with disabled false",
    )
