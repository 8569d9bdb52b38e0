"""An order as risk sees it: under which keys its events count, what was counted already, and how it was assessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.risk.domain.operands import SIGNALS, Value
from services.risk.domain.rule_set import Decision, Verdict
from services.risk.domain.velocity import Counts
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import RiskSignals

STOREFRONT = "storefront"


class Stage(StrEnum):
    """How far the order is, for risk."""

    EXPECTED = "expected"  # something about it came before `OrderPlaced`
    OPEN = "open"
    CLOSED = "closed"  # rejected or cancelled: nothing more is decided, late events still count


class IllegalTransition(Exception):
    """An order was placed twice."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that counts in the windows: when, and what."""

    second: int
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What the rules said of an order, with everything they looked at.

    `decision` differs from the verdict's for what a channel has sold already: it is never rejected by rules alone.
    `values` are the operands as they were seen: judging them again by the same rule set gives the same verdict.
    """

    assessment_id: str
    rule_set: str
    decision: Decision
    verdict: Verdict
    values: Mapping[str, Value]
    as_of: datetime
    assessed_at: datetime


@dataclass(slots=True)
class OrderFile:
    """One order. `version` is that of the stored row, 0 where there is none yet."""

    order_id: str
    store_id: str
    version: int = 0
    stage: Stage = Stage.EXPECTED
    market: str = ""
    channel: str = ""
    second: int = 0  # when it was placed
    own: Counts = ()  # what the order itself counts for
    signals: dict[str, str] = field(default_factory=dict[str, str])
    seen_card: str = ""  # the card that was really charged, where another one was announced or none
    counted: set[str] = field(default_factory=set[str])  # ids of the events that were counted
    waiting: list[Observation] = field(default_factory=list[Observation])  # counted when the keys are known
    assessment: Assessment | None = None
    changed: bool = False

    def open(self, placed: OrderPlaced, second: int, own: Counts) -> list[Observation]:
        """The order was placed: its keys are known. Returns what had waited for them."""
        if self.stage is not Stage.EXPECTED:
            raise IllegalTransition(f"order {self.order_id} is {self.stage}, it cannot be placed again")
        self.stage, self.market, self.channel = Stage.OPEN, placed.market, placed.channel
        self.second, self.own, self.signals = second, own, present_signals(placed.signals)
        waited, self.waiting = self.waiting, []
        self.changed = True
        return waited

    def close(self) -> None:
        """Rejected or cancelled; closing twice changes nothing, as orders may say both."""
        self.changed = self.changed or self.stage is not Stage.CLOSED
        self.stage = Stage.CLOSED

    def takes(self, event: str) -> bool:
        """Whether this event (a refund's, a return's id) is new here; it is noted."""
        if event in self.counted:
            return False
        self.counted.add(event)
        self.changed = True
        return True

    def wait_with(self, observation: Observation) -> None:
        """Keep until the order's keys are known."""
        self.waiting.append(observation)
        self.changed = True

    def saw_card(self, fingerprint: str) -> bool:
        """The provider charged this card. True when it is not the one that was announced, and new."""
        if not fingerprint or fingerprint in (self.signals.get("card"), self.seen_card):
            return False
        self.seen_card = fingerprint
        self.changed = True
        return True

    @property
    def keys(self) -> list[tuple[str, str]]:
        """(kind, hash) of everything its events count under."""
        keys = [(kind, self.signals[kind]) for kind in SIGNALS if kind in self.signals]
        if self.seen_card and self.seen_card != self.signals.get("card"):
            keys.append(("card", self.seen_card))
        return keys

    @property
    def sold_by_channel(self) -> bool:
        """Whether a channel has sold it already."""
        return self.channel != STOREFRONT


def present_signals(signals: RiskSignals) -> dict[str, str]:
    """The hashes that are there, by kind."""
    every = {kind: str(getattr(signals, kind)) for kind in SIGNALS}
    return {kind: value for kind, value in every.items() if value}
