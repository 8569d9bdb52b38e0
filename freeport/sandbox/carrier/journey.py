"""Where a parcel is how many hours after its label was made."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Which way a parcel goes."""

    OUTBOUND = "outbound"
    RETURN = "return"


@dataclass(frozen=True, slots=True)
class Step:
    """A scan that happens by itself, `hours` after the label. `abroad` tells that it is scanned in the destination."""

    code: str
    hours: float
    abroad: bool


_ACROSS_A_BORDER = (
    Step("picked_up", 4, abroad=False),
    Step("in_transit", 12, abroad=False),
    Step("customs", 48, abroad=True),
    Step("out_for_delivery", 72, abroad=True),
    Step("delivered", 78, abroad=True),
)
_AT_HOME = (
    Step("picked_up", 4, abroad=False),
    Step("in_transit", 10, abroad=False),
    Step("out_for_delivery", 24, abroad=True),
    Step("delivered", 30, abroad=True),
)
_BACK = (
    Step("picked_up", 24, abroad=False),
    Step("in_transit", 36, abroad=False),
    Step("delivered", 96, abroad=True),
)

ENDS = frozenset({"delivered", "lost", "returned"})
"""After one of these nothing more happens by itself."""


def timetable(kind: Kind, origin: str, destination: str) -> tuple[Step, ...]:
    """The scans of a parcel from one country to another, in order."""
    if kind is Kind.RETURN:
        return _BACK
    return _AT_HOME if origin == destination else _ACROSS_A_BORDER
