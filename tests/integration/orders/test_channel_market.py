"""Orders and the sandbox marketplace: a sale there becomes an order here, whatever becomes of its notices, and the channel hears the rest."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from freeport.sandbox.market.app import create_app
from freeport.sandbox.market.settings import Settings
from services.orders.channel_worker import Intake
from services.orders.gateways.order_channel import FetchedOrders, channel_calls
from shared import runtime
from shared.channels.config import SandboxConfig
from shared.channels.opening import open_gateway
from shared.channels.port import ChannelGateway, StockUpdate
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import Parcel
from tests.builders import orders as build
from tests.fixtures.bench import STORE, Bench
from tests.integration.orders.conftest import HASH_KEY

pytestmark = pytest.mark.integration
KEY = "market-key"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = SandboxConfig(
    store=STORE,
    name="bazaar",
    kind="sandbox",
    base_url="http://market.test/channels/bazaar",
    market="DE",
    country="DE",
    currency="EUR",
    key_env="MARKET_KEY",
    webhook_secret_env="MARKET_SECRET",
)


@dataclass
class Fair:
    """The marketplace beside the bench; its notices go to the bench's API."""

    bench: Bench
    http: httpx.AsyncClient
    gateway: ChannelGateway

    async def say(self, method: str, path: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {KEY}"}
        answer = await self.http.request(method, f"{CONFIG.base_url}{path}", json=body or None, headers=headers)
        answer.raise_for_status()
        return answer.json()

    async def buy(self, **more: Any) -> str:
        body = {"sku": "MUG", "quantity": 2, "unit_price_minor": 999, "currency": "EUR", "country": "DE"} | more
        return (await self.say("POST", "/purchases", **body))["external_id"]

    async def read(self) -> int:
        await self.bench.database.execute("UPDATE channel_intake SET next_at = now()")
        source = FetchedOrders(CONFIG, self.gateway, HASH_KEY.encode())
        return await Intake(self.bench.database, self.bench.kit.desk, source).step()

    async def call(self) -> None:
        await self.bench.calls(channel_calls({(STORE, "bazaar"): self.gateway}))

    async def book(self) -> dict[str, Any]:
        return await self.say("GET", "/book")

    async def until_heard(self, orders: int) -> None:
        committed = self.bench.kit.committed.event()
        async with asyncio.timeout(10):
            while await self.bench.database.fetchval("SELECT count(*) FROM orders") < orders:
                await committed.wait()
                committed.clear()


@pytest_asyncio.fixture
async def fair(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Fair]:
    environment = {"MARKET_KEY": KEY, "MARKET_SECRET": SECRET}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("services.orders.channels.configured", lambda: (CONFIG,))
    monkeypatch.setattr("services.orders.channels_api.configured", lambda: (CONFIG,))
    monkeypatch.setattr("services.orders.repository.connected", lambda: frozenset({(STORE, "bazaar")}))
    market = create_app(
        Settings(state_dir=tmp_path, market_key=SecretStr(KEY), market_webhook_secret=SecretStr(SECRET))
    )
    orders = httpx.ASGITransport(runtime.create_app(bench.service, bench.kit))
    async with market.router.lifespan_context(market), httpx.AsyncClient(transport=orders) as notices:
        market.state.hall.sender._client = notices  # the marketplace calls the bench instead of a port
        async with httpx.AsyncClient(transport=httpx.ASGITransport(market)) as http:
            gateway = open_gateway(CONFIG, http, environment)
            await gateway.set_stock([StockUpdate("MUG", 100, 1)])
            yield Fair(bench, http, gateway)


async def test_a_sale_is_pushed_read_again_and_acknowledged_and_is_one_order(fair: Fair) -> None:
    external_id = await fair.buy()
    await fair.until_heard(1)
    assert await fair.read() == 1
    await fair.call()
    (placed,) = await fair.bench.published(OrderPlaced)
    assert (placed.external_id, placed.totals.total.amount) == (external_id, 1_998)
    assert [order["acknowledged"] for order in (await fair.book())["orders"]] == [True]


async def test_sales_whose_notices_were_lost_repeated_and_reordered_are_each_one_order(fair: Fair) -> None:
    await fair.say("PUT", "/behaviour", notices_lost=2, notice_deliveries=3, notices_reordered=True)
    sold = sorted([await fair.buy() for _ in range(6)])
    await fair.until_heard(4)
    await fair.read()
    assert sorted(placed.external_id for placed in await fair.bench.published(OrderPlaced)) == sold


async def test_the_tracking_is_in_the_channels_book_once_however_often_it_is_told(fair: Fair) -> None:
    await fair.say("PUT", "/behaviour", notices_lost=1)
    await fair.buy()
    await fair.read()
    order_id = await fair.bench.database.fetchval("SELECT id FROM orders")
    parcel = Parcel(parcel_id="pcl_1", warehouse="wh", tracking_number="SB1", weight_grams=7, items=build.PLAN)
    await fair.bench.deliver(replace(build.booked(order_id), parcels=(parcel,)), build.dispatched(order_id))
    await fair.call()
    await fair.bench.database.execute("UPDATE outside_call SET done_at = NULL, next_at = now()")
    await fair.call()
    (order,) = (await fair.book())["orders"]
    assert order["state"] == "shipped"
    assert [parcel["tracking_number"] for parcel in order["parcels"]] == ["SB1"]
    assert (await fair.bench.database.fetchval("SELECT facts FROM orders"))["channel_has_tracking"] is True


async def test_a_cancellation_of_the_buyer_there_ends_the_order_here(fair: Fair) -> None:
    await fair.say("PUT", "/behaviour", notices_lost=9)
    external_id = await fair.buy()
    await fair.read()
    await fair.say("POST", f"/purchases/{external_id}/cancel", reason="changed mind")
    await fair.read()
    order_id = await fair.bench.database.fetchval("SELECT id FROM orders")
    await fair.bench.deliver(build.captured(order_id))
    assert await fair.bench.database.fetchval("SELECT status FROM orders") == "cancelled"


async def test_what_the_market_ships_from_its_own_warehouse_is_counted_with_its_end_and_is_no_order_here(
    fair: Fair,
) -> None:
    await fair.say("PUT", "/behaviour", notices_lost=9)
    kept = await fair.buy(fulfilled_by="channel")
    given_back = await fair.buy(fulfilled_by="channel", sku="ONLY-THERE")
    await fair.read()
    await fair.say("POST", f"/purchases/{given_back}/cancel", reason="changed mind")
    await fair.read()
    async with fair.bench.client as client:
        counted = (await client.get("/v1/channels/bazaar/fulfilled-there")).json()["data"]
    assert {order["external_id"]: order["state"] for order in counted} == {kept: "open", given_back: "cancelled"}
    assert {order["total"]["amount"] for order in counted} == {"1998"}
    assert await fair.bench.published(OrderPlaced) == []


async def test_our_cancellation_ends_the_order_there_with_its_reason(fair: Fair) -> None:
    await fair.say("PUT", "/behaviour", notices_lost=9)
    await fair.buy()
    await fair.read()
    order_id = await fair.bench.database.fetchval("SELECT id FROM orders")
    async with fair.bench.client as client:
        body = {"reason": "out_of_stock", "requested_by": "seller"}
        assert (await client.post(f"/v1/orders/{order_id}/cancellation", json=body)).status_code == 202
    await fair.bench.deliver(build.captured(order_id))
    await fair.call()
    (order,) = (await fair.book())["orders"]
    assert (order["state"], order["cancel_reason"]) == ("cancelled", "out_of_stock")
