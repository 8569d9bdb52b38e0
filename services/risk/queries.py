"""What the API reads. Every query names the store: nobody sees another's."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from services.risk.domain.order_file import Assessment
from services.risk.domain.rule_set import RuleSet
from services.risk.rows import compiled, to_assessment, to_review
from services.risk.rules import shipped_rule_set
from services.risk.schemas import (
    AssessmentOut,
    ReasonOut,
    ReviewDetailOut,
    ReviewOut,
    RuleOutcomeOut,
    RuleSetDetailOut,
    RuleSetOut,
)
from shared.contracts.values import Reason
from shared.database import Database, Row
from shared.errors import not_found
from shared.http import Page, cursor_moment, decode_cursor, page

_QUEUE = """
SELECT * FROM review WHERE store_id = $1 AND ($2::text IS NULL OR status = $2)
ORDER BY (status <> 'open'), due_at, review_id LIMIT $3
"""
# With the place in the plainest form, so that the index is entered there and not read from its beginning.
_QUEUE_AFTER = """
SELECT * FROM review WHERE store_id = $1 AND ($2::text IS NULL OR status = $2)
    AND ((status <> 'open'), due_at, review_id) > ($4::bool, $5::timestamptz, $6::text)
ORDER BY (status <> 'open'), due_at, review_id LIMIT $3
"""


async def reviews(
    database: Database, store_id: str, status: str | None, after: str | None, limit: int
) -> Page[ReviewOut]:
    """The queue: open ones first, those first that are due first."""
    place = decode_cursor(after, 3)
    if place is None:
        rows = await database.fetch(_QUEUE, store_id, status, limit + 1)
    else:
        settled, due_at, review_id = place[0] == "settled", cursor_moment(place[1]), place[2]
        rows = await database.fetch(_QUEUE_AFTER, store_id, status, limit + 1, settled, due_at, review_id)
    found = [_review_out(row) for row in rows]
    return page(found, limit, _place_of)


def _place_of(out: ReviewOut) -> tuple[str, str, str]:
    return "open" if out.status == "open" else "settled", out.due_at.isoformat(), out.review_id


async def review(database: Database, store_id: str, review_id: str) -> ReviewDetailOut:
    """One review with its order's assessment. Raises Refused `review.not_found`."""
    row = await database.fetchrow("SELECT * FROM review WHERE store_id = $1 AND review_id = $2", store_id, review_id)
    if row is None:
        raise not_found("review", review_id)
    found = await _assessment(database, store_id, row["order_id"])
    return ReviewDetailOut(**_review_out(row).model_dump(), assessment=found)


async def assessment(database: Database, store_id: str, order_id: str) -> AssessmentOut:
    """What the rules said of an order, and every condition. Raises Refused `assessment.not_found`."""
    found = await _assessment(database, store_id, order_id)
    if found is None:
        raise not_found("assessment", order_id)
    return found


async def _assessment(database: Database, store_id: str, order_id: str) -> AssessmentOut | None:
    row = await database.fetchrow(
        "SELECT * FROM order_file WHERE store_id = $1 AND order_id = $2 AND assessment_id IS NOT NULL",
        store_id,
        order_id,
    )
    if row is None:
        return None
    reviews = await database.fetch(
        "SELECT * FROM review WHERE store_id = $1 AND order_id = $2 ORDER BY opened_at", store_id, order_id
    )
    made = to_assessment(row)
    return _assessment_out(order_id, made, await _rule_set(database, made.rule_set), reviews)


def _assessment_out(order_id: str, made: Assessment, rule_set: RuleSet, reviews: Sequence[Row]) -> AssessmentOut:
    return AssessmentOut(
        order_id=order_id,
        assessment_id=made.assessment_id,
        rule_set=made.rule_set,
        decision=made.decision.value,
        verdict=made.verdict.decision.value,
        score=made.verdict.score,
        reasons=_reasons(made.verdict.reasons),
        operands=dict(made.values),
        rules=[RuleOutcomeOut.model_validate(explained) for explained in rule_set.explain(made.values)],
        as_of=made.as_of,
        assessed_at=made.assessed_at,
        reviews=[_review_out(row) for row in reviews],
    )


async def _rule_set(database: Database, rule_set_id: str) -> RuleSet:
    if rule_set_id == shipped_rule_set().id:
        return shipped_rule_set()
    return compiled(rule_set_id, await database.fetchval("SELECT document FROM rule_set WHERE id = $1", rule_set_id))


_RULE_SETS = """
SELECT DISTINCT ON (a.rule_set) a.number, a.rule_set AS id, a.activated_at, a.activated_by, r.document
FROM rule_set_activation a JOIN rule_set r ON r.id = a.rule_set
WHERE a.store_id = $1 AND ($2::text IS NULL OR a.rule_set = $2)
ORDER BY a.rule_set, a.number DESC
"""
_ACTIVE = "SELECT rule_set FROM rule_set_activation WHERE store_id = $1 ORDER BY number DESC LIMIT 1"


async def rule_sets(database: Database, store_id: str) -> list[RuleSetOut]:
    """The sets that the store has chosen, newest choice first, and the shipped one."""
    rows = sorted(await database.fetch(_RULE_SETS, store_id, None), key=lambda row: row["number"], reverse=True)
    active = await database.fetchval(_ACTIVE, store_id) or shipped_rule_set().id
    found = [RuleSetOut(**_rule_set_fields(row["document"], row["id"], active, row)) for row in rows]
    if all(out.id != shipped_rule_set().id for out in found):
        found.append(RuleSetOut(**_rule_set_fields(shipped_rule_set().document, shipped_rule_set().id, active, None)))
    return found


async def rule_set(database: Database, store_id: str, rule_set_id: str) -> RuleSetDetailOut:
    """One of them with its document. Raises Refused `rule_set.not_found`."""
    active = await database.fetchval(_ACTIVE, store_id) or shipped_rule_set().id
    row = await database.fetchrow(_RULE_SETS, store_id, rule_set_id)
    if row is not None:
        return RuleSetDetailOut(**_rule_set_fields(row["document"], rule_set_id, active, row), document=row["document"])
    if rule_set_id == shipped_rule_set().id:
        document = dict(shipped_rule_set().document)
        return RuleSetDetailOut(**_rule_set_fields(document, rule_set_id, active, None), document=document)
    raise not_found("rule_set", rule_set_id)


def _rule_set_fields(document: Any, rule_set_id: str, active: str, row: Row | None) -> dict[str, Any]:
    return {
        "id": rule_set_id,
        "name": document["name"],
        "description": document.get("description", ""),
        "rules": len(document["rules"]),
        "active": rule_set_id == active,
        "shipped": rule_set_id == shipped_rule_set().id,
        "activated_at": None if row is None else row["activated_at"],
        "activated_by": None if row is None else row["activated_by"],
    }


def _review_out(row: Row) -> ReviewOut:
    found = to_review(row)
    return ReviewOut(
        review_id=found.review_id,
        order_id=found.order_id,
        cause=found.cause.value,
        status=found.status.value,
        rule_set=found.rule_set,
        score=found.score,
        reasons=_reasons(found.reasons),
        opened_at=found.opened_at,
        due_at=found.due_at,
        overdue=found.overdue,
        decided_by=found.decided_by or None,
        decided_at=found.decided_at,
        note=found.note or None,
    )


def _reasons(reasons: Sequence[Reason]) -> list[ReasonOut]:
    return [
        ReasonOut(**{name: value for name, value in asdict(reason).items() if name in ReasonOut.model_fields})
        for reason in reasons
    ]
