"""Returned goods whose warehouse nobody knows: held with a reason, on the shelf as soon as it is known where they are."""

from collections.abc import Sequence
from dataclasses import replace

from services.inventory.domain.warehouse import WarehouseKind
from services.inventory.usecases.put_warehouse import PutWarehouse
from shared.contracts.inventory import RestockHeld, StockChanged, StockReserved, StockRestocked
from shared.contracts.registry import Event
from shared.contracts.support import ReturnReceived, ReturnRelocated
from shared.contracts.values import Grade, ReceivedLine
from tests.builders.inventory import (
    BERLIN,
    NEW_JERSEY,
    Play,
    a_warehouse,
    allocated,
    dispatched,
    order_id,
    placed,
    returned,
    some_shelves,
)

RETURN = f"ret_{1:026d}"
ATLANTIS = a_warehouse("ATL", "GR")
PUT_ATLANTIS = PutWarehouse(code="ATL", kind=WarehouseKind.HOME, country="GR", name="")


def after_a_dispatch(units: int = 2) -> Play:
    """Order 1 has had so many mugs, and they have left."""
    play = Play(some_shelves({"BER": {"MUG": units}}))
    play(placed(1, {"MUG": units}), dispatched(1, allocated("MUG", units)))
    return play


def relocated(warehouse: str) -> ReturnRelocated:
    return ReturnRelocated(order_id=order_id(1), return_id=RETURN, warehouse=warehouse)


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def test_goods_in_an_unknown_warehouse_are_held_and_it_is_told_what_clears_it() -> None:
    play = after_a_dispatch()
    (held,) = play.told(returned(1, quantity=2, warehouse="ATL"))
    assert isinstance(held, RestockHeld)
    assert (held.return_id, held.reason.code, held.reason.subject) == (RETURN, "warehouse.unknown", "ATL")
    assert "PUT /v1/warehouses/ATL" in held.reason.clears_with
    assert held.lines == (ReceivedLine(sku="MUG", quantity=2, grade=Grade.SELLABLE, warehouse="ATL"),)
    assert (play.level(), play.level("MUG", "ATL")) == ((0, 0), (0, 0))


def test_the_order_goes_on_after_a_return_that_is_held() -> None:
    play = after_a_dispatch()
    play(returned(1, warehouse="ATL"))
    second = replace(returned(1), return_id="ret_second")
    assert kinds(play.told(second)) == [StockRestocked]


def test_a_warehouse_that_is_set_up_gets_what_was_held_for_it() -> None:
    play = after_a_dispatch()
    play(returned(1, quantity=2, warehouse="ATL"))
    told = play.told(PUT_ATLANTIS)
    assert told == [
        StockRestocked(order_id=order_id(1), return_id=RETURN, allocations=(allocated("MUG", 2, ATLANTIS),))
    ]
    assert play.level("MUG", "ATL") == (2, 0)
    assert play.told(PUT_ATLANTIS) == [], "it is put there once"


def test_what_comes_onto_the_shelf_late_is_announced_and_serves_who_waits() -> None:
    play = after_a_dispatch(1)
    play(returned(1, warehouse="ATL"), placed(2, {"MUG": 1}, refusable=False))
    effects = play(PUT_ATLANTIS)
    assert any(isinstance(effect, StockReserved) for effect in effects)
    assert any(isinstance(effect, StockChanged) and effect.on_hand == 1 for effect in effects)


def test_goods_that_are_somewhere_else_are_put_there() -> None:
    play = after_a_dispatch()
    play(returned(1, quantity=2, warehouse="ATL"))
    told = play.told(relocated("NJ"))
    assert told == [
        StockRestocked(order_id=order_id(1), return_id=RETURN, allocations=(allocated("MUG", 2, NEW_JERSEY),))
    ]
    assert play.told(PUT_ATLANTIS) == [], "nothing waits for the warehouse that was named first"


def test_a_correction_that_names_no_warehouse_either_is_held_with_its_own_reason() -> None:
    play = after_a_dispatch()
    play(returned(1, warehouse="ATL"))
    (held,) = play.told(relocated("LEM"))
    assert isinstance(held, RestockHeld)
    assert held.reason.subject == "LEM"
    assert kinds(play.told(relocated("BER"))) == [StockRestocked]


def test_a_correction_that_changes_nothing_is_answered_too() -> None:
    # Support shows the goods as pending from its word on, until it hears what became of them.
    play = after_a_dispatch()
    held = play.told(returned(1, quantity=2, warehouse="ATL"))
    assert play.told(relocated("ATL")) == held
    (back,) = play.told(PUT_ATLANTIS)
    assert isinstance(back, StockRestocked)
    assert [part.quantity for part in back.allocations] == [2]


def test_a_correction_of_goods_that_are_on_the_shelf_moves_nothing() -> None:
    play = after_a_dispatch()
    play(returned(1, quantity=2))
    assert play(relocated("NJ")) == []
    assert play.level("MUG", "BER") == (2, 0)


def test_another_stores_warehouse_is_as_unknown_as_none() -> None:
    play = after_a_dispatch()
    play.shelves.warehouses["ATL"] = replace(ATLANTIS, store_id="str_other")
    (held,) = play.told(returned(1, warehouse="ATL"))
    assert isinstance(held, RestockHeld)
    assert held.reason.code == "warehouse.unknown"


def test_of_a_return_in_two_places_the_known_one_is_served_at_once() -> None:
    play = after_a_dispatch(3)
    lines = (
        ReceivedLine(sku="MUG", quantity=1, grade=Grade.SELLABLE, warehouse="BER"),
        ReceivedLine(sku="MUG", quantity=1, grade=Grade.SELLABLE, warehouse="ATL"),
        ReceivedLine(sku="MUG", quantity=1, grade=Grade.DAMAGED, warehouse="ATL"),
    )
    told = play.told(ReturnReceived(order_id=order_id(1), return_id=RETURN, lines=lines))
    assert kinds(told) == [StockRestocked, RestockHeld]
    play(PUT_ATLANTIS)
    assert (play.level("MUG", "BER"), play.level("MUG", "ATL")) == ((1, 0), (1, 0))


def test_no_more_comes_back_than_left_however_much_is_held() -> None:
    play = after_a_dispatch(2)
    lines = tuple(
        ReceivedLine(sku="MUG", quantity=2, grade=Grade.SELLABLE, warehouse=code) for code in ("ATL", "ATL", "LEM")
    )
    play(ReturnReceived(order_id=order_id(1), return_id=RETURN, lines=lines))
    second = replace(returned(1, quantity=2), return_id="ret_second")
    play(second, PUT_ATLANTIS, relocated("NJ"))
    assert sum(level.on_hand for level in play.shelves.item("MUG").levels.values()) == 2


def test_damaged_goods_wait_for_no_warehouse() -> None:
    play = after_a_dispatch()
    assert play.told(returned(1, grade=Grade.DAMAGED, warehouse="ATL")) == []
    assert play.told(PUT_ATLANTIS) == []


def test_a_warehouse_that_is_renamed_gets_nothing() -> None:
    play = after_a_dispatch()
    play(returned(1, warehouse="ATL"))
    rename = PutWarehouse(code="BER", kind=BERLIN.kind, country="DE", name="Berlin")
    assert play.told(rename) == []
