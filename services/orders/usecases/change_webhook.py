"""A seller changes one of their webhook endpoints."""

from dataclasses import dataclass

from services.orders.domain.book import OrderBook
from services.orders.domain.webhook import DisabledBecause, Endpoint
from services.orders.usecases.register_webhook import refuse_unknown_types
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeWebhook:
    """None leaves a thing as it is. `url` has been checked."""

    store_id: str
    endpoint_id: str
    url: str | None = None
    event_types: tuple[str, ...] | None = None
    description: str | None = None
    disabled: bool | None = None


def change_webhook(command: ChangeWebhook, book: OrderBook, now: Moment) -> Decision:
    """What was skipped while it was disabled stays so until somebody asks for it again."""
    endpoint = book.webhooks.endpoint_of(command.store_id, command.endpoint_id)
    if endpoint is None:
        return no_such_endpoint(command.endpoint_id)
    if command.event_types is not None and (refusal := refuse_unknown_types(command.event_types)) is not None:
        return refusal
    endpoint.change(now.decided_at, url=command.url, event_types=command.event_types, description=command.description)
    _switch(endpoint, command.disabled, now)
    book.webhooks.touch(endpoint)
    return [Reply({"id": endpoint.id})]


def no_such_endpoint(endpoint_id: str) -> Refusal:
    """Not there, or not yours."""
    return Refusal(
        code="webhook_endpoint.not_found", detail=f"there is no webhook endpoint {endpoint_id}", kind=Kind.NOT_FOUND
    )


def _switch(endpoint: Endpoint, disabled: bool | None, now: Moment) -> None:
    if disabled is True:
        endpoint.disable(DisabledBecause.BY_OWNER, now.decided_at)
    elif disabled is False:
        endpoint.enable(now.decided_at)
