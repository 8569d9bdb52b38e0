"""Request and response bodies of the webhooks API."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from services.orders.domain.webhook import DeliveryStatus, DisabledBecause
from shared.contracts.payments import RefundSucceeded
from shared.http import Body, Instant, View, examples
from shared.outbound import MAX_URL

MOST_PATTERNS = 50


def _once(patterns: list[str]) -> list[str]:
    return list(dict.fromkeys(patterns))


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


Pattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?)$", max_length=100)]
"""An event type, the beginning of one and `.*`, or `*`."""

Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=MOST_PATTERNS), AfterValidator(_once)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL)]
Description = Annotated[str, StringConstraints(max_length=500, strip_whitespace=True), AfterValidator(_no_nul)]


class WebhookEndpointIn(Body):
    """A URL that is to be told: https, port 443, a public address."""

    url: Url
    event_types: Patterns = Field(description="Types as they are, a beginning of them as in `orders.*`, or `*`.")
    description: Description = ""

    model_config = examples(
        {
            "url": "https://shop.example.com/freeport",
            "event_types": ["orders.*", "logistics.shipment.*", RefundSucceeded.event_type],
            "description": "The shop's own orders page",
        }
    )


class WebhookEndpointPatch(Body):
    """What is to change; what is left out stays."""

    url: Url | None = None
    event_types: Patterns | None = None
    description: Description | None = None
    disabled: bool | None = Field(None, description="False enables it again, whatever had disabled it.")

    model_config = examples({"disabled": False}, {"event_types": ["*"]})

    @model_validator(mode="after")
    def _wants_something(self) -> "WebhookEndpointPatch":
        if not self.model_fields_set:
            raise ValueError("changes nothing")
        return self


class ResendIn(Body):
    """Which deliveries of the endpoint are to be sent again: made since a time, and failed or skipped unless others are named."""

    since: Instant
    until: Instant | None = None
    statuses: list[DeliveryStatus] = Field(
        [DeliveryStatus.EXHAUSTED, DeliveryStatus.SKIPPED], min_length=1, max_length=4
    )
    after: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        None, description="The `next` of the answer before."
    )

    model_config = examples({"since": "2026-11-23T08:00:00Z"})


class AttentionOut(View):
    """What a person should look at, and what would clear it."""

    code: str
    message: str
    since: datetime
    clears_with: str


class WebhookEndpointOut(View):
    """An endpoint and how it fares. `attention` where a person should look at it."""

    id: str
    url: str
    event_types: list[str]
    description: str
    disabled: bool
    disabled_because: DisabledBecause | None
    disabled_at: datetime | None
    failures: int = Field(description="In a row.")
    failing_since: datetime | None
    previous_secret_until: datetime | None = Field(description="Until then the secret before signs as well.")
    attention: AttentionOut | None
    created_at: datetime
    updated_at: datetime
    version: int


class WebhookSecretOut(WebhookEndpointOut):
    """An endpoint with its secret, which is shown now and never again."""

    secret: str


class WebhookDeliveryOut(View):
    """One event for one endpoint. `id` is the `webhook-id` header. `order_id` is empty for a ping."""

    id: str
    endpoint_id: str
    event_id: str
    event_type: str
    order_id: str | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime
    settled_at: datetime | None


class WebhookAttemptOut(View):
    """A try. `error` says why it failed: `timeout`, `tls_failed`, `address_forbidden`, `redirect`, `status_5xx`, …"""

    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    response: str = Field(description="The first KiB of the body.")


class WebhookDeliveryDetailOut(WebhookDeliveryOut):
    """A delivery with its message and every try, the first one first."""

    payload: dict[str, Any]
    log: list[WebhookAttemptOut]


class ResentOut(View):
    """How many are sent again. `next` where there are more: pass it as `after`."""

    resent: int
    next: str | None
