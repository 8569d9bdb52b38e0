"""Requests and responses of risk's API."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from services.risk.domain.review import Act
from services.risk.usecases.decide_review import DecideReview
from shared.http import Body, Caller, View, examples


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


Note = Annotated[str, StringConstraints(max_length=2000, strip_whitespace=True), AfterValidator(_without_nul)]


class ReviewDecisionIn(Body):
    """A person's yes or no. The note stays with risk."""

    model_config = examples({"decision": "approve", "note": "Called the buyer: a company orders for its staff."})

    decision: Literal["approve", "reject"]
    note: Note = ""

    def to_command(self, review_id: str, caller: Caller) -> DecideReview:
        """The command, of this caller's store."""
        return DecideReview(
            store_id=caller.store_id, review_id=review_id, act=Act(self.decision), note=self.note, actor=caller.actor
        )


class ReasonOut(View):
    """Why; `message` holds the values that were seen, `source` is the rule set."""

    code: str
    message: str
    clears_with: str
    rule: str
    source: str


class ReviewOut(View):
    """A review and where it stands. Overdue is told, never decided."""

    review_id: str
    order_id: str
    cause: str
    status: Literal["open", "approved", "rejected", "closed"]
    rule_set: str
    score: int
    reasons: list[ReasonOut]
    opened_at: datetime
    due_at: datetime
    overdue: bool
    decided_by: str | None
    decided_at: datetime | None
    note: str | None


class ConditionOut(View):
    """One condition: where it stands in the rule set, what it looked at and saw. `outcome` null is unknown."""

    at: str
    condition: str
    seen: dict[str, Any]
    outcome: bool | None


class RuleOutcomeOut(View):
    """One rule of the set, as it came out."""

    rule: str
    description: str
    points: int
    action: str | None
    outcome: bool | None
    conditions: list[ConditionOut]


class AssessmentOut(View):
    """What the rules said of an order. `verdict` is theirs; `decision` is milder where a channel has sold the order already."""

    order_id: str
    assessment_id: str
    rule_set: str
    decision: Literal["approve", "review", "reject"]
    verdict: Literal["approve", "review", "reject"]
    score: int
    reasons: list[ReasonOut]
    operands: dict[str, Any]
    rules: list[RuleOutcomeOut]
    as_of: datetime
    assessed_at: datetime
    reviews: list[ReviewOut]


class ReviewDetailOut(ReviewOut):
    """A review with the assessment of its order, where there is one."""

    assessment: AssessmentOut | None


class RuleSetOut(View):
    """A rule set of the store. `activated_at` is null for the shipped one where it was never chosen."""

    id: str
    name: str
    description: str
    rules: int
    active: bool
    shipped: bool
    activated_at: datetime | None
    activated_by: str | None


class RuleSetDetailOut(RuleSetOut):
    """A rule set with its document."""

    document: dict[str, Any]


class ActivationOut(View):
    """The set decides from now on, in every process within a second."""

    id: str
    active: bool
    activated_at: datetime
    rules: int


class RuleProblemOut(View):
    """What is wrong, and where: a JSON pointer into the document."""

    pointer: str
    problem: str


class ValidationOut(View):
    """Whether a document could be activated, and the id that it would have."""

    valid: bool
    id: str | None
    rules: int
    operands: list[str]
    problems: list[RuleProblemOut] = Field(default_factory=list[RuleProblemOut])
