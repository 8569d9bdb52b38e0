"""One pool on many channels: the bounds as properties, and a sale of 1,000 units on five channels that hear late."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.policy import Outlet, Policy, buffer_by_speed, divide

UNITS = 1_000
LAGS = {"own": 0.1, "shop": 0.5, "bazaar": 2.0, "mall": 10.0, "feed": 30.0}
SPEED = 4.0  # units a second on each channel, three times as many in a burst

Divide = Callable[[int, list[Outlet]], Mapping[str, int]]

policies = st.builds(
    Policy,
    closed=st.booleans(),
    buffer=st.none() | st.integers(0, 50),
    cap=st.none() | st.integers(0, 200),
    allotment=st.integers(0, 60),
)


@st.composite
def outlets(draw: st.DrawFn, most_shown: int = 200) -> list[Outlet]:
    return [
        Outlet(
            name=f"channel-{nth}",
            policy=draw(policies),
            lag_s=draw(st.floats(0, 600)),
            units_per_s=draw(st.floats(0, 50)),
            shown=draw(st.integers(0, most_shown)),
        )
        for nth in range(draw(st.integers(1, 6)))
    ]


@given(pool=st.integers(-20, 1_000), channels=outlets(), risk=st.integers(0, 100))
def test_no_channel_is_offered_less_than_nothing_or_more_than_is_there(
    pool: int, channels: list[Outlet], risk: int
) -> None:
    offers = divide(pool, channels, risk)
    assert all(0 <= offer <= max(0, pool) for offer in offers.values())


@given(pool=st.integers(0, 1_000), channels=outlets(), risk=st.integers(0, 100))
def test_what_all_channels_may_believe_is_never_raised_above_the_pool_and_the_risk(
    pool: int, channels: list[Outlet], risk: int
) -> None:
    offers = divide(pool, channels, risk)
    before = sum(channel.shown for channel in channels)
    after = sum(max(channel.shown, offers[channel.name]) for channel in channels)
    assert after <= max(before, pool + risk)


@given(pool=st.integers(0, 1_000), channels=outlets(), risk=st.integers(0, 100))
def test_an_allotment_is_offered_to_no_other_channel(pool: int, channels: list[Outlet], risk: int) -> None:
    offers = divide(pool, channels, risk)
    for channel in channels:
        others = sum(c.policy.allotment for c in channels if c is not channel and not c.policy.closed)
        most = max(0, pool - others)
        assert offers[channel.name] <= max(most, channel.policy.allotment)


@given(pool=st.integers(0, 1_000), channels=outlets())
def test_a_closed_channel_is_offered_nothing_and_none_more_than_its_cap(pool: int, channels: list[Outlet]) -> None:
    offers = divide(pool, channels)
    for channel in channels:
        assert not (channel.policy.closed and offers[channel.name])
        assert channel.policy.cap is None or offers[channel.name] <= channel.policy.cap


@given(pool=st.integers(1, 1_000), lags=st.lists(st.floats(0, 600), min_size=1, max_size=6))
def test_a_pool_without_policies_is_offered_whole(pool: int, lags: list[float]) -> None:
    channels = [
        Outlet(name=f"{nth}", policy=Policy(), lag_s=lag, units_per_s=nth + 1.0) for nth, lag in enumerate(lags)
    ]
    assert sum(divide(pool, channels).values()) == pool


def test_the_last_unit_is_offered_where_an_answer_is_fastest() -> None:
    channels = [Outlet(name=name, policy=Policy(), lag_s=lag, units_per_s=SPEED) for name, lag in LAGS.items()]
    assert divide(1, channels) == {"own": 1, "shop": 0, "bazaar": 0, "mall": 0, "feed": 0}


def test_units_that_a_slow_channel_may_still_believe_are_offered_nowhere_else() -> None:
    own = Outlet(name="own", policy=Policy(), lag_s=0.1, units_per_s=SPEED)
    slow = Outlet(name="slow", policy=Policy(closed=True), lag_s=30, shown=8)
    assert divide(10, [own, slow]) == {"own": 2, "slow": 0}


def test_a_stated_risk_lets_every_channel_see_more_of_the_pool() -> None:
    channels = [Outlet(name=name, policy=Policy(buffer=0), lag_s=lag, units_per_s=1) for name, lag in LAGS.items()]
    assert sum(divide(100, channels).values()) == 100
    assert sum(divide(100, channels, risk_units=400).values()) == 500


def test_a_buffer_by_speed_grows_with_the_lag() -> None:
    assert buffer_by_speed(4, 0) == 0
    assert buffer_by_speed(4, 1) == 10
    assert buffer_by_speed(4, 25) == 130


@dataclass(slots=True)
class Place:
    """A simulated channel: what it believes is the first of `told`; the others are on their way."""

    told: deque[int] = field(default_factory=lambda: deque([0]))

    def sell(self) -> None:
        # What is on its way counts what was sold since it was sent: the channel nets its own sales.
        self.told = deque(max(0, units - 1) for units in self.told)


@dataclass(slots=True)
class Sale:
    """A discrete event simulation of one pool. Channels deny nothing that they believe to have."""

    divide: Divide
    pool: int = UNITS
    sold: int = 0
    oversold: int = 0
    places: dict[str, Place] = field(default_factory=lambda: {name: Place() for name in LAGS})
    events: list[tuple[float, int, str, str]] = field(default_factory=list[tuple[float, int, str, str]])

    def run(self, seed: int, seconds: float = 240) -> "Sale":
        for at, name in _buyers(Random(seed), seconds):
            self._plan(at, "buy", name)
        self._tell(0.0)
        while self.events:
            at, _, kind, name = heappop(self.events)
            place = self.places[name]
            if kind == "heard":
                place.told.popleft()
            elif place.told[0]:
                place.sell()
                self._take()
            else:
                continue
            self._tell(at)
        return self

    def _take(self) -> None:
        if self.pool:
            self.pool, self.sold = self.pool - 1, self.sold + 1
        else:
            self.oversold += 1

    def _tell(self, at: float) -> None:
        channels = [
            Outlet(name=name, policy=Policy(), lag_s=LAGS[name], units_per_s=SPEED, shown=max(place.told))
            for name, place in self.places.items()
        ]
        for name, units in self.divide(self.pool, channels).items():
            if units != self.places[name].told[-1]:
                self.places[name].told.append(units)
                self._plan(at + LAGS[name], "heard", name)

    def _plan(self, at: float, kind: str, name: str) -> None:
        heappush(self.events, (at, len(self.events), kind, name))


def _buyers(random: Random, seconds: float) -> list[tuple[float, str]]:
    """Poisson buyers of each channel, three times as many in the bursts that all channels have at once."""
    bursts = [random.uniform(0, seconds / 2) for _ in range(3)]
    found: list[tuple[float, str]] = []
    for name in LAGS:
        at = 0.0
        while (at := at + random.expovariate(3 * SPEED)) < seconds:
            bursting = any(start <= at < start + 10 for start in bursts)
            if bursting or random.random() < 1 / 3:
                found.append((at, name))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_divided_pool_of_a_thousand_sells_nearly_all_and_none_twice(seed: int) -> None:
    sale = Sale(divide).run(seed)
    assert sale.oversold == 0
    assert sale.sold >= 0.97 * UNITS


@pytest.mark.parametrize("seed", range(12))
def test_a_pool_shown_whole_to_every_channel_is_sold_twice(seed: int) -> None:
    def whole(pool: int, channels: list[Outlet]) -> Mapping[str, int]:
        return {channel.name: pool for channel in channels}

    assert Sale(whole).run(seed).oversold > 0


@pytest.mark.parametrize("seed", range(4))
def test_no_more_is_oversold_than_the_stated_risk(seed: int) -> None:
    sale = Sale(lambda pool, channels: divide(pool, channels, risk_units=25)).run(seed)
    assert sale.oversold <= 25
