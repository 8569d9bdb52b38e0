"""Velocity against the oracle: a scan of everything that ever happened."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.risk.domain.operands import WINDOWS
from services.risk.domain.velocity import (
    FOLD_ABOVE,
    MOST_SIGHTINGS,
    NOTHING,
    REMEMBERED,
    Counts,
    History,
    Sightings,
    Tally,
    counts,
    path_to,
    places_for,
    second_of,
)
from tests.builders.risk import a_history

NOW = 1_800_000_000


def scan(events: list[tuple[int, Counts]], start: int, end: int) -> Counts:
    """The oracle: what happened in (start, end]."""
    inside = [happened for second, happened in events if start < second <= end]
    return tuple(map(sum, zip(NOTHING, *inside, strict=True)))


def recorded(events: list[tuple[int, Counts]], *, fold_after: int = 0) -> History:
    """A history of these events; `fold_after` moves them into the tree whenever so many seconds have gathered."""
    history = a_history()
    for second, happened in events:
        history.record(second, happened)
        if fold_after and len(history.entries) >= fold_after:
            history.fold()
    return history


# Around every edge that matters: window ends, minute, hour and day borders, and anything between.
_edges = [edge + near for edge in (0, 60, 600, 3_600, 86_400, 2_592_000) for near in (-1, 0, 1)]
ages = st.one_of(st.sampled_from(_edges), st.integers(-100, 3_000_000))
happenings = st.builds(
    counts,
    orders=st.integers(0, 3),
    amount=st.integers(0, 10**6),
    declines=st.integers(0, 2),
    refunds=st.integers(0, 1),
)
streams = st.lists(st.tuples(ages.map(lambda age: NOW - age), happenings), max_size=60)


@given(streams, st.randoms(use_true_random=False), st.integers(0, 9), ages)
@settings(max_examples=300, deadline=None)
def test_any_order_of_arrival_gives_what_a_scan_gives(events, random, fold_after, age) -> None:
    shuffled = random.sample(events, len(events))
    history = recorded(shuffled, fold_after=fold_after)
    for end in (NOW, NOW - age):
        for window, length in WINDOWS.items():
            expected = scan(events, end - length, end)
            assert history.total(end - length, end) == expected, window


@given(streams)
@settings(max_examples=100, deadline=None)
def test_what_is_stored_reads_the_same(events) -> None:
    history = recorded(events, fold_after=7)
    read_again = a_history()
    read_again.newest, read_again.folded = history.newest, history.folded
    read_again.entries = Tally(Tally.of(history.entries).packed).slots()
    read_again.nodes.update({place: Tally(bytes(tally.packed)) for place, tally in history.nodes.items()})
    for length in WINDOWS.values():
        assert read_again.total(NOW - length, NOW) == history.total(NOW - length, NOW)


def test_a_window_holds_its_end_and_not_its_beginning() -> None:
    history = recorded([(NOW, counts(orders=1)), (NOW - 599, counts(orders=10)), (NOW - 600, counts(orders=100))])
    assert history.measure("orders", "10m", NOW) == 11


def test_a_window_looks_back_from_its_event_and_not_from_the_newest() -> None:
    history = recorded([(NOW, counts(orders=1)), (NOW - 3_600, counts(orders=1)), (NOW - 3_700, counts(orders=1))])
    assert history.measure("orders", "10m", NOW - 3_600) == 2


def test_reading_needs_thirteen_nodes_at_most() -> None:
    assert max(len(places_for(second)) for second in range(NOW, NOW + 200_000, 37)) <= 13


def test_a_node_that_nobody_looked_up_is_an_error_and_not_a_zero() -> None:
    history = History("key")
    history.record(NOW, counts(orders=1))
    history.fold()
    with pytest.raises(KeyError):
        history.total(NOW - 600, NOW)
    history.provide(places_for(NOW))
    assert history.total(NOW - 600, NOW) == counts(orders=1)


def test_a_busy_key_wants_its_seconds_folded_and_a_quiet_one_does_not() -> None:
    history = recorded([(NOW + second, counts(orders=1)) for second in range(FOLD_ABOVE)])
    assert not history.wants_folding()
    history.record(NOW - 1, counts(orders=1))
    assert history.wants_folding()
    assert {place for second in history.entries for place in path_to(second)} == history.places_of_entries()
    history.fold()
    assert history.entries == {}
    assert not history.wants_folding()


def test_what_is_long_past_is_forgotten_and_reading_so_far_back_is_unknown() -> None:
    history = recorded([(NOW, counts(orders=1))])
    history.record(NOW - REMEMBERED, counts(orders=1))
    assert history.entries == {NOW: counts(orders=1)}
    assert history.measure("orders", "30d", NOW - REMEMBERED + WINDOWS["30d"]) == 0
    assert history.measure("orders", "30d", NOW - REMEMBERED + WINDOWS["30d"] - 1) is None


def test_the_days_of_a_tree_do_not_grow_for_ever() -> None:
    history = a_history()
    for day in range(400):
        history.record(NOW + day * 86_400, counts(orders=1))
        history.fold()
    assert len(history.nodes[0, 0].slots()) == REMEMBERED // 86_400 + 1
    assert history.measure("orders", "30d", NOW + 399 * 86_400) == 30


def test_the_amount_of_a_window_with_an_unpriced_order_is_unknown() -> None:
    history = recorded([(NOW - 700, counts(orders=1, unpriced=1)), (NOW, counts(orders=1, amount=4900))])
    assert history.measure("amount", "10m", NOW) == 4900
    assert history.measure("amount", "24h", NOW) is None
    assert history.measure("orders", "24h", NOW) == 2


def test_a_misspelt_measure_is_an_error() -> None:
    with pytest.raises(KeyError):
        counts(order=1)


def test_the_same_card_twice_is_one_card() -> None:
    history = a_history()
    for age, card in ((0, "a"), (10, "b"), (20, "a"), (700, "c")):
        history.sight("card", card, NOW - age)
        history.sight("email", "x", NOW - age)
    assert history.measure("distinct_cards", "10m", NOW) == 2
    assert history.measure("distinct_cards", "24h", NOW) == 3
    assert history.measure("distinct_emails", "24h", NOW) == 1


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), min_size=150, max_size=250),
    st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_the_newest_sightings_are_kept_whatever_the_order_of_arrival(seen, random) -> None:
    def kept(order: list[tuple[int, int]]) -> Sightings:
        sightings = Sightings()
        for second, card in order:
            sightings.add("card", f"card-{card}", second)
        return sightings

    once = kept(seen)
    assert kept(random.sample(seen, len(seen))).pack() == once.pack()
    assert len(once.pack()) <= MOST_SIGHTINGS * 24
    assert Sightings(once.pack()).distinct("card", -1, 300) == once.distinct("card", -1, 300)


def test_seconds_before_1970_round_down_like_all_others() -> None:
    assert second_of(datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)) == -1
    assert second_of(datetime(1970, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)) == 0
