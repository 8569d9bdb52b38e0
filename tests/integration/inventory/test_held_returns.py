"""Returned goods in an unknown warehouse, with the real database: nothing halts, nothing is lost, whoever comes first."""

import asyncio

import pytest

from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.support import ReturnRelocated
from tests.builders.inventory import BERLIN, allocated, confirmed, dispatched, order_id, placed, returned
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration
ATLANTIS = {"kind": "home", "country": "GR"}


async def a_shipped_order(bench: Bench, adjust: Stock, number: int = 1, units: int = 2) -> None:
    await adjust("receipt", MUG=units)
    plan = allocated("MUG", units, BERLIN)
    await bench.deliver(placed(number, {"MUG": units}), confirmed(number, plan), dispatched(number, plan))


async def on_shelf(bench: Bench, warehouse: str) -> int:
    sql = "SELECT coalesce(sum(on_hand), 0)::bigint FROM stock_level WHERE warehouse = $1"
    return await bench.database.fetchval(sql, warehouse)


async def assert_nothing_halts(bench: Bench) -> None:
    assert await bench.database.fetch("SELECT * FROM dead_letter") == []
    assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []


async def test_a_receipt_in_an_unknown_warehouse_halts_nothing_and_is_put_away_when_it_is_set_up(
    bench: Bench, adjust: Stock
) -> None:
    await a_shipped_order(bench, adjust)
    await bench.deliver(returned(1, quantity=1, warehouse="ATL"))
    (held,) = await bench.published(RestockHeld)
    assert held.reason.code == "warehouse.unknown"
    await assert_nothing_halts(bench)
    assert (await bench.client.put("/v1/warehouses/ATL", json=ATLANTIS)).status_code == 201
    (restocked,) = await bench.published(StockRestocked)
    assert [(part.warehouse, part.country, part.quantity) for part in restocked.allocations] == [("ATL", "GR", 1)]
    assert await on_shelf(bench, "ATL") == 1
    assert await bench.database.fetch("SELECT * FROM held_return") == []
    await assert_nothing_halts(bench)


async def test_goods_that_support_finds_elsewhere_are_put_there(bench: Bench, adjust: Stock) -> None:
    await a_shipped_order(bench, adjust)
    await bench.deliver(returned(1, quantity=2, warehouse="ATL"))
    await bench.deliver(ReturnRelocated(order_id=order_id(1), return_id=f"ret_{1:026d}", warehouse="LEM"))
    assert [held.reason.subject for held in await bench.published(RestockHeld)] == ["ATL", "LEM"]
    await bench.deliver(ReturnRelocated(order_id=order_id(1), return_id=f"ret_{1:026d}", warehouse="NJ"))
    assert (await on_shelf(bench, "NJ"), len(await bench.published(StockRestocked))) == (2, 1)
    assert await bench.database.fetch("SELECT * FROM held_return") == []
    await assert_nothing_halts(bench)


async def test_another_store_that_takes_the_code_gets_nobodys_goods(bench: Bench, adjust: Stock) -> None:
    await a_shipped_order(bench, adjust)
    await bench.deliver(returned(1, warehouse="ATL"))
    assert (await bench.client_of(OTHER_STORE).put("/v1/warehouses/ATL", json=ATLANTIS)).status_code == 201
    assert await bench.published(StockRestocked) == []
    assert await bench.database.fetchval("SELECT count(*) FROM held_return") == 1


async def test_a_warehouse_that_is_set_up_while_its_return_is_received_misses_nothing(
    bench: Bench, adjust: Stock
) -> None:
    # Each in a replica of its own: the receipt must not be held for a warehouse that has just come to be.
    other, rounds = await bench.replica(), 15
    for number in range(1, rounds + 1):
        await a_shipped_order(bench, adjust, number, units=1)
        received = bench.deliver(returned(number, warehouse=f"W{number}"))
        _, answer = await asyncio.gather(received, other.client.put(f"/v1/warehouses/W{number}", json=ATLANTIS))
        assert answer.status_code == 201
    assert await bench.database.fetch("SELECT * FROM held_return") == []
    assert await bench.database.fetchval("SELECT count(*) FROM stock_level WHERE on_hand = 1") == rounds
    assert len(await bench.published(StockRestocked)) == rounds
    await assert_nothing_halts(bench)


async def test_a_correction_and_a_set_up_at_once_put_the_goods_in_one_place(bench: Bench, adjust: Stock) -> None:
    await a_shipped_order(bench, adjust, units=2)
    await bench.deliver(returned(1, quantity=2, warehouse="ATL"))
    other = await bench.replica()
    relocated = ReturnRelocated(order_id=order_id(1), return_id=f"ret_{1:026d}", warehouse="NJ")
    await asyncio.gather(bench.deliver(relocated), other.client.put("/v1/warehouses/ATL", json=ATLANTIS))
    assert await on_shelf(bench, "NJ") + await on_shelf(bench, "ATL") == 2
    assert len(await bench.published(StockRestocked)) == 1
    await assert_nothing_halts(bench)
