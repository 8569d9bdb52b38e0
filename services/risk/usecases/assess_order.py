"""An order came in: count it, judge it, say so."""

from dataclasses import replace
from datetime import datetime

from services.risk.domain.casework import Casework, own_counts
from services.risk.domain.order_file import Assessment, OrderFile
from services.risk.domain.review import ANSWER_WITHIN, DUE, Review
from services.risk.domain.rule_set import A_PERSON, Decision, Verdict
from services.risk.domain.velocity import second_of
from shared.contracts.orders import OrderPlaced
from shared.contracts.risk import ReviewCause, RiskApproved, RiskRejected, RiskReviewOpened
from shared.contracts.values import Reason
from shared.effects import Deadline, Effects, Moment
from shared.ids import derive_id

SOLD_BY_CHANNEL = Reason(
    code="risk.sold_by_channel",
    message="The rules would reject this order; a channel has sold it already, so a person decides",
    clears_with=A_PERSON,
    rule="sold_by_channel",
)


def assess_order(placed: OrderPlaced, casework: Casework, now: Moment) -> Effects:
    """Approved, to review, or rejected, with the reasons; the order itself is part of its windows."""
    file = casework.files[placed.order_id]
    rule_set = casework.rules_of(file.store_id)
    as_of = event_time(placed, now)
    waited = file.open(placed, second_of(as_of), own_counts(placed, rule_set))
    casework.admit(file)
    for observation in waited:
        casework.observe(file, observation.second, observation.counts)
    values = casework.values(placed, file, rule_set)
    verdict = rule_set.judge(values)
    file.assessment = Assessment(
        assessment_id=derive_id("asm", placed.order_id),
        rule_set=rule_set.id,
        decision=_decide(verdict, file),
        verdict=verdict,
        values=values,
        as_of=as_of,
        assessed_at=now.decided_at,
    )
    casework.decided.append(file.assessment.decision)
    return announce(file, file.assessment, casework, now)


def event_time(placed: OrderPlaced, now: Moment) -> datetime:
    """When the order counts: when it was placed, but never later than it was told.

    A channel's clock that runs ahead must not make everything after it look old.
    """
    return min(placed.placed_at, now.occurred_at)


def _decide(verdict: Verdict, file: OrderFile) -> Decision:
    """An order that a channel has sold is never rejected by rules alone."""
    return Decision.REVIEW if verdict.decision is Decision.REJECT and file.sold_by_channel else verdict.decision


def announce(file: OrderFile, assessment: Assessment, casework: Casework, now: Moment) -> Effects:
    """Say what was decided; a review is opened with it."""
    verdict = assessment.verdict
    if assessment.decision is Decision.APPROVE:
        return [
            RiskApproved(
                order_id=file.order_id,
                assessment_id=assessment.assessment_id,
                rule_set=assessment.rule_set,
                score=verdict.score,
            )
        ]
    if assessment.decision is Decision.REJECT:
        return [
            RiskRejected(
                order_id=file.order_id,
                assessment_id=assessment.assessment_id,
                rule_set=assessment.rule_set,
                score=verdict.score,
                reasons=_reasons(assessment),
            )
        ]
    return open_review(file, ReviewCause.ORDER, _reasons(assessment), casework, now)


def _reasons(assessment: Assessment) -> tuple[Reason, ...]:
    softened = assessment.decision is not assessment.verdict.decision
    reasons = assessment.verdict.reasons
    return (*reasons, replace(SOLD_BY_CHANNEL, source=assessment.rule_set)) if softened else reasons


def open_review(
    file: OrderFile, cause: ReviewCause, reasons: tuple[Reason, ...], casework: Casework, now: Moment
) -> Effects:
    """Ask a person, with a deadline that only tells when it is late."""
    assessment = file.assessment
    review = Review(
        review_id=derive_id("rev", file.order_id, cause.value),
        order_id=file.order_id,
        store_id=file.store_id,
        cause=cause,
        rule_set=assessment.rule_set if assessment else casework.rules_of(file.store_id).id,
        score=assessment.verdict.score if assessment else 0,
        reasons=reasons,
        opened_at=now.decided_at,
        due_at=now.decided_at + ANSWER_WITHIN,
        changed=True,
    )
    casework.open_review(review)
    return [opened(review), Deadline(DUE, review.review_id, review.due_at)]


def opened(review: Review) -> RiskReviewOpened:
    """How an open review is told."""
    return RiskReviewOpened(
        order_id=review.order_id,
        assessment_id=derive_id("asm", review.order_id),
        review_id=review.review_id,
        cause=review.cause,
        rule_set=review.rule_set,
        score=review.score,
        reasons=review.reasons,
        due_at=review.due_at,
    )
