"""What risk tells: whether an order may go on, and what a person said."""

from datetime import datetime
from enum import StrEnum

from shared.contracts.registry import Event, event
from shared.contracts.topics import ASSESSMENT
from shared.contracts.values import Reason


class ReviewCause(StrEnum):
    """What a review is about. An order may be reviewed for each of them."""

    ORDER = "order"
    CARD_MISMATCH = "card_mismatch"  # the card that was charged is not the one that was announced


@event("risk.assessment.approved.v1", topic=ASSESSMENT, key="order_id")
class RiskApproved(Event):
    """No rule objects."""

    order_id: str
    assessment_id: str
    rule_set: str
    score: int


@event("risk.assessment.review_opened.v1", topic=ASSESSMENT, key="order_id")
class RiskReviewOpened(Event):
    """A person decides, by `due_at`."""

    order_id: str
    assessment_id: str
    review_id: str
    cause: ReviewCause
    rule_set: str
    score: int
    reasons: tuple[Reason, ...]
    due_at: datetime


@event("risk.assessment.review_decided.v1", topic=ASSESSMENT, key="order_id")
class RiskReviewDecided(Event):
    """A person said yes or no. Their note stays with risk."""

    order_id: str
    review_id: str
    cause: ReviewCause
    approved: bool
    decided_by: str


@event("risk.assessment.rejected.v1", topic=ASSESSMENT, key="order_id")
class RiskRejected(Event):
    """The rules say no."""

    order_id: str
    assessment_id: str
    rule_set: str
    score: int
    reasons: tuple[Reason, ...]
