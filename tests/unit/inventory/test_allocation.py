"""From which warehouse an order is served."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inventory.domain.allocation import (
    Offer,
    Shortage,
    demand_of,
    fewest_parcels,
    plan_allocation,
    units_of,
)
from services.inventory.domain.stock import StockItem, StockLevel
from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from shared.contracts.values import Allocation, Shortfall
from tests.builders.inventory import BERLIN, NEW_JERSEY, NINGBO, a_warehouse, allocated, placed, some_shelves

Stock = dict[str, dict[str, int]]


def plan(
    stock: Stock,
    demand: dict[str, int],
    country: str = "DE",
    warehouses: tuple[Warehouse, ...] = (BERLIN, NEW_JERSEY, NINGBO),
) -> tuple[Allocation, ...] | Shortage:
    shelves = some_shelves(stock, warehouses=warehouses)
    return plan_allocation(demand, shelves.items, shelves.warehouses, country)


def test_the_buyers_country_comes_first() -> None:
    stock = {"BER": {"MUG": 5}, "NJ": {"MUG": 5}}
    assert plan(stock, {"MUG": 2}, "US") == (allocated("MUG", 2, NEW_JERSEY),)
    assert plan(stock, {"MUG": 2}, "DE") == (allocated("MUG", 2, BERLIN),)


def test_one_warehouse_abroad_is_better_than_two_parcels() -> None:
    stock = {"BER": {"MUG": 1, "CAP": 1}, "NJ": {"MUG": 1}}
    assert plan(stock, {"MUG": 1, "CAP": 1}, "US") == (allocated("CAP", 1), allocated("MUG", 1))


def test_an_order_that_no_warehouse_holds_is_split_into_the_fewest_parcels() -> None:
    munich, bonn, essen = a_warehouse("MUC"), a_warehouse("BON"), a_warehouse("ESS")
    stock = {"BER": {"A": 1}, "MUC": {"B": 1}, "BON": {"C": 1}, "ESS": {"A": 1, "B": 1}}
    result = plan(stock, {"A": 1, "B": 1, "C": 1}, "DE", (BERLIN, munich, bonn, essen))
    assert result == (allocated("A", 1, essen), allocated("B", 1, essen), allocated("C", 1, bonn))


def test_units_of_one_sku_may_come_from_two_warehouses() -> None:
    stock = {"BER": {"MUG": 2}, "NJ": {"MUG": 2}}
    assert plan(stock, {"MUG": 3}) == (allocated("MUG", 2), allocated("MUG", 1, NEW_JERSEY))


def test_what_is_left_equal_is_decided_by_the_code() -> None:
    aachen = a_warehouse("AAH")
    assert plan({"BER": {"MUG": 1}, "AAH": {"MUG": 1}}, {"MUG": 1}, "DE", (BERLIN, aachen)) == (
        allocated("MUG", 1, aachen),
    )


@pytest.mark.parametrize("country", ["DE", "US", ""])
def test_bonded_goods_do_not_leave_their_country(country: str) -> None:
    assert plan({"NGB": {"MUG": 5}}, {"MUG": 1}, country) == Shortage((Shortfall(sku="MUG", requested=1, available=0),))


def test_bonded_goods_are_sold_in_their_country() -> None:
    assert plan({"NGB": {"MUG": 5}}, {"MUG": 1}, "CN") == (allocated("MUG", 1, NINGBO),)


def test_the_plan_does_not_depend_on_the_order_of_the_basket() -> None:
    stock = {"BER": {"MUG": 1, "CAP": 1}}
    assert plan(stock, {"MUG": 1, "CAP": 1}) == plan(stock, {"CAP": 1, "MUG": 1})
    assert plan({}, {"MUG": 1, "CAP": 1}) == plan({}, {"CAP": 1, "MUG": 1})


def test_reserved_units_are_not_offered() -> None:
    shelves = some_shelves({"BER": {"MUG": 3}})
    shelves.items["MUG"].level("BER").move(on_hand=0, reserved=2)
    assert plan_allocation({"MUG": 2}, shelves.items, shelves.warehouses, "DE") == Shortage(
        (Shortfall(sku="MUG", requested=2, available=1),)
    )


def test_a_shortage_names_every_short_sku_and_only_those() -> None:
    result = plan({"BER": {"MUG": 1, "CAP": 9}}, {"MUG": 2, "CAP": 1, "PEN": 1})
    assert result == Shortage(
        (Shortfall(sku="MUG", requested=2, available=1), Shortfall(sku="PEN", requested=1, available=0))
    )


def test_the_same_sku_on_two_lines_is_one_demand() -> None:
    # medusa #16502: each line was checked against the whole stock.
    assert demand_of(placed(1, [("MUG", 1), ("CAP", 1), ("MUG", 1)]).lines) == {"MUG": 2, "CAP": 1}


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_line_of_nothing_is_a_poisonous_message(quantity: int) -> None:
    with pytest.raises(ValueError, match="asks for"):
        demand_of(placed(1, [("MUG", quantity)]).lines)


def test_with_very_many_warehouses_the_largest_share_goes_first() -> None:
    small = [Offer(a_warehouse(f"S{n:02d}"), {"MUG": 1}) for n in range(20)]
    large = [Offer(a_warehouse(f"T{n}"), {"MUG": 5}) for n in range(2)]
    assert [offer.warehouse.code for offer in fewest_parcels({"MUG": 11}, [*small, *large])] == ["T0", "T1", "S00"]


def test_with_very_many_warehouses_one_that_holds_everything_still_wins() -> None:
    small = [Offer(a_warehouse(f"S{n:02d}"), {"MUG": 4}) for n in range(20)]
    large = [Offer(a_warehouse(f"T{n}"), {"MUG": 5}) for n in range(2)]
    assert [offer.warehouse.code for offer in fewest_parcels({"MUG": 5}, [*small, *large])] == ["T0"]


skus = st.sampled_from(["A", "B", "C"])
countries = st.sampled_from(["DE", "US", "CN"])


@given(
    places=st.lists(st.tuples(countries, st.sampled_from(WarehouseKind)), min_size=1, max_size=14),
    data=st.data(),
    country=countries,
    demand=st.dictionaries(skus, st.integers(1, 6), min_size=1),
)
def test_a_plan_covers_the_demand_exactly_and_fails_only_when_it_must(
    places: list[tuple[str, WarehouseKind]], data: st.DataObject, country: str, demand: dict[str, int]
) -> None:
    warehouses = {f"W{n:02d}": a_warehouse(f"W{n:02d}", at, kind) for n, (at, kind) in enumerate(places)}
    units = st.fixed_dictionaries({code: st.integers(0, 3) for code in warehouses})
    stock = {sku: data.draw(units) for sku in ("A", "B", "C")}
    items = {
        sku: StockItem(sku, levels={code: StockLevel(on_hand=number) for code, number in levels.items()})
        for sku, levels in stock.items()
    }
    result = plan_allocation(demand, items, warehouses, country)
    usable = {code for code, warehouse in warehouses.items() if warehouse.serves(country)}
    offered = {sku: sum(stock[sku][code] for code in usable) for sku in demand}
    if isinstance(result, Shortage):
        missing = {short.sku: short.available for short in result.short}
        assert missing == {sku: offered[sku] for sku, wanted in demand.items() if offered[sku] < wanted}
        assert missing
    else:
        assert units_of(result) == demand
        assert all(part.quantity <= stock[part.sku][part.warehouse] for part in result)
        assert {part.warehouse for part in result} <= usable
        assert len({(part.sku, part.warehouse) for part in result}) == len(result)
