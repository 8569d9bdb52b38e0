"""Webhooks out: where a seller wants to be told, what is to be told there, and when to try again.

The manners are those of Standard Webhooks 1.0.0: an id that stays over retries, ten tries over about 75 hours, 410 ends it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from hashlib import blake2b

from services.orders.domain.timeline import BETWEEN_SERVICES
from shared.contracts.registry import EVENTS, TopicKind

PING = "freeport.ping"
"""The type of the message that only tests an endpoint."""

RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""The pause after the first failed try, the second, …: 75 hours and a half in all (Standard Webhooks, "deliverability")."""

MOST_TRIES = len(RETRY_AFTER) + 1
JITTER = 0.1
"""A pause is up to a tenth shorter or longer, so that what failed together does not come back together."""

LONGEST_RETRY_AFTER = timedelta(hours=24)
"""An endpoint that asks for more patience than this gets this much."""

REST_AFTER_FAILURES = 5
SHORTEST_REST = timedelta(seconds=10)
LONGEST_REST = timedelta(minutes=10)
"""After five failures in a row an endpoint rests, ever longer, and is then asked with one message, not with all that wait."""

GIVE_UP_AFTER = timedelta(days=5)
"""An endpoint with nothing but failures for so long is disabled."""

ROTATION_OVERLAP = timedelta(hours=24)
"""So long the old secret signs beside the new one."""


class DisabledBecause(StrEnum):
    """Why an endpoint is told nothing."""

    BY_OWNER = "by_owner"
    GONE = "gone"  # it said 410
    FAILING = "failing"  # nothing but failures for days


class DeliveryStatus(StrEnum):
    """Pending: a try is to come. Skipped: the endpoint was disabled, so it was not told."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    SKIPPED = "skipped"


class Verdict(StrEnum):
    """What an answer means."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"


def verdict_of(status: int | None) -> Verdict:
    """2xx is delivered, 410 is gone, all else (a redirect, no answer at all) has failed."""
    if status is not None and 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.GONE if status == 410 else Verdict.FAILED


# ── What an endpoint hears ────────────────────────────────────────────────────────────────────────────────────────────


@cache
def patterns_of(event_type: str) -> tuple[str, ...]:
    """Every pattern that takes in the type: `*`, `orders.*`, `orders.order.*`, …, and the type itself."""
    parts = event_type.split(".")
    return ("*", *(f"{'.'.join(parts[:length])}.*" for length in range(1, len(parts))), event_type)


@cache
def told_types() -> tuple[str, ...]:
    """The event types that webhooks tell: what happens to an order, in any service."""
    streams = {name for name, event in EVENTS.items() if event.topic.kind is TopicKind.STREAM}
    return tuple(sorted(streams - BETWEEN_SERVICES))


def hearing_nothing(patterns: Iterable[str]) -> list[str]:
    """Those of the patterns that take in no event type that there is."""
    known = {pattern for event_type in told_types() for pattern in patterns_of(event_type)}
    return [pattern for pattern in patterns if pattern not in known]


# ── Endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What a person should look at, since when, and what would clear it."""

    code: str
    message: str
    since: datetime
    clears_with: str


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """A URL of a seller's, and how it fares."""

    id: str
    store_id: str
    url: str
    event_types: tuple[str, ...]  # patterns
    description: str
    created_at: datetime
    updated_at: datetime
    disabled_because: DisabledBecause | None = None
    disabled_at: datetime | None = None
    secret_version: int = 1
    previous_secret_until: datetime | None = None
    failures: int = 0  # in a row, not counting what comes in while it rests
    failing_since: datetime | None = None
    resting_until: datetime | None = None
    version: int = 1

    @property
    def enabled(self) -> bool:
        return self.disabled_because is None

    def change(
        self, at: datetime, *, url: str | None, event_types: tuple[str, ...] | None, description: str | None
    ) -> None:
        """Take over what is given. A new URL begins with a clean slate: what failed was the old one."""
        if url is not None and url != self.url:
            self.url = url
            self._recover()
        self.event_types = event_types if event_types is not None else self.event_types
        self.description = description if description is not None else self.description
        self.updated_at = at

    def disable(self, because: DisabledBecause, at: datetime) -> None:
        """Tell it nothing more. The first reason stays."""
        if self.enabled:
            self.disabled_because, self.disabled_at, self.updated_at = because, at, at

    def enable(self, at: datetime) -> None:
        """Tell it what happens from now on."""
        if not self.enabled:
            self.disabled_because, self.disabled_at, self.updated_at = None, None, at
            self._recover()

    def rotate(self, at: datetime) -> None:
        """A new secret. The one before signs for a day more; the one before that is worth nothing at once."""
        self.secret_version += 1
        self.previous_secret_until = at + ROTATION_OVERLAP
        self.updated_at = at

    def secrets_at(self, at: datetime) -> tuple[int, ...]:
        """The versions of the secrets that sign now, the newest first."""
        overlaps = self.previous_secret_until is not None and at < self.previous_secret_until
        return (self.secret_version, self.secret_version - 1) if overlaps else (self.secret_version,)

    def wake(self) -> bool:
        """End its rest: a person wants it to be tried now. Tells whether it rested."""
        rested, self.resting_until = self.resting_until is not None, None
        return rested

    def hear(self, verdict: Verdict, at: datetime, retry_after: timedelta | None = None) -> bool:
        """Take in how a try ended. Tells whether anything changed: most tries are successes after successes."""
        if verdict is Verdict.DELIVERED:
            return self._recover()
        self.failing_since = self.failing_since or at
        rest = min(retry_after or timedelta(), LONGEST_REST)
        if self.resting_until is None or at >= self.resting_until:  # else it was under way when the rest began: no news
            self.failures += 1
            rest = max(rest, self._rest())
        if rest:
            self.resting_until = max(self.resting_until or at, at + rest)
        if verdict is Verdict.GONE:
            self.disable(DisabledBecause.GONE, at)
        elif at - self.failing_since >= GIVE_UP_AFTER and self.failures >= REST_AFTER_FAILURES:
            self.disable(DisabledBecause.FAILING, at)
        return True

    @property
    def attention(self) -> Attention | None:
        """What the seller should know of it; nothing while it is well or they disabled it themselves."""
        match self.disabled_because:
            case DisabledBecause.GONE:
                return self._needs("webhook_endpoint.gone", "it answered 410 Gone and is disabled", self.disabled_at)
            case DisabledBecause.FAILING:
                words = f"nothing but failures for {GIVE_UP_AFTER.days} days: it is disabled"
                return self._needs("webhook_endpoint.gave_up", words, self.disabled_at)
            case None if self.failures >= REST_AFTER_FAILURES:
                return self._needs("webhook_endpoint.failing", f"{self.failures} failures in a row", self.failing_since)
            case _:
                return None

    def _needs(self, code: str, message: str, since: datetime | None) -> Attention:
        clears_with = "a 2xx answer" if self.enabled else "enabling it, when it is mended"
        return Attention(code=code, message=message, since=since or self.updated_at, clears_with=clears_with)

    def _recover(self) -> bool:
        ailing = self.failures > 0 or self.resting_until is not None
        self.failures, self.failing_since, self.resting_until = 0, None, None
        return ailing

    def _rest(self) -> timedelta:
        over = self.failures - REST_AFTER_FAILURES
        return min(SHORTEST_REST * 2 ** min(over, 10), LONGEST_REST) if over >= 0 else timedelta()


# ── Deliveries ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Turn(StrEnum):
    """What can happen to a delivery."""

    DELIVERED = "delivered"
    FAILED = "failed"
    FAILED_FOR_THE_LAST_TIME = "failed_for_the_last_time"
    SKIPPED = "skipped"  # the endpoint is disabled or gone
    ASKED_AGAIN = "asked_again"  # a person wants it sent again


_P, _D, _E, _S = DeliveryStatus
TURNS: Mapping[tuple[DeliveryStatus, Turn], DeliveryStatus] = {
    (_P, Turn.DELIVERED): _D,
    (_P, Turn.FAILED): _P,
    (_P, Turn.FAILED_FOR_THE_LAST_TIME): _E,
    (_P, Turn.SKIPPED): _S,
    (_P, Turn.ASKED_AGAIN): _P,
    # A try that was under way when the matter was settled: that it arrived is true, that it failed is no news.
    (_D, Turn.DELIVERED): _D,
    (_D, Turn.FAILED): _D,
    (_D, Turn.FAILED_FOR_THE_LAST_TIME): _D,
    (_D, Turn.SKIPPED): _D,
    (_D, Turn.ASKED_AGAIN): _P,
    (_E, Turn.DELIVERED): _D,
    (_E, Turn.FAILED): _E,
    (_E, Turn.FAILED_FOR_THE_LAST_TIME): _E,
    (_E, Turn.SKIPPED): _E,
    (_E, Turn.ASKED_AGAIN): _P,
    (_S, Turn.DELIVERED): _D,
    (_S, Turn.FAILED): _S,
    (_S, Turn.FAILED_FOR_THE_LAST_TIME): _S,
    (_S, Turn.SKIPPED): _S,
    (_S, Turn.ASKED_AGAIN): _P,
}
"""Where a delivery goes, from each status at each turn."""


def pause_after(tries: int, delivery_id: str) -> timedelta:
    """How long to wait after so many tries (1 to 9) have failed. The jitter follows from the id: a repeated decision is the same."""
    digest = blake2b(f"{delivery_id} {tries}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest) / 0xFFFFFFFF
    return RETRY_AFTER[tries - 1] * (1 - JITTER + 2 * JITTER * share)


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One event for one endpoint. Its id is the `webhook-id`: the same at every try."""

    id: str
    endpoint_id: str
    store_id: str
    event_id: str
    event_type: str
    order_id: str
    created_at: datetime
    next_at: datetime
    status: DeliveryStatus = DeliveryStatus.PENDING
    tries: int = 0  # since it was last asked for
    attempts: int = 0  # in all: the number of the try that is under way, or of the last one
    claimed_until: datetime | None = None  # a worker is at it
    last_status: int | None = None
    last_error: str = ""
    settled_at: datetime | None = None

    def arrived(self, at: datetime) -> None:
        """The endpoint said 2xx."""
        self._turn(Turn.DELIVERED, at)

    def failed(self, at: datetime, retry_after: timedelta | None = None) -> None:
        """Try again later: by the schedule, or when the endpoint asked for, whichever is later; after ten tries no more."""
        if self.tries >= MOST_TRIES:
            self._turn(Turn.FAILED_FOR_THE_LAST_TIME, at)
            return
        self._turn(Turn.FAILED, at)
        pause = pause_after(max(1, self.tries), self.id)
        self.next_at = at + max(pause, min(retry_after or timedelta(), LONGEST_RETRY_AFTER))

    def skip(self, at: datetime) -> None:
        """The endpoint is disabled."""
        self._turn(Turn.SKIPPED, at)

    def ask_again(self, at: datetime) -> None:
        """Send it now, as if for the first time, but under its own id."""
        self._turn(Turn.ASKED_AGAIN, at)
        self.tries, self.next_at = 0, at

    def _turn(self, turn: Turn, at: datetime) -> None:
        before, self.status = self.status, TURNS[self.status, turn]
        if turn is not Turn.ASKED_AGAIN:
            self.claimed_until = None
        if self.status is DeliveryStatus.PENDING:
            self.settled_at = None
        elif self.status is not before:
            self.settled_at = at
