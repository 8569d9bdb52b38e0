"""A review: a person decides what the rules would not. Its clock runs, but it never decides by itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.contracts.risk import ReviewCause, RiskReviewDecided
from shared.contracts.values import Reason
from shared.errors import Kind, Refusal

ANSWER_WITHIN = timedelta(hours=4)
DUE = "review.due"


class Status(StrEnum):
    """How a review stands. Every one but open is final."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    CLOSED = "closed"  # the order ended before anyone decided


class Act(StrEnum):
    """What can come to a review."""

    APPROVE = "approve"
    REJECT = "reject"
    CLOSE = "close"
    FALL_DUE = "fall_due"


TRANSITIONS: Mapping[tuple[Status, Act], Status | None] = {
    (Status.OPEN, Act.APPROVE): Status.APPROVED,
    (Status.OPEN, Act.REJECT): Status.REJECTED,
    (Status.OPEN, Act.CLOSE): Status.CLOSED,
    (Status.OPEN, Act.FALL_DUE): Status.OPEN,
    (Status.APPROVED, Act.APPROVE): Status.APPROVED,
    (Status.APPROVED, Act.REJECT): None,
    (Status.APPROVED, Act.CLOSE): Status.APPROVED,
    (Status.APPROVED, Act.FALL_DUE): Status.APPROVED,
    (Status.REJECTED, Act.APPROVE): None,
    (Status.REJECTED, Act.REJECT): Status.REJECTED,
    (Status.REJECTED, Act.CLOSE): Status.REJECTED,
    (Status.REJECTED, Act.FALL_DUE): Status.REJECTED,
    (Status.CLOSED, Act.APPROVE): None,
    (Status.CLOSED, Act.REJECT): None,
    (Status.CLOSED, Act.CLOSE): Status.CLOSED,
    (Status.CLOSED, Act.FALL_DUE): Status.CLOSED,
}
"""Total: every pair has an answer. None is a refusal; the state itself means that nothing changes."""


@dataclass(slots=True, kw_only=True)
class Review:
    """One question about one order. `version` is that of the stored row, 0 where there is none yet."""

    review_id: str
    order_id: str
    store_id: str
    cause: ReviewCause
    rule_set: str
    score: int
    reasons: tuple[Reason, ...]
    opened_at: datetime
    due_at: datetime
    status: Status = Status.OPEN
    overdue: bool = False
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""
    version: int = 0
    changed: bool = False

    def decide(self, act: Act, *, by: str, note: str, at: datetime) -> RiskReviewDecided | Refusal | None:
        """A person's yes or no. The same answer again is None: nothing new; another one is refused."""
        wanted = TRANSITIONS[self.status, act]
        if wanted is None:
            return self._refuse(act)
        if wanted is self.status:
            return None
        self.status, self.decided_by, self.decided_at, self.note, self.changed = wanted, by, at, note, True
        return RiskReviewDecided(
            order_id=self.order_id,
            review_id=self.review_id,
            cause=self.cause,
            approved=wanted is Status.APPROVED,
            decided_by=by,
        )

    def close(self) -> bool:
        """The order ended. True when that ended an open review."""
        was_open, self.status = self.status is Status.OPEN, TRANSITIONS[self.status, Act.CLOSE] or self.status
        self.changed = self.changed or was_open
        return was_open

    def fall_due(self) -> None:
        """Nobody decided in time: it stays open and says so."""
        if self.status is Status.OPEN:
            self.overdue = self.changed = True

    def _refuse(self, act: Act) -> Refusal:
        if self.status is Status.CLOSED:
            detail = f"the order of review {self.review_id} has ended, there is nothing to {act}"
            return Refusal(code="review.closed", detail=detail, kind=Kind.CONFLICT)
        detail = f"review {self.review_id} was {self.status} by {self.decided_by}"
        return Refusal(code="review.decided", detail=detail, kind=Kind.CONFLICT, facts={"status": self.status.value})

    def as_told(self) -> dict[str, Any]:
        """What a caller is told of it."""
        return {
            "review_id": self.review_id,
            "order_id": self.order_id,
            "cause": self.cause.value,
            "status": self.status.value,
            "rule_set": self.rule_set,
            "score": self.score,
            "reasons": self.reasons,
            "opened_at": self.opened_at,
            "due_at": self.due_at,
            "overdue": self.overdue,
            "decided_by": self.decided_by or None,
            "decided_at": self.decided_at,
            "note": self.note or None,
        }
