"""Dated customs rules as data, and the pure function that applies them.

A rule says where it holds, from when to when, by which clock, what must be true, what follows if it is not, and who
says so. `assess` gives the same answer for the same shipment, clocks and rule book for ever, so that a decision can be
replayed under the version that made it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Protocol

from services.logistics.domain.documents import Document
from services.logistics.domain.goods import Goods
from shared.contracts.logistics import Mode
from shared.contracts.values import Destination, GoodsFlag, Reason
from shared.money import Money

EU = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    ]
)  # the 27 member states, whose territories are one customs union
EVERYWHERE = "*"


def customs_territory(country: str) -> str:
    """Who clears goods for a country: `EU` for its member states, else the country itself."""
    return "EU" if country in EU else country


class Clock(StrEnum):
    """Which day decides whether a rule is in force."""

    ORDER = "order"
    POSTING = "posting"
    ENTRY = "entry"
    DECLARATION = "declaration"


class Outcome(StrEnum):
    """What follows when a rule is not met."""

    HOLD = "hold"  # something is missing
    PROHIBIT = "prohibit"  # these goods may not go there at all


class Confidence(StrEnum):
    """How well the rule's text is known."""

    OFFICIAL = "official"  # read in the law or the authority's own notice
    SECONDARY = "secondary"  # read in a carrier's, lawyer's or post's account of it
    GENERAL = "general"  # common practice, not looked up


@dataclass(frozen=True, slots=True)
class Clocks:
    """When the order was placed, and the day on which posting, entry and declaration are expected. Days are UTC's."""

    placed: date
    moving: date

    @classmethod
    def of(cls, placed_at: datetime, decided_at: datetime) -> "Clocks":
        """Not posted yet: it would be posted, enter and be declared about now."""
        return cls(placed_at.astimezone(UTC).date(), decided_at.astimezone(UTC).date())

    def on(self, clock: Clock) -> date:
        """The day by that clock."""
        return self.placed if clock is Clock.ORDER else self.moving


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What crosses the border, and what is known about it. `goods` are only those that do cross."""

    destination: Destination
    goods: tuple[Goods, ...]
    value: Money  # of all goods of the order, as sold
    invoiced: Money  # what the lines of the invoice come to
    documents: tuple[Document, ...] = ()
    modes: frozenset[Mode] = frozenset(Mode)  # those that go to the destination from abroad


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that is not met, in one subject: a SKU, a document, an identifier."""

    code: str
    subject: str
    message: str


class Condition(Protocol):
    """What a rule wants to be true. Each kind is a class in conditions.py."""

    def problems(self, shipment: Shipment, limits: "Sequence[Limit]") -> Iterable[Problem]:
        """What is not as the rule wants it, given the transport limits in force."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of the book. `valid_to` is its last day."""

    id: str
    jurisdiction: str
    valid_from: date
    valid_to: date | None
    applies_on: Clock
    source: str
    confidence: Confidence
    outcome: Outcome
    clears_with: str
    condition: Condition

    def in_force(self, at: Clocks) -> bool:
        """Whether the rule holds on its own clock's day."""
        day = at.on(self.applies_on)
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much of some goods a mode of transport takes in one parcel; no maximum means none at all."""

    id: str
    mode: Mode
    flag: GoodsFlag
    valid_from: date
    valid_to: date | None
    source: str
    confidence: Confidence
    max_units: int | None = None
    max_grams: int | None = None

    def in_force(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def exceeded_by(self, goods: Iterable[Goods]) -> str:
        """Why these goods are too much for one parcel, or an empty string."""
        flagged = [each for each in goods if self.flag in each.product.flags]
        units, grams = sum(each.quantity for each in flagged), sum(each.weight_grams for each in flagged)
        if not units:
            return ""
        if self.max_units is None and self.max_grams is None:
            return f"{self.mode} takes no {self.flag}"
        if self.max_units is not None and units > self.max_units:
            return f"{self.mode} takes {self.max_units} units of {self.flag} a parcel, not {units}"
        if self.max_grams is not None and grams > self.max_grams:
            return f"{self.mode} takes {self.max_grams} g of {self.flag} a parcel, not {grams} g"
        return ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is not met, as it is told: the reason names the rule, its source and what would clear it."""

    outcome: Outcome
    reason: Reason


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules, indexed by jurisdiction. `version` is the hash of their content."""

    version: str
    rules: tuple[Rule, ...]
    limits: tuple[Limit, ...] = ()
    _by_jurisdiction: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict[str, tuple[Rule, ...]])

    @classmethod
    def of(cls, rules: Sequence[Rule], limits: Sequence[Limit], content: object) -> "Rulebook":
        """A book of these rules; `content` is the JSON-able data that they were read from."""
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
        version = f"rules-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"
        jurisdictions = {rule.jurisdiction for rule in rules}
        index = {place: tuple(rule for rule in rules if rule.jurisdiction == place) for place in jurisdictions}
        return cls(version, tuple(rules), tuple(limits), index)

    def rules_for(self, country: str) -> Iterator[Rule]:
        """The rules for goods that enter a country: those of its territory, then those of everywhere."""
        for jurisdiction in dict.fromkeys((country, customs_territory(country), EVERYWHERE)):
            yield from self._by_jurisdiction.get(jurisdiction, ())

    def limits_on(self, day: date) -> tuple[Limit, ...]:
        """The transport limits in force."""
        return tuple(limit for limit in self.limits if limit.in_force(day))


def assess(shipment: Shipment, at: Clocks, rulebook: Rulebook) -> tuple[Finding, ...]:
    """What keeps the shipment from crossing the border; nothing when nothing crosses one.

    Two rules that miss the same thing in the same subject make one finding, the more specific rule's.
    """
    if not shipment.goods:
        return ()
    limits = rulebook.limits_on(at.moving)
    findings: dict[tuple[str, str], Finding] = {}
    for rule in rulebook.rules_for(shipment.destination.country):
        if rule.in_force(at):
            for problem in rule.condition.problems(shipment, limits):
                findings.setdefault((problem.code, problem.subject), _finding(rule, problem))
    return tuple(findings.values())


def _finding(rule: Rule, problem: Problem) -> Finding:
    reason = Reason(
        code=problem.code,
        message=problem.message,
        clears_with=rule.clears_with,
        rule=rule.id,
        source=rule.source,
        subject=problem.subject,
    )
    return Finding(rule.outcome, reason)
