"""How Freeport says no: a value with a stable code, words, and what would clear it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What kind of no it is; `shared/http.py` alone turns it into a status."""

    MALFORMED = "malformed"  # 400: not a request of this API
    INVALID = "invalid"  # 422: the request contradicts itself or a rule
    UNAUTHENTICATED = "unauthenticated"  # 401
    FORBIDDEN = "forbidden"  # 403
    NOT_FOUND = "not_found"  # 404, also for what belongs to another store
    CONFLICT = "conflict"  # 409: the state does not allow it
    TOO_LARGE = "too_large"  # 413
    BUSY = "busy"  # 503 with Retry-After: nothing was done, try again


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refusal as a value. `code` is stable and never translated: `stock.insufficient`."""

    code: str
    detail: str
    kind: Kind = Kind.CONFLICT
    clears_with: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Refused(Exception):
    """Carries a refusal out of code that can only raise (queries, dependencies, parsing)."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code}: {refusal.detail}")
        self.refusal = refusal


def not_found(what: str, which: str) -> Refused:
    """The one way to say that something is not there, or not yours."""
    return Refused(Refusal(code=f"{what}.not_found", detail=f"there is no {what} {which}", kind=Kind.NOT_FOUND))
