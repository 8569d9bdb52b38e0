"""A rule set: rules, thresholds and rates as one document, known by the hash of its content.

Points of the rules that hold are added up; the sum against the thresholds, a rule's own action, and anything unknown give
the decision. The same document over the same operand values always gives the same verdict, so every assessment can be
judged again from what it stored.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, cast

from services.risk.domain.language import LONGEST, Compiled, Condition, Problem, Test, child, compile_condition
from services.risk.domain.operands import Operand, Value, Values
from services.risk.domain.reference import Rates, Reference
from shared.contracts.values import Reason

MOST_RULES = 200
MOST_POINTS = 10_000
A_PERSON = "a person's decision on the review"

_RULE_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Decision(StrEnum):
    """What is to become of an order."""

    APPROVE = "approve"
    REVIEW = "review"
    REJECT = "reject"


_GRAVITY: Mapping[Decision, int] = {Decision.APPROVE: 0, Decision.REVIEW: 1, Decision.REJECT: 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """Something to object to: `points` for the score, or an `action` that alone decides at least that much."""

    id: str
    description: str
    points: int
    action: Decision | None
    clears_with: str
    test: Test
    conditions: tuple[Condition, ...]

    @property
    def operands(self) -> tuple[str, ...]:
        """The names of what it looks at, in the order of the document."""
        return tuple(dict.fromkeys(name for condition in self.conditions for name in condition.operands))


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that holds, or that cannot tell (`unknown`)."""

    rule: str
    unknown: bool
    points: int
    action: Decision | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say."""

    decision: Decision
    score: int
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why, for whom it concerns: what speaks against the order, not what speaks for it."""
        return tuple(
            finding.reason for finding in self.findings if finding.unknown or finding.action or finding.points > 0
        )


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A document that was checked and compiled. `id` is the hash of its content."""

    id: str
    document: Mapping[str, Any]
    reference: Reference
    review_at: int
    reject_at: int
    rules: tuple[Rule, ...]
    operands: tuple[Operand, ...]  # all that the rules look at, by name

    def judge(self, values: Values) -> Verdict:
        """The verdict over these operand values; every operand of the rule set must be among them."""
        findings = [finding for rule in self.rules if (finding := self._finding(rule, values)) is not None]
        score = sum(finding.points for finding in findings)
        return Verdict(self._decision(score, findings), score, tuple(findings))

    def explain(self, values: Values) -> list[dict[str, Any]]:
        """Every rule with every condition: what it looked at, what it saw, what came out (None is unknown)."""
        return [
            {
                "rule": rule.id,
                "description": rule.description,
                "points": rule.points,
                "action": rule.action,
                "outcome": rule.test(values),
                "conditions": [_seen(condition, values) for condition in rule.conditions],
            }
            for rule in self.rules
        ]

    def _finding(self, rule: Rule, values: Values) -> Finding | None:
        outcome = rule.test(values)
        if outcome is False:
            return None
        unknown = outcome is None
        return Finding(
            rule.id,
            unknown,
            0 if unknown else rule.points,
            None if unknown else rule.action,
            self._reason(rule, values, unknown),
        )

    def _reason(self, rule: Rule, values: Values, unknown: bool) -> Reason:
        seen = ", ".join(
            f"{name} = {_shown(values[name])}" for name in rule.operands if not name.startswith("present(")
        )
        message = f"{rule.description} cannot be told: {seen}" if unknown else f"{rule.description}: {seen}"
        return Reason(
            code=f"risk.{rule.id}",
            message=message.removesuffix(": "),
            clears_with=rule.clears_with,
            rule=rule.id,
            source=self.id,
        )

    def _decision(self, score: int, findings: Sequence[Finding]) -> Decision:
        """The gravest of: the score against the thresholds, the actions, and review for what is unknown."""
        decision = (
            Decision.REJECT
            if score >= self.reject_at
            else Decision.REVIEW
            if score >= self.review_at
            else Decision.APPROVE
        )
        for finding in findings:
            least = Decision.REVIEW if finding.unknown else finding.action
            if least is not None and _GRAVITY[least] > _GRAVITY[decision]:
                decision = least
        return decision


def rule_set_id(document: Mapping[str, Any]) -> str:
    """`rules_` and half the SHA-256 of the canonical document (sorted keys, no spaces, UTF-8): one byte changes it."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"rules_{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"


def parse_rule_set(document: object) -> RuleSet | list[Problem]:
    """Check and compile a document: a rule set, or everything that is wrong with it."""
    reading = _Reading([])
    rule_set = reading.rule_set(document)
    return reading.problems or rule_set or [Problem("", "is not a rule set")]


def _seen(condition: Condition, values: Values) -> dict[str, Any]:
    return {
        "at": condition.pointer,
        "condition": condition.text,
        "seen": {name: values[name] for name in condition.operands},
        "outcome": condition.test(values),
    }


def _shown(value: Value) -> str:
    return "unknown" if value is None else str(value)


@dataclass(slots=True)
class _Reading:
    """Reads a document; problems gather with their JSON pointers."""

    problems: list[Problem]

    def rule_set(self, document: object) -> RuleSet | None:
        body = self._object(document, "", {"name", "reference", "thresholds", "rules"}, {"description"})
        if body is None:
            return None
        self._text(body["name"], "/name")
        self._text(body.get("description", "-"), "/description", 1000)
        reference = self._reference(body["reference"])
        review_at, reject_at = self._thresholds(body["thresholds"])
        rules, operands = self._rules(body["rules"])
        if self.problems or reference is None:
            return None
        return RuleSet(
            rule_set_id(body),
            body,
            reference,
            review_at,
            reject_at,
            tuple(rules),
            tuple(sorted(operands, key=lambda operand: operand.name)),
        )

    def _thresholds(self, value: object) -> tuple[int, int]:
        body = self._object(value, "/thresholds", {"review", "reject"})
        if body is None:
            return 0, 0
        review_at = self._number(body["review"], "/thresholds/review", 1, MOST_POINTS)
        reject_at = self._number(body["reject"], "/thresholds/reject", 1, MOST_POINTS)
        if not self.problems and review_at >= reject_at:
            self._fail("/thresholds/reject", f"must be above the review threshold {review_at}")
        return review_at, reject_at

    def _reference(self, value: object) -> Reference | None:
        body = self._object(value, "/reference", {"currency", "rates"}, {"source"})
        if body is None:
            return None
        self._text(body.get("source", "-"), "/reference/source", 1000)
        currency = body["currency"]
        if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
            self._fail("/reference/currency", "is an ISO 4217 code")
            return None
        rows = self._list(body["rates"], "/reference/rates", 500)
        rates = [
            rates
            for index, row in enumerate(rows)
            if (rates := self._rates(row, child("/reference/rates", index))) is not None
        ]
        return Reference(currency, tuple(sorted(rates, key=lambda row: row.valid_from)))

    def _rates(self, value: object, at: str) -> Rates | None:
        body = self._object(value, at, {"valid_from", "units"})
        if body is None:
            return None
        units = body["units"]
        if not isinstance(units, dict):
            self._fail(child(at, "units"), "maps currencies to rates")
            return None
        rates: dict[str, Decimal] = {}
        for currency, rate in cast("dict[str, object]", units).items():
            number = _positive(rate)
            if number is None or not _CURRENCY.fullmatch(currency):
                self._fail(child(at, "units", currency), "is a currency code with a positive decimal number as a text")
            else:
                rates[currency] = number
        valid_from = _day(body["valid_from"])
        if valid_from is None:
            self._fail(child(at, "valid_from"), "is a date as 2026-01-31")
            return None
        return Rates(valid_from, rates)

    def _rules(self, value: object) -> tuple[list[Rule], set[Operand]]:
        rules: list[Rule] = []
        operands: set[Operand] = set()
        for index, entry in enumerate(self._list(value, "/rules", MOST_RULES)):
            at = child("/rules", index)
            read = self._rule(entry, at)
            if read is None:
                continue
            rule, compiled = read
            if any(rule.id == other.id for other in rules):
                self._fail(child(at, "id"), f"there is another rule {rule.id}")
            rules.append(rule)
            operands |= compiled.operands
        return rules, operands

    def _rule(self, value: object, at: str) -> tuple[Rule, Compiled] | None:
        body = self._object(value, at, {"id", "description", "when"}, {"points", "action", "clears_with"})
        if body is None:
            return None
        identifier = body["id"]
        if not isinstance(identifier, str) or not _RULE_ID.fullmatch(identifier):
            self._fail(child(at, "id"), "is 1 to 40 of a-z, 0-9 and _, beginning with a letter")
        self._text(body["description"], child(at, "description"))
        clears_with = self._text(body.get("clears_with", A_PERSON), child(at, "clears_with"))
        points, action = self._weight(body, at)
        compiled = compile_condition(body["when"], child(at, "when"))
        if isinstance(compiled, list):
            self.problems.extend(compiled)
            return None
        rule = Rule(
            str(identifier), str(body["description"]), points, action, clears_with, compiled.test, compiled.conditions
        )
        return rule, compiled

    def _weight(self, body: Mapping[str, Any], at: str) -> tuple[int, Decision | None]:
        points = self._number(body.get("points", 0), child(at, "points"), -MOST_POINTS, MOST_POINTS)
        action = body.get("action")
        if action not in (None, "review", "reject"):
            self._fail(child(at, "action"), "is review or reject")
            return points, None
        if points == 0 and action is None:
            self._fail(at, "has points or an action, else it says nothing")
        return points, None if action is None else Decision(str(action))

    def _object(
        self, value: object, at: str, required: set[str], optional: set[str] | None = None
    ) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            self._fail(at, "is an object")
            return None
        body = cast("dict[str, Any]", value)
        missing = sorted(required - body.keys())
        for name in missing:
            self._fail(child(at, name), "is missing")
        for name in sorted(body.keys() - required - (optional or set())):
            self._fail(child(at, name), "is not known here")
        return None if missing else body

    def _list(self, value: object, at: str, most: int) -> list[object]:
        if not isinstance(value, list):
            self._fail(at, "is a list")
            return []
        entries = cast("list[object]", value)
        if len(entries) > most:
            self._fail(at, f"has {most} entries at most")
            return []
        return entries

    def _text(self, value: object, at: str, longest: int = LONGEST) -> str:
        if not isinstance(value, str) or not value or len(value) > longest or "\x00" in value:
            self._fail(at, f"is a text of 1 to {longest} characters")
            return ""
        return value

    def _number(self, value: object, at: str, least: int, most: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self._fail(at, f"is a whole number from {least} to {most}")
            return 0
        return value

    def _fail(self, at: str, problem: str) -> None:
        self.problems.append(Problem(at, problem))


def _positive(rate: object) -> Decimal | None:
    number = Decimal(rate) if isinstance(rate, str) and _RATE.fullmatch(rate) else Decimal(0)
    return number if number > 0 else None


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
    except ValueError:
        return None
