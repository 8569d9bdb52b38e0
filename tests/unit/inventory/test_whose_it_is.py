"""A store sells, counts and restocks only what is its own."""

from dataclasses import replace

from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from services.inventory.usecases.adjust_stock import AdjustStock, adjust_stock
from services.inventory.usecases.put_warehouse import PutWarehouse, put_warehouse
from shared.contracts.inventory import RestockHeld, StockRefused, StockReserved
from shared.errors import Refusal
from tests.builders.inventory import (
    BERLIN,
    STORE,
    Play,
    a_moment,
    a_receipt,
    allocated,
    dispatched,
    placed,
    returned,
    some_shelves,
)

OTHER = "str_other"
THEIRS = Warehouse(code="ATL", store_id=OTHER, kind=WarehouseKind.HOME, country="US")


def refusal_of(command: AdjustStock, play: Play) -> str:
    decision = adjust_stock(command, play.shelves, a_moment(9, store_id=OTHER))
    assert isinstance(decision, Refusal)
    return decision.code


def test_a_sku_belongs_to_the_store_that_stocked_it_first() -> None:
    play = Play(some_shelves(warehouses=[BERLIN, THEIRS]))
    play(a_receipt(("MUG", 1)))
    assert play.shelves.items["MUG"].store_id == STORE
    assert refusal_of(a_receipt(("MUG", 1), warehouse="ATL"), play) == "stock.sku_taken"


def test_an_order_is_not_served_from_another_stores_goods() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    (refused,) = play.told(replace(placed(1), store_id=OTHER))
    assert isinstance(refused, StockRefused)
    assert refused.short[0].available == 0


def test_a_dispatch_without_a_hold_takes_nothing_of_another_stores_goods() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    play(replace(placed(1), store_id=OTHER), dispatched(1, allocated("MUG", 1)))
    assert play.level() == (5, 0)


def test_a_store_does_not_adjust_in_another_stores_warehouse() -> None:
    play = Play(some_shelves({"BER": {"MUG": 5}}))
    assert refusal_of(a_receipt(("NEW", 1)), play) == "warehouse.unknown"


def test_a_return_is_not_put_into_another_stores_warehouse() -> None:
    play = Play(some_shelves({"BER": {"MUG": 1}}, warehouses=[BERLIN, THEIRS]))
    play(placed(1), dispatched(1, allocated("MUG", 1)))
    assert [type(event) for event in play.told(returned(1, warehouse="ATL"))] == [RestockHeld]
    assert play.level("MUG", "ATL") == (0, 0)


def test_goods_that_come_back_before_any_were_stocked_belong_to_the_store_and_can_be_sold() -> None:
    # Found by the machine that compares the database with the model: they were on the shelf, and nobody's.
    play = Play(some_shelves())
    play(placed(1, refusable=False), dispatched(1, allocated("MUG", 1)), returned(1))
    assert (play.level(), play.shelves.item("MUG").store_id) == ((1, 0), STORE)
    assert [type(event) for event in play.told(placed(2))] == [StockReserved]


def test_a_return_puts_nothing_on_the_shelf_of_another_stores_sku() -> None:
    play = Play(some_shelves())
    play(placed(1, refusable=False), dispatched(1, allocated("MUG", 1)))
    play.shelves.item("MUG").store_id = OTHER
    assert play(returned(1)) == []
    assert play.level() == (0, 0)


def test_a_store_does_not_take_over_another_stores_warehouse() -> None:
    command = PutWarehouse(code="BER", kind=WarehouseKind.HOME, country="DE", name="mine")
    refusal = put_warehouse(command, some_shelves(), a_moment(1, store_id=OTHER))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "warehouse.taken"
