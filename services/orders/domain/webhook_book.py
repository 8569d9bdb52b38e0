"""The part of the working set that is about webhooks."""

from dataclasses import dataclass, field
from datetime import datetime

from services.orders.domain.webhook import Delivery, Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try, as the log keeps it. `status` is None where there was no answer; `error` says why."""

    delivery_id: str
    number: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str
    response: str


@dataclass(slots=True)
class WebhookBook:
    """Endpoints and deliveries by id, and what the batch does to them."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    deliveries: dict[str, Delivery] = field(default_factory=dict[str, Delivery])
    new: set[str] = field(default_factory=set[str])  # ids of endpoints and deliveries
    changed: set[str] = field(default_factory=set[str])  # ids of both, new ones left out
    removed: set[str] = field(default_factory=set[str])  # ids of endpoints
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    chosen: dict[object, list[str]] = field(
        default_factory=dict[object, list[str]]
    )  # ids of deliveries by what asked for them

    def endpoint_of(self, store_id: str, endpoint_id: str) -> Endpoint | None:
        """The store's endpoint, or None where it has none of that id."""
        endpoint = self.endpoints.get(endpoint_id)
        return endpoint if endpoint is not None and endpoint.store_id == store_id else None

    def endpoints_of(self, store_id: str) -> list[Endpoint]:
        """The store's endpoints; all of them, where a message of the batch is about their number."""
        return [endpoint for endpoint in self.endpoints.values() if endpoint.store_id == store_id]

    def found(self, asked: object) -> list[Delivery]:
        """The deliveries that were loaded because a command asked for them, in the order in which it wants them."""
        return [self.deliveries[delivery_id] for delivery_id in self.chosen.get(asked, ())]

    def add(self, item: Endpoint | Delivery) -> None:
        """Take in a new one."""
        if isinstance(item, Endpoint):
            self.endpoints[item.id] = item
        else:
            self.deliveries[item.id] = item
        self.new.add(item.id)

    def touch(self, item: Endpoint | Delivery) -> None:
        """It was changed."""
        if item.id not in self.new:
            self.changed.add(item.id)

    def remove(self, endpoint: Endpoint) -> None:
        """Forget an endpoint; what waited for it is skipped by the sweeper."""
        del self.endpoints[endpoint.id]
        self.changed.discard(endpoint.id)
        if endpoint.id in self.new:
            self.new.discard(endpoint.id)
        else:
            self.removed.add(endpoint.id)
