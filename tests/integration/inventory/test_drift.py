"""The reconciler finds what is broken by hand, says from which entry on, and finds nothing while all is well."""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.inventory import drift
from services.inventory.drift import DRIFTS, check_all, check_page, reconcile
from tests.builders.inventory import order_id, placed
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration


async def break_it(bench: Bench, sql: str) -> None:
    """What no code of ours does: as the tables' owner."""
    owner = await asyncpg.connect(bench.place.owner_url)
    await owner.execute(sql)
    await owner.close()


async def shown(bench: Bench) -> list[Mapping[str, Any]]:
    response = await bench.client.get("/v1/stock/drift")
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def test_where_all_is_well_nothing_is_found(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5, CAP=2)
    await bench.deliver(placed(1))
    assert await reconcile(bench.database) == 0
    assert await shown(bench) == []


async def test_an_entry_that_was_not_counted_is_named(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await adjust("receipt", MUG=3, warehouse="NJ")
    await adjust("receipt", MUG=2)
    first, _, last = [
        str(row["id"]) for row in await bench.database.fetch("SELECT id FROM movement WHERE sku = 'MUG' ORDER BY id")
    ]
    await break_it(bench, "UPDATE stock_level SET on_hand = 5 WHERE warehouse = 'BER'")
    (found,) = await shown(bench)
    assert (found["sku"], found["warehouse"], found["on_hand"], found["ledger_on_hand"]) == ("MUG", "BER", 5, 7)
    assert (found["cause"], found["since_movement"]) == ("entry_without_counter", last)
    await break_it(bench, "DELETE FROM stock_level WHERE warehouse = 'BER'")
    (found,) = await shown(bench)
    assert (found["cause"], found["since_movement"]) == ("entry_without_counter", first)


async def test_a_counter_that_was_changed_past_the_ledger_is_told_apart(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await break_it(bench, "UPDATE stock_level SET on_hand = 6")
    (found,) = await shown(bench)
    assert (found["cause"], found["since_movement"]) == ("counter_without_entry", None)


async def test_a_hold_that_is_not_reserved_is_found(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(placed(1))
    await break_it(bench, f"UPDATE reservation SET status = 'released' WHERE order_id = '{order_id(1)}'")
    (found,) = await shown(bench)
    assert (found["cause"], found["reserved"], found["held"]) == ("hold_without_entry", 1, 0)


async def test_drift_is_logged_and_measured_and_the_measure_falls_again(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await break_it(bench, "UPDATE stock_level SET on_hand = 6")
    with capture_logs() as logs:
        assert await reconcile(bench.database) == 1
    (entry,) = [entry for entry in logs if entry["event"] == "stock.drift"]
    assert (entry["sku"], entry["warehouse"], entry["log_level"]) == ("MUG", "BER", "error")
    assert next(iter(DRIFTS.collect())).samples[0].value == 1
    await break_it(bench, "UPDATE stock_level SET on_hand = 5")
    await reconcile(bench.database)
    assert next(iter(DRIFTS.collect())).samples[0].value == 0


async def test_all_skus_are_compared_a_page_at_a_time(
    bench: Bench, adjust: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await adjust("receipt", **{f"SKU-{number:02d}": 1 for number in range(10)})
    await break_it(bench, "UPDATE stock_level SET on_hand = 2 WHERE sku IN ('SKU-00', 'SKU-03', 'SKU-09')")
    first = await check_page(bench.database, "", limit=4)
    assert (first.skus, first.last, [found.sku for found in first.drifts]) == (4, "SKU-03", ["SKU-00", "SKU-03"])
    monkeypatch.setattr(drift, "PAGE", 4)
    pages = [page async for page in check_all(bench.database)]
    assert [page.skus for page in pages] == [4, 4, 2]
    assert [found.sku for page in pages for found in page.drifts] == ["SKU-00", "SKU-03", "SKU-09"]
    body = (await bench.client.get("/v1/stock/drift", params={"limit": 4})).json()
    assert (len(body["data"]), body["has_more"]) == (2, True)
    rest = (await bench.client.get("/v1/stock/drift", params={"limit": 6, "after": body["next"]})).json()
    assert [found["sku"] for found in rest["data"]] == ["SKU-09"]


async def test_a_store_sees_the_drift_of_its_own_goods_only(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await break_it(bench, "UPDATE stock_level SET on_hand = 6")
    assert (await bench.client_of(OTHER_STORE).get("/v1/stock/drift")).json()["data"] == []


async def test_nothing_is_found_while_orders_go_on(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=50, CAP=50)
    orders = [bench.envelope(placed(number, {"MUG": 1, "CAP": 1})) for number in range(1, 101)]

    async def sell() -> None:
        for start in range(0, 100, 4):
            await bench.settle(orders[start : start + 4])

    selling = asyncio.ensure_future(sell())
    rounds = 0
    while not selling.done():
        assert (await check_page(bench.database, "")).drifts == []
        rounds += 1
    await selling
    assert rounds > 1
