"""Velocity: what happened under one key (a card, a device, an address …) in the time before an event.

Windows slide exactly, at a resolution of one second, and look back from any event's own time, so late events change nothing
in the end: the counts of (end - window, end] are the same for every order of arrival. The cost of reading is flat: a
history keeps the newest seconds as they are, and folds older ones into a tree of days, hours, minutes and seconds whose
nodes hold running sums; a window is the difference of two prefix sums, each read from one path of four nodes. Three
windows need at most thirteen small rows, after a thousand events or a million.
"""

import struct
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TypeAlias

from services.risk.domain.operands import DISTINCT, TALLIED, WINDOWS, Value

# `unpriced` are orders in a currency without a rate: they make the amount of a window unknown.
COUNTED = (*TALLIED, "unpriced")
Counts: TypeAlias = tuple[int, ...]
NOTHING: Counts = (0,) * len(COUNTED)
_INDEX = {name: index for index, name in enumerate(COUNTED)}

# Older than this, behind the newest event of the key, is forgotten. Far above the longest window, for what comes late.
REMEMBERED = 180 * 86_400
FOLD_ABOVE = 128  # seconds kept outside of the tree
MOST_SIGHTINGS = 128  # of other cards and e-mails seen under the key, the newest

_EPOCH, _DAY, _HOUR, _MINUTE = 0, 1, 2, 3
# By level of a node: the seconds that it spans (0: all time), and the seconds of each of its slots.
_SPAN = (0, 86_400, 3_600, 60)
_SLOT = (86_400, 3_600, 60, 1)

Place: TypeAlias = tuple[int, int]
"""Where a node is: its level, and its index among the nodes of that level."""


def counts(**measures: int) -> Counts:
    """`counts(orders=1, amount=4200)`: the measures that are not named are zero."""
    unknown = measures.keys() - set(COUNTED)
    if unknown:
        raise KeyError(f"no such measure: {sorted(unknown)}")
    return tuple(measures.get(name, 0) for name in COUNTED)


def second_of(instant: datetime) -> int:
    """The whole second since 1970 in which it happened."""
    return int(instant.timestamp() // 1)


def path_to(second: int) -> tuple[Place, ...]:
    """The four nodes from which the sum of everything up to and including a second is read."""
    return ((_EPOCH, 0), *((level, second // _SPAN[level]) for level in (_DAY, _HOUR, _MINUTE)))


def places_for(second: int) -> set[Place]:
    """The nodes that the windows which end at a second are read from."""
    return {place for edge in (second, *(second - window for window in WINDOWS.values())) for place in path_to(edge)}


class Tally:
    """Counts by slot, packed: sorted, and each holding the sum of itself and all before it."""

    __slots__ = ("packed",)

    _ROW = struct.Struct(f"<{1 + len(COUNTED)}q")
    _SLOT = struct.Struct("<q")

    def __init__(self, packed: bytes = b"") -> None:
        self.packed = packed

    @classmethod
    def of(cls, slots: Mapping[int, Counts]) -> "Tally":
        """Pack counts by slot."""
        running = NOTHING
        rows: list[bytes] = []
        for slot in sorted(slots):
            running = _add(running, slots[slot])
            rows.append(cls._ROW.pack(slot, *running))
        return cls(b"".join(rows))

    def slots(self) -> dict[int, Counts]:
        """Unpack: the counts of each slot by itself."""
        before = NOTHING
        result: dict[int, Counts] = {}
        for slot, *running in self._ROW.iter_unpack(self.packed):
            result[slot] = _subtract(tuple(running), before)
            before = tuple(running)
        return result

    def through(self, slot: int) -> Counts:
        """The sum of all slots up to and including `slot`, by binary search in the packed rows."""
        size = self._ROW.size
        low, high = 0, len(self.packed) // size
        while low < high:
            middle = (low + high) // 2
            if self._SLOT.unpack_from(self.packed, middle * size)[0] <= slot:
                low = middle + 1
            else:
                high = middle
        return self._ROW.unpack_from(self.packed, (low - 1) * size)[1:] if low else NOTHING


class Sightings:
    """Which other cards and e-mails were seen under a key, and when: the newest `MOST_SIGHTINGS`, each as a short hash."""

    __slots__ = ("_seen",)

    _ROW = struct.Struct("<3q")

    def __init__(self, packed: bytes = b"") -> None:
        self._seen: list[tuple[int, int, int]] = list(self._ROW.iter_unpack(packed))

    def add(self, kind: str, value: str, second: int) -> None:
        """Remember a sighting; the oldest goes when there are too many."""
        sighting = (second, _KIND_CODES[kind], _short_hash(value))
        if sighting not in self._seen:
            insort(self._seen, sighting)
            del self._seen[:-MOST_SIGHTINGS]

    def distinct(self, kind: str, start: int, end: int) -> int:
        """How many different ones of a kind were seen in (start, end]."""
        code = _KIND_CODES[kind]
        return len({value for second, of_kind, value in self._seen if of_kind == code and start < second <= end})

    def pack(self) -> bytes:
        """Sorted rows of (second, kind, hash)."""
        return b"".join(self._ROW.pack(*sighting) for sighting in self._seen)


_KIND_CODES = {"card": 1, "email": 2}


@dataclass(slots=True)
class History:
    """The events of one key.

    `nodes` holds the part of the tree that the batch needs, an empty tally where there is no such node; asking for a node
    that nobody provided is a loud KeyError, never a count that is too low. `version` is that of the stored row, 0 for none.
    """

    key: str
    version: int = 0
    newest: int | None = None
    folded: bool = False  # whether there is a tree
    entries: dict[int, Counts] = field(default_factory=dict[int, Counts])
    sightings: Sightings = field(default_factory=Sightings)
    nodes: dict[Place, Tally] = field(default_factory=dict[Place, Tally])
    changed: bool = False
    changed_nodes: set[Place] = field(default_factory=set[Place])
    _sums: dict[tuple[int, int], Counts] = field(default_factory=dict[tuple[int, int], Counts])

    def record(self, second: int, happened: Counts) -> None:
        """Something happened in that second. What is too old to matter is forgotten at once."""
        if not self._remember(second):
            return
        before = self.entries.get(second)
        self.entries[second] = happened if before is None else _add(before, happened)

    def sight(self, kind: str, value: str, second: int) -> None:
        """Another card or e-mail was seen under this key."""
        if self._remember(second):
            self.sightings.add(kind, value, second)

    def measure(self, measure: str, window: str, end: int) -> Value:
        """A measure over (end - window, end]; None where it is forgotten or, for amounts, cannot be told."""
        start = end - WINDOWS[window]
        if start < self._forgotten_before():
            return None
        if measure in DISTINCT:
            return self.sightings.distinct(DISTINCT[measure], start, end)
        total = self.total(start, end)
        if measure == "amount" and total[_INDEX["unpriced"]]:
            return None
        return total[_INDEX[measure]]

    def total(self, start: int, end: int) -> Counts:
        """The counts of (start, end]."""
        known = self._sums.get((start, end))
        if known is None:
            known = _sum(counted for second, counted in self.entries.items() if start < second <= end)
            if self.folded:
                known = _add(known, _subtract(self._up_to(end), self._up_to(start)))
            self._sums[start, end] = known
        return known

    def wants_folding(self) -> bool:
        """Whether so many seconds stand outside the tree that they should go in; then all `places_of_entries` are needed."""
        return len(self.entries) > FOLD_ABOVE

    def provide(self, places: Iterable[Place], stored: Mapping[Place, Tally] | None = None) -> None:
        """These nodes were looked up; those not in `stored` do not exist."""
        for place in places:
            self.nodes.setdefault(place, (stored or {}).get(place, Tally()))

    def places_of_entries(self) -> set[Place]:
        """The nodes that folding changes."""
        return {place for second in self.entries for place in path_to(second)}

    def fold(self) -> None:
        """Move every entry into the tree. No count of any window changes."""
        grouped: dict[Place, dict[int, Counts]] = {}
        for second, counted in self.entries.items():
            for place in path_to(second):
                slots = grouped.setdefault(place, {})
                slot = second // _SLOT[place[0]]
                slots[slot] = _add(slots.get(slot, NOTHING), counted)
        for place, slots in grouped.items():
            self._merge(place, slots)
        self.entries = {}
        self.folded = self.changed = True

    def _merge(self, place: Place, added: Mapping[int, Counts]) -> None:
        slots = (self.nodes[place] if self.folded else Tally()).slots()
        for slot, counted in added.items():
            slots[slot] = _add(slots.get(slot, NOTHING), counted)
        if place[0] == _EPOCH:  # the one node that would grow for ever
            oldest = self._forgotten_before() // _SLOT[_EPOCH]
            slots = {slot: counted for slot, counted in slots.items() if slot >= oldest}
        self.nodes[place] = Tally.of(slots)
        self.changed_nodes.add(place)

    def _up_to(self, second: int) -> Counts:
        """Everything in the tree up to and including a second: whole days, then whole hours of its day, and so on."""
        total = NOTHING
        for place in path_to(second):
            slot = second // _SLOT[place[0]]
            total = _add(total, self.nodes[place].through(slot if place[0] == _MINUTE else slot - 1))
        return total

    def _remember(self, second: int) -> bool:
        if second <= self._forgotten_before():
            return False
        self.changed = True
        self._sums.clear()
        if self.newest is None or second > self.newest:
            self.newest = second
            forgotten = self._forgotten_before()
            self.entries = {at: counted for at, counted in self.entries.items() if at > forgotten}
        return True

    def _forgotten_before(self) -> int:
        return _FIRST if self.newest is None else self.newest - REMEMBERED


_FIRST = -(2**62)


def _add(a: Counts, b: Counts) -> Counts:
    return tuple([x + y for x, y in zip(a, b, strict=True)])


def _subtract(a: Counts, b: Counts) -> Counts:
    return tuple([x - y for x, y in zip(a, b, strict=True)])


def _sum(several: Iterable[Counts]) -> Counts:
    total: Counts | None = None
    for counted in several:
        total = counted if total is None else _add(total, counted)
    return NOTHING if total is None else total


@lru_cache(maxsize=4096)  # an order's card is noted under each of its keys
def _short_hash(value: str) -> int:
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), signed=True)
