"""A person says yes or no."""

from dataclasses import dataclass

from services.risk.domain.casework import Casework
from services.risk.domain.review import DUE, Act
from shared.effects import Decision, Forget, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideReview:
    """`act` is approve or reject."""

    store_id: str
    review_id: str
    act: Act
    note: str
    actor: str


def decide_review(command: DecideReview, casework: Casework, now: Moment) -> Decision:
    """The review as it then is. The same decision again is answered, another one refused (409)."""
    review = casework.reviews.get(command.review_id)
    if review is None or review.store_id != command.store_id:
        return Refusal(code="review.not_found", detail=f"there is no review {command.review_id}", kind=Kind.NOT_FOUND)
    decided = review.decide(command.act, by=command.actor, note=command.note, at=now.decided_at)
    if isinstance(decided, Refusal):
        return decided
    if decided is None:
        return [Reply(review.as_told())]
    return [decided, Forget(DUE, review.review_id), Reply(review.as_told())]
