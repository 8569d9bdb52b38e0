"""Risk's routes: parse -> use case -> shape."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Response

from services.risk import queries
from services.risk.domain.rule_set import parse_rule_set
from services.risk.schemas import (
    ActivationOut,
    AssessmentOut,
    ReviewDecisionIn,
    ReviewDetailOut,
    ReviewOut,
    RuleProblemOut,
    RuleSetDetailOut,
    RuleSetOut,
    ValidationOut,
)
from services.risk.usecases.activate_rule_set import ActivateRuleSet
from shared.http import PROBLEMS, After, Caller, Commands, Limit, Page, Reads, only_known_parameters, requires

router = APIRouter(prefix="/v1", tags=["risk"], responses=PROBLEMS)

_EXAMPLE = {
    "name": "cautious",
    "reference": {"currency": "EUR", "rates": [{"valid_from": "2026-01-04", "units": {"USD": "1.168"}}]},
    "thresholds": {"review": 50, "reject": 200},
    "rules": [
        {
            "id": "card_ring",
            "description": "Five or more orders on one card within ten minutes",
            "points": 60,
            "when": {
                "all": [
                    {"present": "card"},
                    {"ge": [{"velocity": {"key": "card", "window": "10m", "measure": "orders"}}, 5]},
                ]
            },
        }
    ],
}
RuleSetDocument = Annotated[dict[str, Any], Body(openapi_examples={"cautious": {"value": _EXAMPLE}})]


@router.get("/reviews", operation_id="reviews.list", dependencies=[Depends(only_known_parameters)])
async def list_reviews(
    caller: Annotated[Caller, requires("risk:read")],
    database: Reads,
    status: Annotated[Literal["open", "approved", "rejected", "closed"] | None, Query()] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[ReviewOut]:
    """The queue: open reviews first, and of these the ones that are due first."""
    return await queries.reviews(database, caller.store_id, status, after, limit)


@router.get("/reviews/{review_id}", operation_id="reviews.get")
async def get_review(
    review_id: str, caller: Annotated[Caller, requires("risk:read")], database: Reads
) -> ReviewDetailOut:
    """A review with everything that the rules saw of its order."""
    return await queries.review(database, caller.store_id, review_id)


@router.post("/reviews/{review_id}/decision", operation_id="reviews.decide", response_model=ReviewOut)
async def decide_review(
    review_id: str,
    body: ReviewDecisionIn,
    caller: Annotated[Caller, requires("risk:decide", idempotent=True)],
    commands: Commands,
) -> Response:
    """Approve or reject. The same decision again is answered alike; another one is a 409."""
    return await commands.execute(caller, body.to_command(review_id, caller))


@router.get("/assessments/{order_id}", operation_id="assessments.get")
async def get_assessment(
    order_id: str, caller: Annotated[Caller, requires("risk:read")], database: Reads
) -> AssessmentOut:
    """What the rules said of an order: every operand as it was seen, every condition as it came out."""
    return await queries.assessment(database, caller.store_id, order_id)


@router.get("/rule-sets", operation_id="rule_sets.list")
async def list_rule_sets(caller: Annotated[Caller, requires("risk:read")], database: Reads) -> Page[RuleSetOut]:
    """The rule sets that the store has chosen, newest first, and the shipped one."""
    return Page(data=await queries.rule_sets(database, caller.store_id), has_more=False, next=None)


@router.get("/rule-sets/{rule_set_id}", operation_id="rule_sets.get")
async def get_rule_set(
    rule_set_id: str, caller: Annotated[Caller, requires("risk:read")], database: Reads
) -> RuleSetDetailOut:
    """A rule set with its document, a starting point for one's own."""
    return await queries.rule_set(database, caller.store_id, rule_set_id)


@router.put("/rule-sets", operation_id="rule_sets.activate", response_model=ActivationOut)
async def activate_rule_set(
    document: RuleSetDocument,
    caller: Annotated[Caller, requires("risk:rules", idempotent=True)],
    commands: Commands,
) -> Response:
    """Check, store and activate a rule set. It decides from the next order on; a malformed one changes nothing."""
    command = ActivateRuleSet(store_id=caller.store_id, document=document, actor=caller.actor)
    return await commands.execute(caller, command)


@router.post("/rule-sets:validate", operation_id="rule_sets.validate")
async def validate_rule_set(
    document: RuleSetDocument, caller: Annotated[Caller, requires("risk:read")]
) -> ValidationOut:
    """Check a rule set without storing it: every problem with its place."""
    found = parse_rule_set(document)
    if isinstance(found, list):
        problems = [RuleProblemOut.model_validate(problem) for problem in found]
        return ValidationOut(valid=False, id=None, rules=0, operands=[], problems=problems)
    operands = [operand.name for operand in found.operands]
    return ValidationOut(valid=True, id=found.id, rules=len(found.rules), operands=operands)
