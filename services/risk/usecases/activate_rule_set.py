"""A store chooses its rules."""

from dataclasses import asdict, dataclass
from typing import Any

from services.risk.domain.casework import Casework
from services.risk.domain.language import Problem
from services.risk.domain.rule_set import parse_rule_set
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal

_MOST_TOLD = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateRuleSet:
    """The document is stored under its hash and decides from the next order on."""

    store_id: str
    document: dict[str, Any]
    actor: str


def activate_rule_set(command: ActivateRuleSet, casework: Casework, now: Moment) -> Decision:
    """Checked and compiled first: a malformed set is refused whole, with the place of every mistake."""
    rule_set = parse_rule_set(command.document)
    if isinstance(rule_set, list):
        return refuse(rule_set)
    casework.activate(command.store_id, rule_set, command.actor)
    return [Reply({"id": rule_set.id, "active": True, "activated_at": now.decided_at, "rules": len(rule_set.rules)})]


def refuse(problems: list[Problem]) -> Refusal:
    """The refusal of a malformed document; `facts.problems` holds pointers."""
    first = problems[0]
    return Refusal(
        code="rule_set.malformed",
        detail=f"{first.pointer or '/'} {first.problem}"
        + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""),
        kind=Kind.INVALID,
        facts={"problems": [asdict(problem) for problem in problems[:_MOST_TOLD]]},
    )
