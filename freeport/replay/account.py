"""The account of a replay: where every line and every penny of the file went."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from freeport.replay.lines import Line


class Bucket(StrEnum):
    """Where a line ends. What is read is the sum of all of these; that is checked, not assumed."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RETURNED = "returned"
    NOT_MERCHANDISE = "not_merchandise"
    UNUSABLE = "unusable"


class BookedTwice(Exception):
    """A line of the file was given two ends."""


@dataclass(slots=True)
class Amount:
    """A number of lines and their value in pence."""

    lines: int = 0
    value_minor: int = 0

    def add(self, line: Line) -> None:
        self.lines += 1
        self.value_minor += line.value_minor


@dataclass(slots=True)
class Total:
    """What was read, and what became of it, for a country or for all."""

    read: Amount = field(default_factory=Amount)
    ends: dict[Bucket, Amount] = field(default_factory=lambda: {bucket: Amount() for bucket in Bucket})

    @property
    def balanced(self) -> bool:
        """Read = accepted + rejected + returned + not merchandise + unusable, in lines and to the penny."""
        lines = sum(amount.lines for amount in self.ends.values())
        value = sum(amount.value_minor for amount in self.ends.values())
        return (lines, value) == (self.read.lines, self.read.value_minor)

    def as_json(self) -> dict[str, Any]:
        amounts = {"read": self.read} | {bucket.value: amount for bucket, amount in self.ends.items()}
        shown: dict[str, Any] = {
            name: {"lines": amount.lines, "value_minor": amount.value_minor} for name, amount in amounts.items()
        }
        return shown | {"balanced": self.balanced}


class Account:
    """Counts lines as they are read and, apart from that, as they end. The two sides meet only in `balanced`."""

    def __init__(self) -> None:
        self.total = Total()
        self.countries: defaultdict[str, Total] = defaultdict(Total)
        self.unusable: list[tuple[int, str]] = []
        self.rejected: defaultdict[str, Amount] = defaultdict(Amount)
        self._ended: set[int] = set()

    def read(self, line: Line) -> None:
        self.total.read.add(line)
        self.countries[line.country].read.add(line)

    def end(self, line: Line, bucket: Bucket, why: str = "") -> None:
        """`why` is the reason's code for what was rejected, and words for what is unusable."""
        if line.number in self._ended:
            raise BookedTwice(f"line {line.number}")
        self._ended.add(line.number)
        self.total.ends[bucket].add(line)
        self.countries[line.country].ends[bucket].add(line)
        if bucket is Bucket.UNUSABLE:
            self.unusable.append((line.number, why))
        elif bucket is Bucket.REJECTED:
            self.rejected[why].add(line)

    def as_json(self) -> dict[str, Any]:
        """The report's part about lines and pennies; amounts are in pence."""
        return {
            "total": self.total.as_json(),
            "countries": {country: self.countries[country].as_json() for country in sorted(self.countries)},
            "rejected_by_reason": {
                code: {"lines": amount.lines, "value_minor": amount.value_minor}
                for code, amount in sorted(self.rejected.items())
            },
            "unusable_lines": [{"line": number, "why": why} for number, why in sorted(self.unusable)],
        }
