"""Returned goods that inventory can put on no shelf: shown with the reason, and corrected by support's word."""

from services.support.domain.cases import Cases
from services.support.domain.return_states import RestockState
from services.support.domain.returns import Return
from services.support.usecases.note_return import note_restock, note_restock_held
from services.support.usecases.relocate_return import RelocateReturn, relocate_return
from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.support import ReturnRelocated
from shared.contracts.values import Reason
from shared.effects import Decision
from tests.builders.support import (
    STORE,
    a_moment,
    a_placed,
    a_return,
    approve,
    cases_of,
    code_of,
    events_of,
    receive,
)

UNKNOWN = Reason(code="warehouse.unknown", message="there is no warehouse ATL", clears_with="PUT /v1/warehouses/ATL")


def a_received_return() -> tuple[Cases, Return]:
    placed = a_placed()
    cases = cases_of(placed)
    claim = a_return(cases, placed.order_id)
    approve(cases, claim)
    receive(cases, claim)
    return cases, claim


def hold(cases: Cases, claim: Return, reason: Reason = UNKNOWN) -> None:
    held = RestockHeld(order_id=claim.order_id, return_id=claim.id, lines=(), reason=reason)
    note_restock_held(held, cases, a_moment())


def relocate(cases: Cases, claim: Return, warehouse: str = "BER", store: str = STORE) -> Decision:
    return relocate_return(RelocateReturn(store, claim.id, warehouse), cases, a_moment())


def test_goods_that_are_on_no_shelf_are_shown_with_the_reason() -> None:
    cases, claim = a_received_return()
    hold(cases, claim)
    document = claim.document()
    assert (document["restock"], document["restock_because"]) == (RestockState.HELD, UNKNOWN)


def test_goods_that_are_put_away_after_all_are_held_by_nothing() -> None:
    cases, claim = a_received_return()
    hold(cases, claim)
    note_restock(StockRestocked(order_id=claim.order_id, return_id=claim.id, allocations=()), cases, a_moment())
    assert (claim.restock, claim.restock_because) == (RestockState.RESTOCKED, None)


def test_the_warehouse_in_which_they_are_is_told_to_inventory() -> None:
    cases, claim = a_received_return()
    hold(cases, claim)
    decision = relocate(cases, claim)
    assert events_of(decision) == [ReturnRelocated(order_id=claim.order_id, return_id=claim.id, warehouse="BER")]
    assert (claim.restock, claim.restock_because, claim.relocated_to) == (RestockState.PENDING, None, "BER")


def test_a_correction_may_be_corrected() -> None:
    cases, claim = a_received_return()
    hold(cases, claim)
    relocate(cases, claim, "LEM")
    hold(cases, claim, UNKNOWN)
    relocate(cases, claim, "BER")
    assert claim.relocated_to == "BER"


def test_goods_that_are_not_held_cannot_be_moved_by_a_word() -> None:
    cases, claim = a_received_return()
    assert code_of(relocate(cases, claim)) == "return.not_held"
    hold(cases, claim)
    note_restock(StockRestocked(order_id=claim.order_id, return_id=claim.id, allocations=()), cases, a_moment())
    assert code_of(relocate(cases, claim)) == "return.not_held"


def test_another_stores_return_is_not_there() -> None:
    cases, claim = a_received_return()
    hold(cases, claim)
    assert code_of(relocate(cases, claim, store="str_other")) == "return.not_found"
