"""Absolute counts: what a warehouse system or an ERP says was there at an instant.

A count is true as of its own time, not as of its arrival. What physically moved after it is added to it; what moved before it
is in it, also when we hear of that later. See docs/decisions/0065-counts-are-true-as-of-their-time.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.inventory.domain.movement import Movement, MovementKind

CLOCK_SKEW = timedelta(seconds=60)
"""By how much a source's clock may be ahead of ours. Such a count is taken as true now."""

PHYSICAL = frozenset(
    {
        MovementKind.RECEIPT,
        MovementKind.WRITE_OFF,
        MovementKind.CONSUMED,
        MovementKind.RESTOCKED,
        MovementKind.TRANSFER_OUT,
        MovementKind.TRANSFER_IN,
        MovementKind.TRANSFER_OVER,
    },
)
"""Movements of goods. Counts and corrections move no goods: they put the books right about goods that a later count has seen."""

Place = tuple[str, str]
"""(SKU, warehouse)."""


class Outcome(StrEnum):
    """What became of one counted line."""

    COUNTED = "counted"  # taken
    REPLAYED = "replayed"  # this very version was taken before
    OLDER = "older"  # the source has said something newer
    CONFLICTING = "conflicting"  # the source has said another quantity under this version
    SUPERSEDED = "superseded"  # somebody, whoever it was, has counted at a later instant
    FUTURE = "future"  # true as of an instant that has not come
    TAKEN = "sku_taken"  # another store's SKU


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """`quantity` units were there at `as_of`, says `source` in its `version`, which only grows for each SKU and warehouse.

    `on_hand` is what the books said after it, `change` by how much they were wrong.
    """

    sku: str
    warehouse: str
    source: str
    version: int
    as_of: datetime
    quantity: int
    on_hand: int
    change: int
    store_id: str
    actor: str
    counted_at: datetime


@dataclass(frozen=True, slots=True)
class Since:
    """What the ledger tells of a place after an instant: units moved in all, and when a person counted there last."""

    moved: int = 0
    counted_at: datetime | None = None

    def then(self, entries: Iterable[Movement], place: Place, after: datetime) -> "Since":
        """This and entries that are not in the ledger yet."""
        moved, counted_at = self.moved, self.counted_at
        for entry in entries:
            if (entry.sku, entry.warehouse) == place and entry.occurred_at > after:
                if entry.kind in PHYSICAL:
                    moved += entry.on_hand
                elif entry.kind is MovementKind.COUNT:
                    counted_at = max(entry.occurred_at, counted_at or entry.occurred_at)
        return Since(moved, counted_at)


@dataclass(slots=True)
class Counts:
    """The newest count of each source, for the SKUs of a batch. `since` is loaded for each place and instant that is counted."""

    newest: dict[tuple[str, str, str], Count] = field(default_factory=dict[tuple[str, str, str], Count])
    since: Mapping[tuple[str, str, datetime], Since] = field(default_factory=dict[tuple[str, str, datetime], Since])
    taken: dict[tuple[str, str, str], Count] = field(default_factory=dict[tuple[str, str, str], Count])
    _until: dict[Place, datetime] = field(default_factory=dict[Place, datetime])

    def __post_init__(self) -> None:
        for count in self.newest.values():
            self._note(count)

    def until(self, place: Place) -> datetime | None:
        """The latest instant that anybody's count of the place is true for."""
        return self._until.get(place)

    def take(self, count: Count) -> None:
        """The newest that its source has said."""
        key = count.sku, count.warehouse, count.source
        self.newest[key] = self.taken[key] = count
        self._note(count)

    def is_in_a_count(self, entry: Movement) -> bool:
        """Whether goods moved before a count that is in the books: it has seen them gone, or come."""
        until = self.until((entry.sku, entry.warehouse))
        return entry.kind in PHYSICAL and until is not None and entry.occurred_at <= until

    def _note(self, count: Count) -> None:
        place = count.sku, count.warehouse
        self._until[place] = max(count.as_of, self._until.get(place, count.as_of))


def judge(version: int, quantity: int, known: Count | None) -> Outcome | None:
    """What the source's own versions say about a line; None: it is news."""
    if known is None or version > known.version:
        return None
    if version < known.version:
        return Outcome.OLDER
    return Outcome.REPLAYED if quantity == known.quantity else Outcome.CONFLICTING
