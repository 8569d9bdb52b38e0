"""How a channel that is told its stock is judged: by the time that it takes to acknowledge.

Two things are measured against the channel's objective. How long it has known less of a fall in stock than we do (`at_risk_s`): that is
when it could sell what is not there. And how long it has not acknowledged anything although it was asked (`silent_s`). A channel
whose limits make it slow is late, and sold with a greater buffer; only one that is silent is fenced, because showing zero costs
its ranking there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import ceil, log2
from typing import NamedTuple

FENCE_AFTER = 3.0
"""How many objectives a channel may be silent."""
_MOST_LAG_S = 3600.0
_CALM_OBJECTIVES = 10.0
_LEAST_CALM_S = 30.0
_MOST_BACKOFF_S = 5.0


class ChannelKey(NamedTuple):
    """Whose channel, and which."""

    store_id: str
    channel: str


class Urgency(IntEnum):
    """What a channel is told first. Within one, what has waited longest."""

    RAN_OUT = 0
    OVERSTATED = 1  # it shows, or may show, more than it may sell
    USUAL = 2
    REFUSED = 3


class ChannelState(StrEnum):
    """How a channel answers."""

    OPEN = "open"
    LATE = "late"
    FENCED = "fenced"


class Sign(StrEnum):
    """What was seen of it."""

    PROMPT = "prompt"
    SLOW = "slow"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the channel allows, and by when it is to know of a change (seconds)."""

    calls_per_s: float
    batch_size: int
    objective_s: float

    @property
    def burst(self) -> float:
        """Calls at once: a tenth of a second's, so that no second sees noticeably more than its share."""
        return max(1.0, self.calls_per_s / 10)

    @property
    def patience_s(self) -> float:
        """How long an answer is waited for, a feed's outcome as well."""
        return FENCE_AFTER * self.objective_s


@dataclass(frozen=True, slots=True)
class Standing:
    """A channel's state, since how many seconds, and the lag that the policy reckons with."""

    state: ChannelState
    for_s: float
    lag_s: float


# Total: every state has an answer to every sign.
_NEXT: Mapping[tuple[ChannelState, Sign], ChannelState] = {
    (ChannelState.OPEN, Sign.PROMPT): ChannelState.OPEN,
    (ChannelState.OPEN, Sign.SLOW): ChannelState.LATE,
    (ChannelState.OPEN, Sign.SILENT): ChannelState.FENCED,
    (ChannelState.LATE, Sign.PROMPT): ChannelState.OPEN,
    (ChannelState.LATE, Sign.SLOW): ChannelState.LATE,
    (ChannelState.LATE, Sign.SILENT): ChannelState.FENCED,
    (ChannelState.FENCED, Sign.PROMPT): ChannelState.OPEN,
    (
        ChannelState.FENCED,
        Sign.SLOW,
    ): ChannelState.LATE,  # it answers again: what it has missed is at risk, and buffered
    (ChannelState.FENCED, Sign.SILENT): ChannelState.FENCED,
}


def sign_of(at_risk_s: float, silent_s: float, limits: Limits) -> Sign:
    """What the two times say, in terms of the channel's objective."""
    if silent_s > limits.patience_s:
        return Sign.SILENT
    return Sign.SLOW if max(at_risk_s, silent_s) > limits.objective_s else Sign.PROMPT


def judge(standing: Standing, at_risk_s: float, silent_s: float, limits: Limits) -> tuple[ChannelState, float]:
    """The state from now on, and the lag (seconds) that the policy is to reckon with.

    The lag grows with the delay in doublings of the objective, because every change of it is told to all SKUs, and falls
    back once the channel has been prompt for a while.
    """
    state = _NEXT[standing.state, sign_of(at_risk_s, silent_s, limits)]
    delay = max(at_risk_s, silent_s)
    if delay > standing.lag_s:
        doublings = ceil(log2(delay / limits.objective_s))
        return state, max(standing.lag_s, min(limits.objective_s * 2.0**doublings, _MOST_LAG_S))
    calm = max(_LEAST_CALM_S, _CALM_OBJECTIVES * limits.objective_s)
    if state is ChannelState.OPEN is standing.state and standing.for_s >= calm:
        return state, limits.objective_s
    return state, standing.lag_s


def backoff_s(failures: int) -> float:
    """How long a channel rests after so many failures in a row: short, for it opens when it answers."""
    return min(_MOST_BACKOFF_S, 0.1 * 2.0 ** min(failures, 10))
