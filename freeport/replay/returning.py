"""Which purchase a cancellation sends back."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from freeport.replay.lines import Line
from freeport.replay.plan import Invoice


class Fate(StrEnum):
    """What became of an order, as far as sending goods back goes."""

    SENT = "sent"
    WAITING = "waiting"  # accepted, but the parcel has not left
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Portion:
    """Units of one order line that go back."""

    invoice: str
    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Match:
    """A cancellation and what it sends back; or, with no portions, why nothing can be."""

    line: Line
    portions: tuple[Portion, ...] = ()
    why: str = ""


@dataclass(slots=True)
class _Bought:
    line: Line
    fate: Fate
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.line.quantity


def match_cancellations(
    invoices: Iterable[Invoice], fates: dict[str, Fate], cancellations: Iterable[Line]
) -> list[Match]:
    """Each cancellation against what that customer bought before of that SKU: at the same price first, the newest first.

    A cancellation is sent back whole or not at all, so that each line of the file has one fate. Units go back once.
    `fates` is by invoice number; an invoice that is missing there counts as refused.
    """
    shelf: defaultdict[tuple[str, str], list[_Bought]] = defaultdict(list)
    for invoice in invoices:
        for line in invoice.lines:
            if invoice.customer:
                fate = fates.get(invoice.number, Fate.REFUSED)
                shelf[invoice.customer, line.sku].append(_Bought(line, fate))
    in_time = sorted(cancellations, key=lambda line: (line.when, line.number))
    return [_match(line, shelf.get((line.customer, line.sku), [])) for line in in_time]


def _match(cancellation: Line, bought: Sequence[_Bought]) -> Match:
    if not cancellation.customer:
        return Match(cancellation, why="it names no customer, so nobody's purchase can go back")
    earlier = [one for one in bought if one.line.when <= cancellation.when]
    if not earlier:
        return Match(cancellation, why="what it cancels was bought before the file, or by another customer")
    wanted = -cancellation.quantity
    sent = [one for one in earlier if one.fate is Fate.SENT and one.left]
    if sum(one.left for one in sent) < wanted:
        return Match(cancellation, why=_shortage(wanted, earlier))
    return Match(cancellation, _take(wanted, _best_first(cancellation, sent)))


def _best_first(cancellation: Line, bought: Iterable[_Bought]) -> list[_Bought]:
    newest_first = sorted(bought, key=lambda one: (one.line.when, one.line.number), reverse=True)
    return sorted(newest_first, key=lambda one: one.line.unit_price != cancellation.unit_price)


def _take(wanted: int, bought: Iterable[_Bought]) -> tuple[Portion, ...]:
    portions: list[Portion] = []
    for one in bought:
        units = min(one.left, wanted)
        if units:
            one.left -= units
            wanted -= units
            portions.append(Portion(one.line.invoice, one.line.sku, units))
    return tuple(portions)


def _shortage(wanted: int, earlier: Sequence[_Bought]) -> str:
    owned = sum(one.left for one in earlier)
    if owned < wanted:
        return f"it cancels {wanted}, but that customer had only {owned} left of what the file shows"
    if any(one.fate is Fate.REFUSED for one in earlier):
        return "what it cancels was refused, so there is nothing to send back"
    return "what it cancels is held and has not left"
