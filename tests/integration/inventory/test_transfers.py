"""Transfers through the API, over the real tables."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from freeport.audit.books import Books
from freeport.audit.stock import in_transit_is_the_ledger
from shared.ids import new_id
from tests.builders.inventory import placed
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration


async def ship(bench: Bench, *, destination: str = "NJ", key: str | None = None, **units: int) -> httpx.Response:
    lines = [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]
    body = {"source": "BER", "destination": destination, "reason": "season", "lines": lines}
    headers = {"idempotency-key": key} if key else {}
    return await bench.client.post("/v1/transfers", json=body, headers=headers)


async def receive(bench: Bench, transfer_id: str, *, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"idempotency-key": key} if key else {}
    return await bench.client.post(f"/v1/transfers/{transfer_id}/receipts", json={"lines": [], **body}, headers=headers)


async def patiently(do: Callable[..., Awaitable[httpx.Response]], *args: Any, **units: Any) -> httpx.Response:
    """As a client does on a slow machine: while the service is busy, again under the same key."""
    key = new_id("key")
    answer = await do(*args, key=key, **units)
    for _ in range(20):
        if answer.status_code != 503:
            break
        answer = await do(*args, key=key, **units)
    return answer


def mugs(received: int, damaged: int = 0) -> list[dict[str, Any]]:
    return [{"sku": "MUG", "received": received, "damaged": damaged}]


async def stock(bench: Bench) -> tuple[int, int, int]:
    """On hand, available, in transit."""
    shown = (await bench.client.get("/v1/stock/MUG")).json()
    return shown["on_hand"], shown["available"], shown["in_transit"]


async def agree(bench: Bench) -> None:
    assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []
    assert await bench.database.fetch("SELECT * FROM dead_letter") == []
    assert await in_transit_violations(bench) == []


async def in_transit_violations(bench: Bench) -> list[str]:
    connection = await asyncpg.connect(bench.place.owner_url)
    try:
        return (await in_transit_is_the_ledger(Books({"inventory": connection}))).violations
    finally:
        await connection.close()


async def test_goods_are_in_transit_until_they_are_received(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=10)
    shipped = await ship(bench, MUG=6)
    assert shipped.status_code == 201, shipped.text
    transfer_id = shipped.json()["id"]
    assert await stock(bench) == (4, 4, 6)
    await agree(bench)
    part = await receive(bench, transfer_id, lines=mugs(3, 1), reason="a crate fell")
    assert (part.status_code, part.json()["status"]) == (200, "in_transit"), part.text
    assert await stock(bench) == (7, 7, 2)
    last = await receive(bench, transfer_id, complete=True, reason="not on the pallet")
    assert last.json() == (await bench.client.get(f"/v1/transfers/{transfer_id}")).json()
    (line,) = last.json()["lines"]
    assert line == {"sku": "MUG", "shipped": 6, "in_transit": 0, "arrived": 3, "damaged": 1, "short": 2, "over": 0}
    assert await stock(bench) == (7, 7, 0)
    await agree(bench)


async def test_the_ledger_tells_each_difference_with_its_reason(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=10)
    transfer_id = (await ship(bench, MUG=6)).json()["id"]
    await receive(bench, transfer_id, lines=mugs(7), reason="one too many")
    entries = (await bench.client.get("/v1/stock/MUG/movements")).json()["data"]
    told = [(e["kind"], e["warehouse"], e["on_hand"], e["in_transit"], e["reason"]) for e in entries[:3]]
    assert told == [
        ("transfer_over", "NJ", 1, 0, "one too many"),
        ("transfer_in", "NJ", 6, -6, ""),
        ("transfer_out", "BER", -6, 6, ""),
    ]
    assert {entry["cause"] for entry in entries[:3]} == {transfer_id}
    await agree(bench)


async def test_the_same_key_ships_and_receives_once(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=10)
    first, again = await ship(bench, key="s", MUG=4), await ship(bench, key="s", MUG=4)
    assert first.json() == again.json()
    transfer_id = first.json()["id"]
    for _ in range(2):
        await receive(bench, transfer_id, key="r", lines=mugs(2))
    assert await stock(bench) == (8, 8, 2)
    await agree(bench)


async def test_what_is_reserved_stays(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(placed(1, {"MUG": 3}))
    refused = await ship(bench, MUG=3)
    assert (refused.status_code, refused.json()["code"]) == (409, "stock.not_available")
    assert (await ship(bench, MUG=2)).status_code == 201
    await agree(bench)


async def test_transfers_orders_and_receipts_on_two_replicas_lose_and_double_nothing(
    bench: Bench, adjust: Stock
) -> None:
    await adjust("receipt", MUG=60)
    replicas = [bench, await bench.replica()]
    sent = [(await ship(bench, MUG=3)).json()["id"] for _ in range(5)]
    orders = [bench.envelope(placed(number, {"MUG": 2})) for number in range(1, 31)]
    answers, _ = await asyncio.gather(
        asyncio.gather(
            *(patiently(ship, replicas[turn % 2], MUG=2) for turn in range(20)),
            *(patiently(receive, replicas[turn % 2], sent[turn % 5], lines=mugs(1)) for turn in range(20)),
        ),
        asyncio.gather(*(replicas[turn % 2].settle(orders[turn * 5 : turn * 5 + 5]) for turn in range(6))),
    )
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {200, 201, 409}, [answer.text for answer in answers]
    assert codes[20:].count(200) == 15  # each of the five is received three times, and is then received
    on_hand, _, in_transit = await stock(bench)
    assert on_hand + in_transit == 60
    assert in_transit == 2 * codes[:20].count(201)
    await agree(bench)


async def test_a_store_sees_and_receives_only_its_own(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    transfer_id = (await ship(bench, MUG=2)).json()["id"]
    other = bench.client_of(OTHER_STORE)
    assert (await other.get(f"/v1/transfers/{transfer_id}")).status_code == 404
    answer = await other.post(f"/v1/transfers/{transfer_id}/receipts", json={"lines": mugs(2)})
    assert (answer.status_code, answer.json()["code"]) == (404, "transfer.not_found")
    assert (await other.get("/v1/transfers")).json()["data"] == []


async def test_transfers_are_listed_newest_first(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=9)
    ids = [(await ship(bench, MUG=1)).json()["id"] for _ in range(3)]
    await receive(bench, ids[1], lines=mugs(1))
    first = (await bench.client.get("/v1/transfers?limit=2")).json()
    rest = (await bench.client.get(f"/v1/transfers?after={first['next']}")).json()
    assert [t["id"] for t in first["data"] + rest["data"]] == sorted(ids, reverse=True)
    done = (await bench.client.get("/v1/transfers?status=received")).json()["data"]
    assert [t["id"] for t in done] == [ids[1]]


async def test_what_makes_no_sense_is_refused(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    assert (await ship(bench, destination="BER", MUG=1)).status_code == 422
    assert (await ship(bench, destination="LEM", MUG=1)).json()["code"] == "warehouse.unknown"
    assert (await ship(bench, MUG=0)).status_code == 422
    transfer_id = (await ship(bench, MUG=1)).json()["id"]
    assert (await receive(bench, transfer_id)).status_code == 422
    assert (await receive(bench, transfer_id, complete=True)).json()["code"] == "transfer.reason_missing"
    assert await stock(bench) == (4, 4, 1)


async def test_the_audit_finds_goods_that_got_lost_between_the_books(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await ship(bench, MUG=2)
    await bench.database.execute("UPDATE transfer_line SET short = 1")
    assert len(await in_transit_violations(bench)) == 1
