"""What a warehouse system counted is true as of its time: goods that moved since are added, and nothing is counted twice."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.count import Counts, Since
from services.inventory.domain.movement import MovementKind
from services.inventory.domain.reservation import Status
from services.inventory.domain.shelves import Shelves
from services.inventory.usecases.adjust_stock import AdjustStock, adjust_stock
from services.inventory.usecases.count_stock import CountStock, count_stock
from shared.contracts.inventory import ReservationBroken
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal
from tests.builders.inventory import (
    BERLIN,
    NOON,
    Play,
    a_count,
    a_moment,
    a_receipt,
    a_snapshot,
    allocated,
    an_adjustment,
    dispatched,
    order_id,
    placed,
    some_shelves,
)


def second(number: float) -> datetime:
    """Between messages: the n-th of a play comes n seconds after noon."""
    return NOON + timedelta(seconds=number)


def line_of(decision: Decision) -> dict[str, Any]:
    """The answer's only line."""
    assert not isinstance(decision, Refusal)
    (reply,) = [effect for effect in decision if isinstance(effect, Reply)]
    (line,) = reply.body["lines"]
    return line


def ten_mugs() -> Play:
    return Play(some_shelves({"BER": {"MUG": 10}}))


def test_a_count_sets_what_is_there_and_is_in_the_ledger_as_what_it_is() -> None:
    play = ten_mugs()
    assert line_of(play.decide(a_snapshot(7, version=1))) == {
        "sku": "MUG",
        "outcome": "counted",
        "version": 1,
        "known_version": 1,
        "moved_since": 0,
        "change": -3,
        "on_hand": 7,
    }
    (entry,) = play.shelves.ledger
    assert (entry.kind, entry.on_hand) == (MovementKind.SNAPSHOT, -3)


def test_what_came_after_the_counts_instant_is_added() -> None:
    play = ten_mugs()
    play(a_receipt(("MUG", 5)), an_adjustment(AdjustmentKind.WRITE_OFF, ("MUG", 2)))
    line = line_of(play.decide(a_snapshot(9, version=1, as_of=second(0.5))))
    assert (line["moved_since"], line["on_hand"]) == (3, 12)


def test_what_came_before_the_counts_instant_is_in_it() -> None:
    play = ten_mugs()
    play(a_receipt(("MUG", 5)))
    assert line_of(play.decide(a_snapshot(9, version=1, as_of=second(1.5))))["on_hand"] == 9


def test_a_correction_of_the_books_moved_no_goods_and_is_not_added() -> None:
    play = ten_mugs()
    play(an_adjustment(AdjustmentKind.CORRECTION, ("MUG", 3)))
    assert line_of(play.decide(a_snapshot(9, version=1)))["on_hand"] == 9


@pytest.mark.parametrize(
    ("version", "quantity", "outcome"),
    [(4, 1, "older"), (5, 7, "replayed"), (5, 1, "conflicting"), (6, 1, "counted")],
)
def test_only_a_newer_version_changes_anything(version: int, quantity: int, outcome: str) -> None:
    play = ten_mugs()
    play(a_snapshot(7, version=5))
    before = play.level(), len(play.shelves.ledger)
    line = line_of(play.decide(a_snapshot(quantity, version)))
    assert line["outcome"] == outcome
    assert (line["known_version"], line["on_hand"]) == ((6, 1) if outcome == "counted" else (5, 7))
    assert ((play.level(), len(play.shelves.ledger)) == before) == (outcome != "counted")


def test_versions_are_each_sources_own() -> None:
    play = ten_mugs()
    play(a_snapshot(7, version=5, source="wms"))
    assert line_of(play.decide(a_snapshot(8, version=1, source="erp")))["outcome"] == "counted"


def test_a_count_of_an_earlier_instant_than_anybodys_is_superseded() -> None:
    play = ten_mugs()
    play(a_snapshot(7, version=1, as_of=second(0.9), source="wms"))
    line = line_of(play.decide(a_snapshot(8, version=1, as_of=second(0.5), source="erp")))
    assert (line["outcome"], line["known_version"], line["on_hand"]) == ("superseded", None, 7)


def test_a_person_who_counted_later_supersedes_the_system() -> None:
    play = ten_mugs()
    play(a_count(("MUG", 6)))
    assert line_of(play.decide(a_snapshot(8, version=1, as_of=second(0.5))))["outcome"] == "superseded"
    assert line_of(play.decide(a_snapshot(8, version=1, as_of=second(2.5))))["outcome"] == "counted"


def test_a_clock_that_is_a_little_ahead_means_now_and_one_far_ahead_is_not_believed() -> None:
    play = ten_mugs()
    assert line_of(play.decide(a_snapshot(7, version=1, as_of=second(100))))["outcome"] == "future"
    assert line_of(play.decide(a_snapshot(7, version=1, as_of=second(30))))["outcome"] == "counted"
    play(a_receipt(("MUG", 2)))  # at second 3: what comes after the count's arrival is not thought to be in it
    assert play.level() == (9, 0)


def test_another_stores_sku_is_not_counted_and_not_shown() -> None:
    play = ten_mugs()
    play.shelves.item("MUG").store_id = "str_other"
    line = line_of(play.decide(a_snapshot(7, version=1)))
    assert (line["outcome"], line["known_version"], line["on_hand"]) == ("sku_taken", None, 0)
    assert play.level() == (10, 0)


def test_an_unknown_warehouse_is_refused_whole() -> None:
    refusal = ten_mugs().decide(a_snapshot(7, version=1, warehouse="ATL"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "warehouse.unknown"


def test_a_count_below_what_is_reserved_breaks_the_newest_holds() -> None:
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    play(placed(1), placed(2), placed(3))
    broken = play.told(a_snapshot(1, version=1, as_of=second(3.5)))
    assert [(type(event), event.key) for event in broken] == [
        (ReservationBroken, order_id(3)),
        (ReservationBroken, order_id(2)),
    ]
    assert play.status(1) is Status.HELD
    assert play.level() == (1, 1)


def test_more_gone_since_than_was_counted_leaves_none() -> None:
    play = ten_mugs()
    play(an_adjustment(AdjustmentKind.WRITE_OFF, ("MUG", 6)))
    line = line_of(play.decide(a_snapshot(4, version=1, as_of=second(0.5))))
    assert (line["moved_since"], line["on_hand"]) == (-6, 0)


def test_goods_that_left_before_the_count_and_are_heard_of_after_it_leave_once() -> None:
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    play(placed(1))
    play(a_snapshot(2, version=1, as_of=second(1.5)))  # one is gone already
    assert play.level() == (2, 1)
    news = replace(a_moment(9), occurred_at=second(1.2))
    play.shelves.ledger.clear()
    from_logistics = dispatched(1, allocated("MUG", 1))
    play.decide_at(from_logistics, news)
    assert play.level() == (2, 0)
    assert [(entry.kind, entry.on_hand, entry.reserved) for entry in play.shelves.ledger] == [
        (MovementKind.CONSUMED, -1, -1),
        (MovementKind.SNAPSHOT, 1, 0),
    ]


def test_goods_that_leave_after_the_count_leave() -> None:
    play = Play(some_shelves({"BER": {"MUG": 3}}))
    play(placed(1), a_snapshot(3, version=1, as_of=second(1.5)), dispatched(1, allocated("MUG", 1)))
    assert play.level() == (2, 0)


_SEEN = st.tuples(st.integers(0, 50), st.integers(0, 50))
"""(When it happened, how many seconds later we hear of it.)"""
_goods = st.lists(st.tuples(_SEEN, st.integers(-5, 5).filter(bool)), max_size=12)
_counts = st.lists(_SEEN, min_size=1, max_size=6, unique_by=lambda seen: seen[0])


@given(goods=_goods, counts=_counts, wrong_by=st.integers(-40, 40))
def test_however_late_goods_and_counts_are_heard_of_the_books_end_as_the_truth(
    goods: list[tuple[tuple[int, int], int]], counts: list[tuple[int, int]], wrong_by: int
) -> None:
    """Goods move at full seconds, counts see the world half a second later; the books begin wrong, and are right at the end."""
    start = 200

    def truth(instant: float) -> int:
        return start + sum(change for (happened, _), change in goods if happened <= instant)

    news: list[tuple[float, float, AdjustStock | CountStock]] = [
        (happened + late + 0.25, happened, _move(change)) for (happened, late), change in goods
    ]
    news += [
        (happened + 0.5 + late, happened + 0.5, a_snapshot(truth(happened + 0.5), happened + 1, second(happened + 0.5)))
        for happened, late in counts
    ]
    shelves = some_shelves({"BER": {"MUG": start + wrong_by}}, warehouses=(BERLIN,))
    for number, (heard, happened, body) in enumerate(sorted(news, key=lambda item: item[0])):
        moment = replace(a_moment(number), decided_at=second(heard), occurred_at=second(happened))
        assert not isinstance(_decide(body, shelves, moment), Refusal)
    assert shelves.item("MUG").level("BER").on_hand == truth(1000)
    moved = sum(entry.on_hand for entry in shelves.ledger)
    assert start + wrong_by + moved == truth(1000)


def _move(change: int) -> AdjustStock:
    kind = AdjustmentKind.RECEIPT if change > 0 else AdjustmentKind.WRITE_OFF
    return an_adjustment(kind, ("MUG", abs(change)))


def _decide(body: AdjustStock | CountStock, shelves: Shelves, moment: Moment) -> Decision:
    return adjust_stock(body, shelves, moment) if isinstance(body, AdjustStock) else count_stock(body, shelves, moment)


def test_what_is_known_since_goes_on_with_what_the_same_batch_decided() -> None:
    play = ten_mugs()
    play.shelves.counts = Counts(since=defaultdict(lambda: Since(moved=4)))
    play(a_receipt(("MUG", 1)), a_receipt(("MUG", 9), warehouse="NJ"))
    assert line_of(play.decide(a_snapshot(5, version=1, as_of=second(0.5))))["on_hand"] == 5 + 4 + 1
