"""A seller names a URL that is to be told what happens to their orders."""

from dataclasses import dataclass

from services.orders.domain.book import OrderBook
from services.orders.domain.webhook import Endpoint, hearing_nothing, told_types
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal
from shared.ids import derive_id

MOST_ENDPOINTS = 20
"""Each event of a store may become as many deliveries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterWebhook:
    """`url` has been checked; `event_types` are patterns: a type, `orders.*`, or `*`."""

    store_id: str
    url: str
    event_types: tuple[str, ...]
    description: str = ""


def register_webhook(command: RegisterWebhook, book: OrderBook, now: Moment) -> Decision:
    """From the next event on it is told. Its secret is shown by the route."""
    if (refusal := refuse_unknown_types(command.event_types)) is not None:
        return refusal
    if len(book.webhooks.endpoints_of(command.store_id)) >= MOST_ENDPOINTS:
        return Refusal(
            code="webhook_endpoint.too_many",
            detail=f"a store has {MOST_ENDPOINTS} webhook endpoints at most",
            clears_with="deleting one",
        )
    endpoint = Endpoint(
        id=derive_id("whe", now.message_id),
        store_id=command.store_id,
        url=command.url,
        event_types=command.event_types,
        description=command.description,
        created_at=now.decided_at,
        updated_at=now.decided_at,
    )
    book.webhooks.add(endpoint)
    return [
        Reply(
            {"id": endpoint.id, "secret_version": endpoint.secret_version},
            201,
            {"Location": f"/v1/webhook-endpoints/{endpoint.id}"},
        )
    ]


def refuse_unknown_types(event_types: tuple[str, ...]) -> Refusal | None:
    """A misspelt type would be told nothing, for ever, without an error."""
    if not (unknown := hearing_nothing(event_types)):
        return None
    return Refusal(
        code="webhook_endpoint.unknown_event_type",
        detail=f"there are no events {', '.join(unknown)}",
        kind=Kind.INVALID,
        clears_with="event types that exist, a beginning of them as in orders.*, or *",
        facts={"unknown": unknown, "known": list(told_types())},
    )
