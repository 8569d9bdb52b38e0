"""A seller does not want a webhook endpoint any more."""

from dataclasses import dataclass

from services.orders.domain.book import OrderBook
from services.orders.usecases.change_webhook import no_such_endpoint
from shared.effects import Decision, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveWebhook:
    """Which."""

    store_id: str
    endpoint_id: str


def remove_webhook(command: RemoveWebhook, book: OrderBook, now: Moment) -> Decision:
    """Its secrets are worth nothing from now on; the log of its deliveries stays for its 30 days."""
    endpoint = book.webhooks.endpoint_of(command.store_id, command.endpoint_id)
    if endpoint is None:
        return no_such_endpoint(command.endpoint_id)
    book.webhooks.remove(endpoint)
    return ()
