"""What policies let each channel sell of one stock."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.channel import Channel, stock_by_channel
from services.inventory.domain.policy import Policy
from services.inventory.domain.stock import StockItem, StockLevel
from services.inventory.usecases.put_policies import PutPolicies
from shared.contracts.inventory import StockChanged
from shared.effects import Deadline, Reply
from shared.errors import Refusal
from tests.builders.inventory import BERLIN, NEW_JERSEY, NINGBO, STORE, Play, a_channel_put, some_shelves

WAREHOUSES = {warehouse.code: warehouse for warehouse in (BERLIN, NEW_JERSEY, NINGBO)}
KEPT_AWAY = 10**6


def offers(units: Mapping[str, int], channels: Sequence[Channel]) -> dict[str, int]:
    """What each channel may sell of a SKU with these units by warehouse."""
    item = StockItem("MUG", STORE, levels={code: StockLevel(on_hand) for code, on_hand in units.items()})
    return {share.channel: share.available for share in stock_by_channel(item, channels, WAREHOUSES)}


def channel(name: str, *, country: str = "", lag_s: float = 0, objective_s: float = 0, **policy: object) -> Channel:
    own = Policy(**{"buffer": 0, **policy})  # pyright: ignore[reportArgumentType]
    return Channel(name=name, country=country, policy=own, lag_s=lag_s, objective_s=objective_s)


_units = st.integers(0, 60)
_policies = st.builds(
    Policy,
    closed=st.booleans(),
    buffer=st.none() | st.integers(0, 40),
    cap=st.none() | st.integers(0, 40),
    allotment=st.integers(0, 40),
)
_levels = st.fixed_dictionaries({"BER": _units, "NJ": _units, "NGB": _units})


@st.composite
def some_channels(draw: st.DrawFn) -> list[Channel]:
    return [
        Channel(
            name=f"channel-{nth}",
            country=draw(st.sampled_from(["", "DE", "CN"])),
            policy=draw(_policies),
            units_per_s=draw(st.floats(0, 2)),
            lag_s=draw(st.floats(0, 60)),
            objective_s=10.0,
        )
        for nth in range(draw(st.integers(1, 5)))
    ]


def sellable(units: Mapping[str, int], country: str) -> int:
    return sum(on_hand for code, on_hand in units.items() if WAREHOUSES[code].serves(country))


def sold(units: Mapping[str, int], country: str, quantity: int) -> dict[str, int]:
    """What is left when the channel's country bought so many, of its bonded goods first."""
    left = dict(units)
    for code in ("NGB", "BER", "NJ"):
        if WAREHOUSES[code].serves(country):
            taken = min(quantity, left[code])
            left[code] -= taken
            quantity -= taken
    assert not quantity
    return left


@given(units=_levels, channels=some_channels())
def test_an_offer_is_never_negative_nor_more_than_is_there_and_may_be_sold_there(
    units: Mapping[str, int], channels: list[Channel]
) -> None:
    for one, offer in zip(channels, offers(units, channels).values(), strict=True):
        assert 0 <= offer <= sellable(units, one.country)


@given(units=_levels, channels=some_channels())
def test_a_closed_channel_is_offered_nothing_and_a_capped_one_no_more(
    units: Mapping[str, int], channels: list[Channel]
) -> None:
    for one, offer in zip(channels, offers(units, channels).values(), strict=True):
        assert not (one.policy.closed and offer)
        assert one.policy.cap is None or offer <= one.policy.cap


@given(units=_levels, channels=some_channels(), nth=st.integers(0, 4), country=st.sampled_from(["", "DE", "CN"]))
def test_whatever_one_channel_sells_the_allotments_of_the_others_are_still_there(
    units: Mapping[str, int], channels: list[Channel], nth: int, country: str
) -> None:
    seller = Channel(name="seller", country=country, policy=Policy(buffer=nth))
    allotted = [replace(one, policy=replace(one.policy, buffer=KEPT_AWAY)) for one in channels]
    before = offers(units, [seller, *allotted])
    after = offers(sold(units, country, before.pop("seller")), [seller, *allotted])
    assert {name: after[name] for name in before} == before


@given(units=_levels, channels=some_channels())
def test_without_allotments_a_channel_is_offered_as_if_it_were_alone(
    units: Mapping[str, int], channels: list[Channel]
) -> None:
    shared = [replace(one, policy=replace(one.policy, allotment=0)) for one in channels]
    together = offers(units, shared)
    assert together == {one.name: offers(units, [one])[one.name] for one in shared}


@given(units=_levels, channels=some_channels(), later=st.floats(1, 8))
def test_who_hears_later_is_never_offered_more(units: Mapping[str, int], channels: list[Channel], later: float) -> None:
    shared = [replace(one, policy=replace(one.policy, allotment=0)) for one in channels]
    late = [replace(one, lag_s=one.lag_s * later) for one in shared]
    before, after = offers(units, shared), offers(units, late)
    assert all(after[name] <= before[name] for name in before)


def test_an_allotment_is_offered_to_nobody_else() -> None:
    channels = [channel("amazing", allotment=4), channel("bazaar", buffer=2), channel("storefront")]
    assert offers({"BER": 10}, channels) == {"amazing": 10, "bazaar": 4, "storefront": 6}


def test_an_allotment_that_may_not_be_shown_is_not_kept_from_others() -> None:
    channels = [
        channel("amazing", allotment=4, cap=1),
        channel("bazaar", allotment=5, closed=True),
        channel("storefront"),
    ]
    assert offers({"BER": 10}, channels) == {"amazing": 1, "bazaar": 0, "storefront": 9}


def test_an_allotment_takes_the_goods_that_no_other_country_may_have_first() -> None:
    channels = [channel("cn-mall", country="CN", allotment=6), channel("storefront")]
    assert offers({"NGB": 4, "BER": 5}, channels) == {"cn-mall": 9, "storefront": 3}
    assert offers({"NGB": 8, "BER": 5}, channels) == {"cn-mall": 13, "storefront": 5}


def test_where_allotments_exceed_the_stock_who_hears_soonest_comes_first() -> None:
    slow, fast = channel("amazing", allotment=6, lag_s=30, objective_s=30), channel("bazaar", allotment=6, lag_s=1)
    assert offers({"BER": 8}, [slow, fast]) == {"amazing": 2, "bazaar": 6}


@pytest.mark.parametrize(("lag_s", "offered"), [(0, 15), (10, 15), (20, 10), (40, 0), (3600, 0)])
def test_a_buffer_grows_with_the_lag_beyond_the_objective(lag_s: float, offered: int) -> None:
    assert offers({"BER": 20}, [channel("bazaar", buffer=5, lag_s=lag_s, objective_s=10)]) == {"bazaar": offered}


def test_a_buffer_by_speed_covers_what_is_sold_within_the_lag() -> None:
    bazaar = Channel(name="bazaar", policy=Policy(), units_per_s=0.9, lag_s=10, objective_s=10)
    assert offers({"BER": 100}, [bazaar]) == {"bazaar": 100 - 18}  # 9 are sold in the mean, 3 standard deviations are 9
    assert offers({"BER": 100}, [replace(bazaar, lag_s=0.0)]) == {"bazaar": 100}


def told(effects: Sequence[object]) -> dict[str, dict[str, int]]:
    states = [effect for effect in effects if isinstance(effect, StockChanged)]
    return {state.sku: {share.channel: share.available for share in state.channels} for state in states}


def test_policies_of_skus_are_told_of_these_skus() -> None:
    play = Play(
        some_shelves(
            {"BER": {"MUG": 5, "CAP": 5, "PEN": 5}}, channels=[Channel(name="bazaar", policy=Policy(buffer=1))]
        )
    )
    effects = play(
        PutPolicies(
            channel="bazaar",
            policies={"MUG": Policy(buffer=0, cap=2), "CAP": None, "NEW": Policy(closed=True, buffer=0)},
        )
    )
    assert told(effects) == {"MUG": {"bazaar": 2, "storefront": 5}, "CAP": {"bazaar": 4, "storefront": 5}}
    assert effects[-1] == Reply({"channel": "bazaar", "put": 2, "removed": 1})
    effects = play(PutPolicies(channel="bazaar", policies={"MUG": None}))
    assert told(effects) == {"MUG": {"bazaar": 4, "storefront": 5}}


def test_anothers_sku_is_not_told() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play.shelves.items["MUG"].store_id = "str_other"
    assert told(play(PutPolicies(channel="storefront", policies={"MUG": Policy(buffer=1)}))) == {}


def test_the_storefront_takes_policies_although_nobody_set_it_up() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}, channels=()))
    assert told(play(PutPolicies(channel="storefront", policies={"MUG": Policy(buffer=1)}))) == {
        "MUG": {"storefront": 4}
    }
    assert (STORE, "storefront") in play.shelves.put_channels


def test_a_channel_that_is_not_there_takes_no_policies() -> None:
    refusal = Play(some_shelves()).decide(PutPolicies(channel="bazaar", policies={"MUG": None}))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "channel.not_found"


def test_a_buffer_by_speed_needs_a_speed() -> None:
    play = Play(some_shelves())
    for command in (a_channel_put(Policy()), PutPolicies(channel="storefront", policies={"MUG": Policy()})):
        refusal = play.decide(command)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "channel.speed_unknown"
    assert [type(effect) for effect in play(a_channel_put(Policy(), units_per_s=0.5))] == [Deadline, Reply]
    play(PutPolicies(channel="bazaar", policies={"MUG": Policy()}), a_channel_put(Policy(buffer=1)))
    assert play.shelves.channels[STORE]["bazaar"].units_per_s == 0.5  # what a SKU's policy rests on stays


def test_a_channel_put_again_leaves_the_policies_of_skus_or_replaces_them_all() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play(a_channel_put(), PutPolicies(channel="bazaar", policies={"MUG": Policy(buffer=0, cap=2)}))
    play(a_channel_put(Policy(buffer=1)))
    assert play.shelves.channels[STORE]["bazaar"].policy_of("MUG") == Policy(buffer=0, cap=2)
    play(a_channel_put(Policy(buffer=1, cap=9), buffers={"CAP": 3}))
    assert play.shelves.channels[STORE]["bazaar"].policies == {"CAP": Policy(buffer=3, cap=9)}
    assert play.shelves.put_policies == {(STORE, "bazaar", "CAP"): Policy(buffer=3, cap=9)}


@pytest.mark.parametrize(("lag_s", "bazaar", "amazing"), [(30, 33, 15), (60, 28, 7)])
def test_the_worked_example_of_the_manual(lag_s: float, bazaar: int, amazing: int) -> None:
    """docs/channels.md."""
    channels = [
        Channel(name="storefront"),
        channel("bazaar", country="DE", buffer=5, lag_s=lag_s, objective_s=30),
        channel("cn-mall", country="CN", allotment=12, lag_s=30, objective_s=30),
        Channel(name="amazing", policy=Policy(cap=15), units_per_s=0.3, lag_s=lag_s, objective_s=30),
    ]
    expected = {"amazing": amazing, "bazaar": bazaar, "cn-mall": 50, "storefront": 38}
    assert offers({"BER": 40, "NGB": 10}, channels) == expected
