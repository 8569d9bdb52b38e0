"""What a use case is given and what it may ask for.

A use case is a pure function `(message, working set, moment)`. It changes the working set through its aggregates and
returns what else must happen: events to publish, deadlines to keep, calls to make, an answer to give. The shell in
`shared/messaging` does all of it in one transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from shared.contracts.registry import Event
from shared.errors import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The circumstances of one message.

    `decided_at` is this service's database time, the same for the whole transaction; `occurred_at` is the sender's.
    `message_id` is the id of the event, command, deadline or call answer that is being decided: derive new ids from it.
    """

    decided_at: datetime
    occurred_at: datetime
    message_id: str
    store_id: str
    market: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Send me `Due(kind, key)` at `at`. One deadline a (kind, key): a later one replaces the earlier."""

    kind: str
    key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Forget:
    """The deadline (kind, key) is not needed any more."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline has come. Late never early, and perhaps after the matter is settled: the state decides."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call the outside world with `request`, then send me `Answered`.

    `id` is the idempotency key at the other side, so it must follow from the state (`derive_id`), never be drawn.
    The same id asked for twice is one call. `not_before` delays it.
    """

    id: str
    kind: str
    key: str
    request: dict[str, Any]
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call. `answer` is None when the outcome is unknown (a time-out is not a no): ask, then act.

    `attempts` counts how often the call was tried.
    """

    id: str
    kind: str
    key: str
    request: dict[str, Any]
    answer: dict[str, Any] | None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an HTTP caller: a JSON-able body, committed with the effect."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])


Effect: TypeAlias = Event | Deadline | Forget | Call | Reply
Effects: TypeAlias = Sequence[Effect]
Decision: TypeAlias = Sequence[Effect] | Refusal
