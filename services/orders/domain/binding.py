"""A quote is a promise about one order. Every part of it must be about this one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.contracts.values import Destination, Incoterm, ServiceLevel
from shared.errors import Kind, Refusal
from shared.quote import QuoteClaims


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What the order says where the quote must say the same."""

    store: str
    market: str
    destination: Destination
    lines_hash: str
    currency: str
    incoterm: Incoterm
    service: ServiceLevel


# Each binding has its own code, so that a storefront knows what it changed after asking for the quote.
_BINDINGS: tuple[tuple[str, str], ...] = (
    ("store", "quote.other_store"),
    ("market", "quote.other_market"),
    ("destination", "quote.other_destination"),
    ("lines_hash", "quote.other_lines"),
    ("currency", "quote.other_currency"),
    ("incoterm", "quote.other_incoterm"),
    ("service", "quote.other_service"),
)


def refuse_unbound(quote: QuoteClaims, ordered: Ordered, at: datetime) -> Refusal | None:
    """Why a genuine quote is not this order's, or not any more: `quote.expired`, `quote.other_…`."""
    if at >= quote.expires_at:
        return _no("quote.expired", f"the quote was good until {quote.expires_at.isoformat()}", "")
    for name, code in _BINDINGS:
        promised: Any = getattr(quote, name)
        if promised != getattr(ordered, name):
            return _no(code, f"the quote was made for another {name.removesuffix('_hash')}", name)
    return None


def _no(code: str, detail: str, binding: str) -> Refusal:
    return Refusal(
        code=code,
        detail=detail,
        kind=Kind.INVALID,
        clears_with="a new quote",
        facts={"binding": binding} if binding else {},
    )
