from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from services.support.domain.cases import Cases
from services.support.domain.purchase import Purchase
from services.support.usecases.keep_order_copy import (
    keep_cancellation,
    keep_delivery,
    keep_dispatch,
    keep_placed_order,
)
from services.support.usecases.note_return import note_requested_refund
from shared.contracts.logistics import ShipmentDelivered
from shared.contracts.orders import OrderCancelled
from shared.contracts.payments import RefundRequested
from tests.builders.support import COSTS, NOON, a_dispatch, a_moment, a_placed, cases_of, euros


def purchase_of(*lines: tuple[str, int, int]) -> Purchase:
    placed = a_placed(lines)
    return cases_of(placed).purchases[placed.order_id]


def test_the_odd_cents_are_in_the_first_units() -> None:
    purchase = purchase_of(("MUG", 3, 1000))
    assert [purchase.worth("MUG", settled, 1) for settled in range(3)] == [euros(334), euros(333), euros(333)]


def test_units_are_worth_what_a_split_by_largest_remainder_says() -> None:
    parts = euros(1001).allocate([1] * 7)
    purchase = purchase_of(("MUG", 7, 1001))
    assert [purchase.worth("MUG", settled, 1) for settled in range(7)] == parts


def test_a_sku_on_two_lines_is_taken_line_by_line() -> None:
    purchase = purchase_of(("MUG", 2, 1000), ("CUP", 1, 99), ("MUG", 1, 300))
    assert purchase.bought("MUG") == 3
    assert [purchase.worth("MUG", settled, 1).amount for settled in range(3)] == [500, 500, 300]


@given(quantity=st.integers(1, 100_000), total=st.integers(0, 10**9), cut=st.integers(0, 100_000))
def test_what_comes_back_in_parts_is_worth_what_it_is_in_one(quantity: int, total: int, cut: int) -> None:
    purchase, first = purchase_of(("MUG", quantity, total)), min(cut, quantity)
    parts = purchase.worth("MUG", 0, first) + purchase.worth("MUG", first, quantity - first)
    assert parts == euros(total)


def test_facts_make_the_same_copy_in_any_order() -> None:
    placed = a_placed((("MUG", 3, 3000), ("CUP", 1, 500)), shipping=490)
    facts = [
        (keep_placed_order, placed),
        (keep_dispatch, a_dispatch(placed, units={"MUG": 2}, warehouse_country="PL")),
        (keep_dispatch, a_dispatch(placed, units={"MUG": 1, "CUP": 1})),
        (keep_delivery, ShipmentDelivered(order_id=placed.order_id, shipment_id="shp_1", delivered_at=NOON)),
        (keep_cancellation, OrderCancelled(order_id=placed.order_id, reason="late", requested_by="buyer")),
        (
            note_requested_refund,
            RefundRequested(order_id=placed.order_id, refund_id="rfd_1", amount=euros(100), reason="late"),
        ),
    ]
    copies: list[Purchase] = []
    for order in permutations(facts):
        cases = Cases(COSTS)
        for keep, event in order:
            keep(event, cases, a_moment())  # type: ignore[arg-type]
        copies.append(cases.purchases[placed.order_id])
    assert all(copy == copies[0] for copy in copies)
    assert (copies[0].shipped, copies[0].shipped_from) == ({"MUG": 3, "CUP": 1}, {"PL", "DE"})
    assert copies[0].refunded_outside == 100
