"""Absolute counts through the API, over the real tables."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.contracts.inventory import ReservationBroken, StockChanged
from tests.builders.inventory import allocated, dispatched, order_id, placed
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration


def a_line(sku: str, quantity: int, version: int, as_of: datetime | None = None) -> dict[str, Any]:
    instant = as_of or datetime.now(UTC)
    return {"sku": sku, "quantity": quantity, "version": version, "as_of": instant.isoformat()}


async def count(bench: Bench, *lines: dict[str, Any], source: str = "wms", **headers: str) -> httpx.Response:
    body = {"source": source, "warehouse": "BER", "lines": lines}
    return await bench.client.post("/v1/stock/counts", json=body, headers=headers)


async def on_hand(bench: Bench, sku: str = "MUG") -> int:
    return (await bench.client.get(f"/v1/stock/{sku}")).json()["on_hand"]


async def agree(bench: Bench) -> None:
    assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []
    assert await bench.database.fetch("SELECT * FROM dead_letter") == []


async def test_a_count_of_many_lines_answers_each_of_them(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5, CAP=5)
    now = await bench.database.fetchval("SELECT now()")
    assert (await count(bench, a_line("MUG", 4, 7, now), a_line("CAP", 5, 7, now))).status_code == 200
    answer = await count(bench, a_line("MUG", 9, 6, now), a_line("CAP", 5, 7, now), a_line("NEW", 3, 1, now))
    assert answer.status_code == 200, answer.text
    outcomes = {line["sku"]: (line["outcome"], line["known_version"]) for line in answer.json()["lines"]}
    assert outcomes == {"MUG": ("older", 7), "CAP": ("replayed", 7), "NEW": ("counted", 1)}
    assert [await on_hand(bench, sku) for sku in ("MUG", "CAP", "NEW")] == [4, 5, 3]
    shown = (await bench.client.get("/v1/stock/MUG/counts")).json()["data"]
    assert [(c["source"], c["version"], c["quantity"], c["change"]) for c in shown] == [("wms", 7, 4, -1)]
    await agree(bench)


async def test_the_same_count_sent_again_changes_and_tells_nothing(bench: Bench) -> None:
    line = a_line("MUG", 4, 1)
    await count(bench, line)
    told = len(await bench.published(StockChanged))
    for _ in range(3):  # each under an idempotency key of its own
        assert (await count(bench, line)).json()["lines"][0]["outcome"] == "replayed"
    assert len(await bench.published(StockChanged)) == told
    assert await bench.database.fetchval("SELECT count(*) FROM movement") == 1


async def test_a_count_is_brought_up_to_date_with_what_the_ledger_says_moved_since(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    instant = await bench.database.fetchval("SELECT clock_timestamp()")
    await adjust("receipt", MUG=3)
    await adjust("write_off", MUG=1)
    await adjust("correction", MUG=40)  # moved no goods
    await bench.deliver(placed(1), at=instant + timedelta(milliseconds=1))
    (line,) = (await count(bench, a_line("MUG", 6, 1, instant))).json()["lines"]
    assert (line["moved_since"], line["on_hand"]) == (2, 8)
    kinds = [entry["kind"] for entry in (await bench.client.get("/v1/stock/MUG/movements")).json()["data"]]
    assert kinds[0] == "snapshot"
    await agree(bench)


async def test_a_dispatch_that_the_count_has_seen_is_not_taken_off_again(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(placed(1))
    left = await bench.database.fetchval("SELECT clock_timestamp()")
    counted = await bench.database.fetchval("SELECT clock_timestamp()")
    await count(bench, a_line("MUG", 4, 1, counted))
    await bench.deliver(dispatched(1, allocated("MUG", 1)), at=left)
    assert await on_hand(bench) == 4
    await agree(bench)


async def test_a_count_below_what_is_held_breaks_as_many_of_the_newest_as_it_must(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=30)
    start = datetime.now(UTC)
    for number in range(1, 21):
        await bench.deliver(placed(number), at=start + timedelta(milliseconds=number))
    instant = await bench.database.fetchval("SELECT clock_timestamp()")
    await adjust("write_off", MUG=2)
    answer = (await count(bench, a_line("MUG", 20, 1, instant))).json()
    assert (answer["broken_reservations"], answer["lines"][0]["on_hand"]) == (2, 18)
    assert {event.order_id for event in await bench.published(ReservationBroken)} == {order_id(19), order_id(20)}
    await agree(bench)


async def test_counts_and_orders_on_two_replicas_leave_ledger_counters_and_holds_the_same(
    bench: Bench, adjust: Stock
) -> None:
    await adjust("receipt", MUG=40, CAP=40)
    replicas = [bench, await bench.replica()]
    orders = [bench.envelope(placed(number, {"MUG": 1, "CAP": 1})) for number in range(1, 61)]
    counts = [
        count(replicas[version % 2], a_line("MUG", 40 - version % 7, version), a_line("CAP", 35, version))
        for version in range(1, 21)
    ]
    batches = [replicas[turn % 2].settle(orders[turn * 5 : turn * 5 + 5]) for turn in range(12)]
    answers, _ = await asyncio.gather(asyncio.gather(*counts), asyncio.gather(*batches))
    assert {answer.status_code for answer in answers} == {200}
    outcomes = {line["outcome"] for answer in answers for line in answer.json()["lines"]}
    assert "counted" in outcomes
    assert outcomes <= {"counted", "older", "superseded"}
    taken = await bench.database.fetch("SELECT on_hand FROM stock_count ORDER BY sku DESC")
    assert len(taken) == 2
    await agree(bench)


async def test_a_count_needs_a_time_zone_a_key_and_each_sku_once(bench: Bench) -> None:
    naive = {"sku": "MUG", "quantity": 1, "version": 1, "as_of": "2026-11-24T12:00:00"}
    assert (await count(bench, naive)).status_code == 422
    assert (await count(bench, a_line("MUG", 1, 1), a_line("MUG", 2, 2))).status_code == 422
    assert (await count(bench, a_line("MUG", -1, 1))).status_code == 422


async def test_another_store_neither_counts_nor_sees_a_stores_goods(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    theirs = bench.client_of(OTHER_STORE)
    body = {"source": "wms", "warehouse": "BER", "lines": [a_line("MUG", 1, 1)]}
    assert (await theirs.post("/v1/stock/counts", json=body)).json()["code"] == "warehouse.unknown"
    assert (await theirs.get("/v1/stock/MUG/counts")).status_code == 404
    await theirs.put("/v1/warehouses/OTH", json={"kind": "home", "country": "DE"})
    (line,) = (await theirs.post("/v1/stock/counts", json={**body, "warehouse": "OTH"})).json()["lines"]
    assert (line["outcome"], line["on_hand"]) == ("sku_taken", 0)
