"""What one channel may sell of a SKU; and how one pool is divided among channels that hear late.

Nothing calls `divide` yet: decision 0061 says what its wiring needs.

The rule is the demarcation protocol (Barbara and Garcia-Molina, 1994): what a channel may still believe is spent until it is
known to believe less. docs/decisions/0061-one-pool-divided.md has the proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

_SURE = 3.0
"""Standard deviations of sales over the lag that a buffer by speed covers: one burst in 700, were sales Poisson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one channel may sell of one SKU, in units.

    `buffer` None: by the speed of sale over the channel's lag. `cap` None: no cap. `allotment` is offered to no other channel.
    """

    closed: bool = False
    buffer: int | None = None
    cap: int | None = None
    allotment: int = 0

    @property
    def kept_for_it(self) -> int:
        """Units that no other channel is offered: none while this one is closed, and no more than it may show."""
        return self.bound(self.allotment)

    def bound(self, units: int) -> int:
        """At most so many of the units may be shown."""
        if self.closed:
            return 0
        return units if self.cap is None else min(self.cap, units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A channel as the division sees it: it hears after `lag_s` and sells `units_per_s`.

    `shown` is the most that it may still believe to have: the largest quantity of those it was last known to show and those on
    their way to it, each less what it has sold since.
    """

    name: str
    policy: Policy
    lag_s: float
    units_per_s: float = 0.0
    shown: int = 0


def divide(pool: int, outlets: Sequence[Outlet], risk_units: int = 0) -> Mapping[str, int]:
    """Offers by channel, in units. What all channels together may believe stays within `pool + risk_units`.

    No offer is negative, above the pool, or into another channel's allotment. Where channels already believe more, none is
    raised. Raises come fastest first, because what a fast channel does not sell is back soon.
    """
    targets = _targets(max(0, pool), outlets, risk_units)
    free = max(0, pool) + risk_units - sum(outlet.shown for outlet in outlets)
    offers: dict[str, int] = {}
    for outlet in _fastest_first(outlets):
        raised = max(0, min(targets[outlet.name] - outlet.shown, free))
        free -= raised
        offers[outlet.name] = min(targets[outlet.name], outlet.shown + raised)
    return offers


def buffer_by_speed(units_per_s: float, lag_s: float) -> int:
    """Units that all channels together hardly ever sell more of before this one has heard: a quantile of Poisson sales."""
    mean = units_per_s * lag_s
    return ceil(mean + _SURE * sqrt(mean))


def _targets(pool: int, outlets: Sequence[Outlet], risk_units: int) -> dict[str, int]:
    """What each channel should see, were all others known to see theirs."""
    opened = [outlet for outlet in _fastest_first(outlets) if not outlet.policy.closed]
    left, allotted = pool, dict.fromkeys((outlet.name for outlet in outlets), 0)
    for outlet in opened:
        allotted[outlet.name] = min(outlet.policy.allotment, left)
        left -= allotted[outlet.name]
    speed = sum(outlet.units_per_s for outlet in opened)
    room: dict[str, int] = {}
    for place, outlet in enumerate(opened):
        # The fastest keeps none back by speed: the last units must be for sale somewhere.
        by_speed = buffer_by_speed(speed, outlet.lag_s) if place else 0
        kept = by_speed if outlet.policy.buffer is None else outlet.policy.buffer
        room[outlet.name] = max(0, left - kept)
    shared = _split(left + risk_units, opened, room)
    return {name: _capped(outlets, name, units + shared.get(name, 0)) for name, units in allotted.items()}


def _split(units: int, opened: Sequence[Outlet], room: Mapping[str, int]) -> dict[str, int]:
    """Shares by speed of sale, none above its room. What the speeds leave over goes to the fastest that has room."""
    speed = sum(outlet.units_per_s for outlet in opened)
    shares: dict[str, int] = {}
    for outlet in opened:
        part = int(units * outlet.units_per_s / speed) if speed else units // len(opened)
        shares[outlet.name] = min(part, room[outlet.name])
    left = units - sum(shares.values())
    for outlet in opened:
        more = max(0, min(left, room[outlet.name] - shares[outlet.name]))
        shares[outlet.name] += more
        left -= more
    return shares


def _capped(outlets: Sequence[Outlet], name: str, units: int) -> int:
    cap = next(outlet.policy.cap for outlet in outlets if outlet.name == name)
    return units if cap is None else min(cap, units)


def _fastest_first(outlets: Sequence[Outlet]) -> list[Outlet]:
    return sorted(outlets, key=lambda outlet: (outlet.lag_s, outlet.name))
