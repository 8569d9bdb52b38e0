"""The feed, the gateway and the sandbox marketplace together: a channel that limits calls, loses answers and works by feeds."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from freeport.sandbox.market.app import create_app
from freeport.sandbox.market.settings import Settings as MarketSettings
from services.inventory.feed_connections import connection, told_channels
from services.inventory.feed_worker import tell_channels
from tests.fixtures.bench import Bench

pytestmark = pytest.mark.integration

Adjust = Callable[..., Awaitable[dict[str, Any]]]
HEADERS = {"authorization": "Bearer market-key"}
FILE = """
[[channel]]
store = "str_demo"
name = "bazaar"
kind = "sandbox"
base_url = "http://market/channels/bazaar"
market = "GB"
country = "GB"
currency = "GBP"
calls_per_s = 15
batch_size = 5
objective_s = 2
key_env = "BAZAAR_KEY"
webhook_secret_env = "BAZAAR_WEBHOOK_SECRET"

[[channel]]
store = "str_demo"
name = "their-warehouse"
kind = "sandbox"
base_url = "http://market/channels/theirs"
market = "GB"
country = "GB"
currency = "GBP"
fulfilment = "channel"
key_env = "BAZAAR_KEY"
webhook_secret_env = "BAZAAR_WEBHOOK_SECRET"
"""


@pytest_asyncio.fixture
async def market(tmp_path: Path) -> AsyncGenerator[httpx.AsyncClient]:
    settings = MarketSettings(
        state_dir=tmp_path, market_key=SecretStr("market-key"), market_webhook_secret=SecretStr("whsec_bWFya2V0")
    )
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://market", headers=HEADERS) as client,
    ):
        yield client


@pytest.mark.parametrize(
    "behaviour",
    [{}, {"calls_per_s": 10, "unanswered": 3}, {"feed_s": 0.3}, {"delay_s": 0.2, "unanswered": 1}],
    ids=["well-behaved", "limits calls and loses answers", "works by feeds", "slow"],
)
async def test_the_marketplace_ends_up_showing_what_is_in_stock(
    bench: Bench,
    adjust: Adjust,
    market: httpx.AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: dict[str, Any],
) -> None:
    monkeypatch.setenv("BAZAAR_KEY", "market-key")
    monkeypatch.setenv("BAZAAR_WEBHOOK_SECRET", "whsec_bWFya2V0")
    file = tmp_path / "channels.toml"
    file.write_text(FILE)
    (bazaar,) = told_channels(file)  # the other one sells from its own warehouse
    await list_goods(market)
    assert (await market.put("/channels/bazaar/behaviour", json=behaviour)).is_success
    await adjust("receipt", **{f"SKU{n:02}": 10 for n in range(20)})
    telling = asyncio.create_task(
        tell_channels(bench.database, [connection(bazaar, market)], bench.kit.committed.event)
    )
    for count in (7, 3, 0, 4):
        await adjust("count", SKU01=count)
    expected = {f"SKU{n:02}": 10 for n in range(20)} | {"SKU01": 4}
    async with asyncio.timeout(20):
        while True:
            await bench.overdue()
            book = (await market.get("/channels/bazaar/book")).json()
            unsettled = await bench.database.fetchval(
                "SELECT count(*) FROM channel_offer WHERE acked_version < version"
            )
            if {line["sku"]: line["quantity"] for line in book["stock"]} == expected and not unsettled:
                break
            await asyncio.sleep(0.05)
    telling.cancel()
    await asyncio.wait([telling], timeout=5)
    versions = await bench.database.fetch("SELECT sku, version FROM channel_offer ORDER BY sku")
    assert [tuple(row) for row in versions] == [(line["sku"], line["version"]) for line in book["stock"]]


async def list_goods(market: httpx.AsyncClient) -> None:
    listings = [{"sku": f"SKU{n:02}", "title": "A thing", "price_minor": 100, "currency": "GBP"} for n in range(20)]
    answer = await market.post("/channels/bazaar/listings", json={"listings": listings})
    assert answer.is_success, answer.text


@pytest.mark.parametrize("lost", ["all of it", "a backup of ours with newer versions", "a sale that nobody told us of"])
async def test_a_resync_after_the_marketplace_lost_its_stock_book_ends_with_two_equal_sides(
    bench: Bench,
    adjust: Adjust,
    market: httpx.AsyncClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    monkeypatch.setenv("BAZAAR_KEY", "market-key")
    monkeypatch.setenv("BAZAAR_WEBHOOK_SECRET", "whsec_bWFya2V0")
    file = tmp_path / "channels.toml"
    file.write_text(FILE.replace("calls_per_s = 15", "calls_per_s = 100"))
    (bazaar,) = told_channels(file)
    await list_goods(market)
    await adjust("receipt", **{f"SKU{n:02}": n + 1 for n in range(20)})
    expected = [(f"SKU{n:02}", n + 1) for n in range(20)]
    telling = asyncio.create_task(
        tell_channels(bench.database, [connection(bazaar, market)], bench.kit.committed.event)
    )

    async def until(fact: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await fact():
                await bench.overdue()
                await asyncio.sleep(0.05)

    async def book() -> list[tuple[str, int]]:
        stock = (await market.get("/channels/bazaar/book")).json()["stock"]
        return [(line["sku"], line["quantity"]) for line in stock]

    async def ours() -> list[tuple[str, int]]:
        rows = await bench.database.fetch(
            "SELECT sku, acked_quantity FROM channel_offer WHERE acked_version = version ORDER BY sku"
        )
        return [(row["sku"], row["acked_quantity"]) for row in rows]

    async def compare(*, dry_run: bool) -> dict[str, Any]:
        asked = await bench.client.post("/v1/channels/bazaar/resync", json={"dry_run": dry_run})
        assert asked.status_code == 202
        found: dict[str, Any] = {}

        async def finished() -> bool:
            found.update((await bench.client.get(asked.headers["Location"])).json())
            return found["state"] == "finished"

        await until(finished)
        return found

    async def both_are(quantities: list[tuple[str, int]]) -> bool:
        return await book() == quantities == await ours()

    await until(lambda: both_are(expected))
    with closing(sqlite3.connect(tmp_path / "market.sqlite3")) as behind_our_back, behind_our_back:
        if lost == "all of it":
            behind_our_back.execute("DELETE FROM stock")
        elif lost == "a sale that nobody told us of":
            behind_our_back.execute("UPDATE stock SET quantity = quantity - 1 WHERE sku IN ('SKU03', 'SKU07')")
        else:
            behind_our_back.execute(
                "UPDATE stock SET quantity = 99, version = version + 1000000000 WHERE sku < 'SKU05'"
            )
    differing = {"all of it": 20, "a sale that nobody told us of": 2}.get(lost, 5)
    assert await book() != await ours() == expected

    dry = await compare(dry_run=True)
    assert (dry["equal"], dry["differences"], len(dry["first"])) == (False, differing, differing)
    assert await book() != expected
    mended = await compare(dry_run=False)
    assert (mended["equal"], mended["differences"], mended["still_different"]) == (True, differing, 0)
    assert await both_are(expected)
    assert (await compare(dry_run=True))["equal"]
    telling.cancel()
    await asyncio.wait([telling], timeout=5)
