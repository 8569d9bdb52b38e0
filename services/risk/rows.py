"""From rows to the domain, written out."""

from collections.abc import Mapping
from typing import Any

from services.risk.domain.order_file import Assessment, Observation, OrderFile, Stage
from services.risk.domain.review import Review, Status
from services.risk.domain.rule_set import Decision, Finding, RuleSet, Verdict, parse_rule_set
from services.risk.domain.velocity import History, Sightings, Tally
from shared.contracts.risk import ReviewCause
from shared.contracts.values import Reason
from shared.database import Row


def to_file(row: Row) -> OrderFile:
    """The order file of a row."""
    return OrderFile(
        order_id=row["order_id"],
        store_id=row["store_id"],
        version=row["version"],
        stage=Stage(row["stage"]),
        market=row["market"],
        channel=row["channel"],
        second=row["placed_second"],
        own=tuple(row["own_counts"]),
        signals=row["signals"],
        seen_card=row["seen_card"],
        counted=set(row["counted"]),
        waiting=[Observation(second, tuple(counts)) for second, counts in row["waiting"]],
        assessment=None if row["assessment_id"] is None else to_assessment(row),
    )


def to_assessment(row: Row) -> Assessment:
    """The assessment of an order file's row that has one."""
    findings = tuple(_to_finding(finding) for finding in row["findings"])
    return Assessment(
        assessment_id=row["assessment_id"],
        rule_set=row["rule_set"],
        decision=Decision(row["decision"]),
        verdict=Verdict(Decision(row["verdict"]), row["score"], findings),
        values=row["operands"],
        as_of=row["as_of"],
        assessed_at=row["assessed_at"],
    )


def _to_finding(stored: Mapping[str, Any]) -> Finding:
    action = stored["action"]
    return Finding(
        rule=stored["rule"],
        unknown=stored["unknown"],
        points=stored["points"],
        action=None if action is None else Decision(action),
        reason=Reason(**stored["reason"]),
    )


def to_review(row: Row) -> Review:
    """The review of a row."""
    return Review(
        review_id=row["review_id"],
        order_id=row["order_id"],
        store_id=row["store_id"],
        version=row["version"],
        cause=ReviewCause(row["cause"]),
        status=Status(row["status"]),
        rule_set=row["rule_set"],
        score=row["score"],
        reasons=tuple(Reason(**reason) for reason in row["reasons"]),
        opened_at=row["opened_at"],
        due_at=row["due_at"],
        overdue=row["overdue"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        note=row["note"],
    )


def to_history(row: Row) -> History:
    """The history of a row, without its tree."""
    return History(
        key=row["key"],
        version=row["version"],
        newest=row["newest"],
        folded=row["folded"],
        entries=Tally(row["entries"]).slots(),
        sightings=Sightings(row["sightings"]),
    )


def compiled(rule_set_id: str, document: object) -> RuleSet:
    """A stored document made callable again. Raises ValueError when this version cannot read what an earlier one accepted."""
    rule_set = parse_rule_set(document)
    if isinstance(rule_set, list) or rule_set.id != rule_set_id:
        raise ValueError(f"rule set {rule_set_id} cannot be read: {rule_set}")
    return rule_set
