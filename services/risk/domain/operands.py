"""What a rule may look at: facts of the order, signals that are present, and velocity windows.

An operand has a name that is written the same way in assessments, reasons and tests: `total`, `present(card)`,
`velocity(card,10m,orders)`. Its value is a whole number, a text, a truth, or None: unknown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from services.risk.domain.reference import Reference
from shared.contracts.orders import OrderPlaced

Value: TypeAlias = int | str | bool | None
Values: TypeAlias = Mapping[str, Value]


class Type(StrEnum):
    """What a term of a rule is."""

    NUMBER = "number"
    TEXT = "text"


FACTS: Mapping[str, Type] = {
    "total": Type.NUMBER,  # what the buyer pays, in minor units of the rule set's reference currency
    "currency": Type.TEXT,  # what the buyer pays in
    "market": Type.TEXT,
    "market_country": Type.TEXT,  # unknown for a market that is not one country
    "country": Type.TEXT,  # of the destination
    "region": Type.TEXT,
    "channel": Type.TEXT,
    "method": Type.TEXT,
    "mode": Type.TEXT,
    "service": Type.TEXT,
    "incoterm": Type.TEXT,
    "lines": Type.NUMBER,
    "skus": Type.NUMBER,  # distinct ones
    "units": Type.NUMBER,
    "max_quantity": Type.NUMBER,  # of one line
}
SIGNALS = ("customer", "email", "phone", "device", "address", "ip", "card")
WINDOWS: Mapping[str, int] = {"10m": 600, "24h": 86_400, "30d": 2_592_000}  # seconds
TALLIED = ("orders", "amount", "units", "declines", "refunds", "refunded", "returns", "received", "missing")
DISTINCT: Mapping[str, str] = {"distinct_cards": "card", "distinct_emails": "email"}
MEASURES = (*TALLIED, *DISTINCT)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the order says of itself."""

    fact: str

    @property
    def name(self) -> str:
        """As written in assessments."""
        return self.fact


@dataclass(frozen=True, slots=True)
class Present:
    """Whether a signal or a fact is there. Never unknown, so it guards what may be."""

    what: str

    @property
    def name(self) -> str:
        """As written in assessments."""
        return f"present({self.what})"


@dataclass(frozen=True, slots=True)
class Velocity:
    """A measure over the events of one key in the time before the order, the order itself included."""

    key: str
    window: str
    measure: str

    @property
    def name(self) -> str:
        """As written in assessments."""
        return f"velocity({self.key},{self.window},{self.measure})"


Operand: TypeAlias = Fact | Present | Velocity

_ONE_COUNTRY = re.compile(r"([A-Z]{2})(-.+)?")


def facts_of(placed: OrderPlaced, reference: Reference) -> dict[str, Value]:
    """Every fact of the order; None where it is not known, as the total in a currency without a rate."""
    quantities = [line.quantity for line in placed.lines]
    return {
        "total": reference.convert(placed.totals.total, placed.placed_at.date()),
        "currency": placed.totals.total.currency,
        "market": placed.market or None,
        "market_country": market_country(placed.market),
        "country": placed.destination.country or None,
        "region": placed.destination.region or None,
        "channel": placed.channel or None,
        "method": placed.payment_method.value,
        "mode": placed.payment_mode.value,
        "service": placed.service.value,
        "incoterm": placed.incoterm.value,
        "lines": len(placed.lines),
        "skus": len({line.sku for line in placed.lines}),
        "units": sum(quantities),
        "max_quantity": max(quantities, default=0),
    }


def market_country(market: str) -> str | None:
    """The country of a market that is one country (`DE`, `GB-B2B`); None for others, as `EU`."""
    match = _ONE_COUNTRY.fullmatch(market)
    if match is None or match[1] == "EU":
        return None
    return "GB" if match[1] == "UK" else match[1]
