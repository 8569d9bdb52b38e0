"""What a batch must load, read from its messages."""

from datetime import timedelta

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.policy import Policy
from services.inventory.domain.reservation import HOLD
from services.inventory.footprint import Footprint, Shortening, footprint_of
from services.inventory.usecases.put_policies import PutPolicies
from shared.effects import Due
from shared.messaging.message import Message
from tests.builders.inventory import (
    NOON,
    STORE,
    a_channel_put,
    a_count,
    a_moment,
    a_receipt,
    a_snapshot,
    allocated,
    an_adjustment,
    cancelled,
    confirmed,
    dispatched,
    expiry_of,
    order_id,
    placed,
    rejected,
    returned,
    shipped,
)


def footprint(*bodies: object) -> Footprint:
    return footprint_of([Message(body=body, moment=a_moment(number)) for number, body in enumerate(bodies)])


def test_orders_bring_the_skus_that_they_name() -> None:
    found = footprint(
        placed(1, {"A": 1}), confirmed(2, allocated("B", 1)), dispatched(3, allocated("C", 1)), returned(4, sku="D")
    )
    assert found.orders == {order_id(number) for number in (1, 2, 3, 4)}
    assert found.skus == {"A", "B", "C", "D"}
    assert found.freed == {"D": ""}
    assert found.ending == set()


def test_orders_that_end_may_free_what_they_hold() -> None:
    found = footprint(cancelled(1), rejected(2), expiry_of(3))
    assert found.ending == found.orders == {order_id(number) for number in (1, 2, 3)}


def test_a_retry_looks_behind_the_first_order_that_anybody_asks_for() -> None:
    found = footprint(Due("waiting.retry", f"{order_id(5)}/A/B"), Due("waiting.retry", f"{order_id(3)}/A/B"))
    assert found.freed == {"A/B": order_id(3)}
    assert footprint(Due("waiting.retry", f"{order_id(5)}/A"), a_receipt(("A", 1))).freed == {"A": ""}


def test_how_low_a_batch_may_bring_a_level_at_worst() -> None:
    found = footprint(
        a_count(("A", 7)),
        a_count(("A", 0)),
        a_count(("A", 9)),
        an_adjustment(AdjustmentKind.WRITE_OFF, ("A", 2)),
        an_adjustment(AdjustmentKind.CORRECTION, ("A", -3), ("B", 4)),
        a_receipt(("A", 50)),
    )
    assert found.shortened["A", "BER"] == Shortening(lowest_count=0, decrease=5)
    assert found.shortened["B", "BER"] == Shortening(lowest_count=None, decrease=0)
    assert set(found.freed) == {"A", "B"}


def test_goods_that_leave_for_another_warehouse_shorten_what_comes_after_them() -> None:
    found = footprint(shipped(("A", 10)), an_adjustment(AdjustmentKind.WRITE_OFF, ("A", 5)))
    assert found.shortened["A", "BER"] == Shortening(lowest_count=None, decrease=15)


def test_announcements_and_channels() -> None:
    found = footprint(Due("stock.announce", "str_demo/A"), a_channel_put())
    assert found.rounds == {"str_demo/A"}
    assert found.stores == {STORE}


def test_the_skus_whose_policies_change_are_locked() -> None:
    found = footprint(PutPolicies(channel="bazaar", policies={"A": Policy(buffer=1), "B": None}))
    assert found.skus == {"A", "B"}
    assert found.stores == {STORE}


def test_what_is_not_ours_touches_nothing() -> None:
    assert footprint(None, Due("another.kind", "x")) == Footprint()


def test_of_a_count_the_fewest_units_said_of_an_instant_are_known_and_the_future_is_now() -> None:
    now = a_moment(0).decided_at
    found = footprint(a_snapshot(7, version=1, sku="A"), a_snapshot(4, version=2, sku="A", as_of=NOON + HOLD))
    assert found.counted == {("A", "BER", NOON): 7, ("A", "BER", now + timedelta(seconds=1)): 4}
    assert found.freed == {"A": ""}
    assert found.goods_move
    found.shorten_to(("A", "BER"), 9)
    found.shorten_to(("A", "BER"), 5)
    assert found.shortened["A", "BER"] == Shortening(lowest_count=5)


def test_counts_are_asked_for_only_where_goods_move() -> None:
    assert not footprint(placed(1), confirmed(1), cancelled(1), expiry_of(1)).goods_move
    assert all(footprint(body).goods_move for body in (dispatched(1), returned(1), a_receipt(("A", 1))))
