"""A seller wants another secret: the old one may have been seen."""

from dataclasses import dataclass

from services.orders.domain.book import OrderBook
from services.orders.usecases.change_webhook import no_such_endpoint
from shared.effects import Decision, Moment, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateWebhook:
    """Of which endpoint."""

    store_id: str
    endpoint_id: str


def rotate_webhook(command: RotateWebhook, book: OrderBook, now: Moment) -> Decision:
    """Both sign for a day, so that no message is refused while the receiver changes over."""
    endpoint = book.webhooks.endpoint_of(command.store_id, command.endpoint_id)
    if endpoint is None:
        return no_such_endpoint(command.endpoint_id)
    endpoint.rotate(now.decided_at)
    book.webhooks.touch(endpoint)
    return [Reply({"id": endpoint.id, "secret_version": endpoint.secret_version})]
