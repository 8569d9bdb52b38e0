"""The sandbox marketplace, spoken with through its gateway: how it sells, and each way in which it misbehaves."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from freeport.sandbox.market.app import create_app
from freeport.sandbox.market.settings import Settings
from freeport.sandbox.webhooks import WebhookSender
from shared.channels.config import SandboxConfig
from shared.channels.opening import open_gateway
from shared.channels.port import (
    BadSignature,
    ChannelBusy,
    ChannelGateway,
    ChannelRefused,
    ChannelSilent,
    Listing,
    Notice,
    ParcelReport,
    StockLine,
    StockOutcome,
    StockUpdate,
)

KEY = "market-key"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MUG = "MUG-BLUE"


def config(name: str = "bazaar") -> SandboxConfig:
    return SandboxConfig(
        store="str_demo",
        name=name,
        kind="sandbox",
        base_url=f"http://market.test/channels/{name}",
        market="GB",
        country="GB",
        currency="GBP",
        key_env="MARKET_KEY",
        webhook_secret_env="MARKET_SECRET",
    )


@dataclass
class Heard:
    """The seller's side: notices as they came, verified by the gateway."""

    pushed: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: Request) -> Response:
        self.pushed.append((dict(request.headers), await request.body()))
        self.changed.set()
        return Response(status_code=204)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.pushed) < count:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Market:
    http: httpx.AsyncClient
    heard: Heard

    def gateway(self, name: str = "bazaar", key: str = KEY) -> ChannelGateway:
        return open_gateway(config(name), self.http, {"MARKET_KEY": key, "MARKET_SECRET": SECRET})

    async def post(self, path: str, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEY}"}
        return await self.http.post(f"http://market.test/channels/bazaar{path}", json=body, headers=headers)

    async def buy(self, quantity: int = 1, **more: Any) -> str:
        answer = await self.post("/purchases", sku=MUG, quantity=quantity, **more)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["external_id"]

    async def behave(self, **behaviour: Any) -> None:
        headers = {"authorization": f"Bearer {KEY}"}
        url = "http://market.test/channels/bazaar/behaviour"
        (await self.http.put(url, json=behaviour, headers=headers)).raise_for_status()

    def notices(self) -> list[Notice]:
        gateway = self.gateway()
        return [gateway.verify(headers, body, datetime.now(UTC)) for headers, body in self.heard.pushed]


@asynccontextmanager
async def opened(directory: Path) -> AsyncGenerator[Market]:
    heard = Heard()
    listener = FastAPI()
    listener.add_api_route("/v1/channels/bazaar/notices", heard.receive, methods=["POST"])
    app = create_app(Settings(state_dir=directory, market_key=SecretStr(KEY), market_webhook_secret=SecretStr(SECRET)))
    async with app.router.lifespan_context(app):
        sender: WebhookSender = app.state.hall.sender
        sender._client = httpx.AsyncClient(transport=httpx.ASGITransport(listener))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
            yield Market(http, heard)


@pytest.fixture
async def market(tmp_path: Path) -> AsyncGenerator[Market]:
    async with opened(tmp_path) as found:
        yield found


async def stocked(market: Market, quantity: int = 5, version: int = 10) -> ChannelGateway:
    gateway = market.gateway()
    (outcome,) = await gateway.set_stock([StockUpdate(MUG, quantity, version)])
    assert outcome.result == "applied"
    return gateway


async def shown(gateway: ChannelGateway) -> list[StockLine]:
    return list((await gateway.read_stock()).lines)


async def test_an_older_version_is_stale_and_never_applied(market: Market) -> None:
    gateway = await stocked(market)
    (outcome,) = await gateway.set_stock([StockUpdate(MUG, 99, 9)])
    assert outcome.result == "stale"
    assert await shown(gateway) == [StockLine(MUG, 5, 10)]


async def test_the_same_version_again_does_not_give_back_what_was_sold_since(market: Market) -> None:
    gateway = await stocked(market)
    await market.buy(2)
    (outcome,) = await gateway.set_stock([StockUpdate(MUG, 5, 10)])
    assert outcome.result == "applied"
    assert await shown(gateway) == [StockLine(MUG, 3, 10)]


async def test_it_sells_what_it_has_not_heard_is_gone_and_no_more_than_it_knows_of(market: Market) -> None:
    await stocked(market, quantity=2)
    await market.buy(2)
    refused = await market.post("/purchases", sku=MUG)
    assert (refused.status_code, refused.json()["code"]) == (409, "sold_out")


async def test_two_channels_told_of_the_last_unit_both_sell_it(market: Market) -> None:
    for name in ("bazaar", "souk"):
        await market.gateway(name).set_stock([StockUpdate(MUG, 1, 1)])
        headers = {"authorization": f"Bearer {KEY}"}
        url = f"http://market.test/channels/{name}/purchases"
        assert (await market.http.post(url, json={"sku": MUG}, headers=headers)).status_code == 201


async def test_a_purchase_with_a_key_is_made_once(market: Market) -> None:
    gateway = await stocked(market)
    assert await market.buy(key="k1") == await market.buy(key="k1")
    assert await shown(gateway) == [StockLine(MUG, 4, 10)]


async def test_a_feed_is_pending_and_sells_by_the_old_stock_until_it_is_in_effect(market: Market) -> None:
    gateway = await stocked(market, quantity=1)
    await market.behave(feed_s=0.4)
    (pending,) = await gateway.set_stock([StockUpdate(MUG, 0, 11)])
    assert pending.result == "pending"
    assert await gateway.feed_outcomes(pending.feed) is None
    await market.buy()
    outcomes = await outcomes_of(gateway, pending.feed)
    assert [(one.sku, one.version, one.result) for one in outcomes] == [(MUG, 11, "applied")]
    assert await shown(gateway) == [StockLine(MUG, 0, 11)]


async def test_a_feed_that_nobody_made_is_refused(market: Market) -> None:
    with pytest.raises(ChannelRefused, match=r"feed\.not_found"):
        await market.gateway().feed_outcomes("7")


async def test_too_many_calls_are_busy_and_say_for_how_long(market: Market) -> None:
    gateway = await stocked(market)
    await market.behave(calls_per_s=0.5)
    await gateway.read_stock()
    with pytest.raises(ChannelBusy) as busy:
        await gateway.set_stock([StockUpdate(MUG, 1, 11)])
    assert 0 < busy.value.retry_after_s <= 2
    await market.behave()
    assert await shown(gateway) == [StockLine(MUG, 5, 10)]


async def test_a_lost_answer_is_silence_after_which_the_same_again_is_harmless(market: Market) -> None:
    gateway = await stocked(market)
    await market.behave(unanswered=1)
    with pytest.raises(ChannelSilent):
        await gateway.set_stock([StockUpdate(MUG, 1, 11)])
    (again,) = await gateway.set_stock([StockUpdate(MUG, 1, 11)])
    assert again.result == "applied"
    assert await shown(gateway) == [StockLine(MUG, 1, 11)]


async def test_a_slow_channel_answers_late(market: Market) -> None:
    gateway = await stocked(market)
    await market.behave(delay_s=0.2)
    began = asyncio.get_running_loop().time()
    await gateway.read_stock()
    assert asyncio.get_running_loop().time() - began >= 0.2


async def test_a_refused_sku_refuses_its_listing_and_its_stock_and_no_other(market: Market) -> None:
    gateway = market.gateway()
    await market.behave(refused_skus=[MUG])
    listed = await gateway.publish([Listing(MUG, "Mug", 1299, "GBP"), Listing("CUP", "Cup", 999, "GBP")])
    assert [one.result for one in listed] == ["refused", "applied"]
    told = await gateway.set_stock([StockUpdate(MUG, 1, 1), StockUpdate("CUP", 1, 1)])
    assert [one.result for one in told] == ["refused", "applied"]


async def test_what_is_withdrawn_is_not_sold_until_it_is_published_again(market: Market) -> None:
    gateway = await stocked(market)
    await gateway.publish([Listing(MUG, "Mug", 1299, "GBP")])
    await gateway.withdraw([MUG])
    assert (await market.post("/purchases", sku=MUG)).json()["code"] == "listing.withdrawn"
    await gateway.publish([Listing(MUG, "Mug", 1299, "GBP")])
    await market.buy()


async def test_stock_is_read_page_by_page_to_the_end(market: Market) -> None:
    gateway = market.gateway()
    for begin in (0, 1000, 2000):
        await gateway.set_stock([StockUpdate(f"SKU-{n:04d}", n, 1) for n in range(begin, min(begin + 1000, 2500))])
    found, cursor = [], None
    while True:
        page = await gateway.read_stock(cursor)
        found += page.lines
        cursor = page.next
        if cursor is None:
            break
    assert found == [StockLine(f"SKU-{n:04d}", n, 1) for n in range(2500)]


async def test_orders_are_fetched_in_the_order_of_their_changes(market: Market) -> None:
    gateway = await stocked(market)
    first, second = await market.buy(unit_price_minor=1299, currency="GBP"), await market.buy()
    page = await gateway.fetch_orders()
    assert [order.external_id for order in page.orders] == [first, second]
    assert (page.orders[0].currency, page.orders[0].lines[0].unit_price_minor) == ("GBP", 1299)
    assert (await gateway.fetch_orders(page.next)).orders == []
    (await market.post(f"/purchases/{first}/cancel", reason="buyer changed their mind")).raise_for_status()
    later = await gateway.fetch_orders(page.next)
    assert [(order.external_id, order.state) for order in later.orders] == [(first, "cancelled")]


async def test_an_order_that_the_marketplace_fulfils_takes_none_of_the_sellers_stock(market: Market) -> None:
    gateway = await stocked(market)
    await market.buy(fulfilled_by="channel")
    assert (await gateway.fetch_orders()).orders[0].fulfilled_by == "channel"
    assert await shown(gateway) == [StockLine(MUG, 5, 10)]


async def test_notices_come_signed_and_say_what_fetching_says(market: Market) -> None:
    gateway = await stocked(market)
    await market.buy(ship_by_s=3600)
    await market.heard.until(1)
    (notice,) = market.notices()
    assert [notice.order] == list((await gateway.fetch_orders()).orders)
    assert notice.order.ship_by is not None


async def test_a_notice_is_heard_twice_under_one_id(market: Market) -> None:
    await stocked(market)
    await market.behave(notice_deliveries=2)
    await market.buy()
    await market.heard.until(2)
    assert len({notice.id for notice in market.notices()}) == 1


async def test_a_newer_notice_overtakes_an_older_one(market: Market) -> None:
    await stocked(market)
    await market.behave(notices_reordered=True)
    first, second = await market.buy(), await market.buy()
    await market.heard.until(2)
    assert [notice.order.external_id for notice in market.notices()] == [second, first]


async def test_a_lost_notice_is_never_heard_and_its_order_can_be_fetched(market: Market) -> None:
    gateway = await stocked(market)
    await market.behave(notices_lost=1)
    lost, told = await market.buy(), await market.buy()
    await market.heard.until(1)
    assert [notice.order.external_id for notice in market.notices()] == [told]
    assert [order.external_id for order in (await gateway.fetch_orders()).orders] == [lost, told]


async def test_a_notice_that_is_altered_old_or_another_channels_is_refused(market: Market) -> None:
    gateway = await stocked(market)
    await market.buy()
    await market.heard.until(1)
    headers, body = market.heard.pushed[0]
    now = datetime.now(UTC)
    for bad in (
        lambda: gateway.verify(headers, body.replace(b"MUG", b"CUP"), now),
        lambda: gateway.verify(headers, body, now + timedelta(minutes=6)),
        lambda: gateway.verify({}, body, now),
        lambda: gateway.verify(headers | {"webhook-timestamp": "nan"}, body, now),
        lambda: gateway.verify(headers | {"webhook-timestamp": "9" * 400}, body, now),
        lambda: market.gateway("souk").verify(headers, body, now),
    ):
        check: Callable[[], Notice] = bad
        with pytest.raises(BadSignature):
            check()


async def test_a_parcel_is_reported_once_and_then_the_order_cannot_be_cancelled(market: Market) -> None:
    gateway = await stocked(market)
    order = await market.buy()
    parcel = ParcelReport(carrier="post", tracking_number="LX1", lines={MUG: 1}, shipped_at=datetime.now(UTC))
    await gateway.acknowledge([order])
    await gateway.report_shipment(order, parcel)
    await gateway.report_shipment(order, parcel)
    with pytest.raises(ChannelRefused, match=r"order\.shipped"):
        await gateway.cancel(order, "too late")
    book = await book_of(market)
    assert [each["tracking_number"] for each in book["orders"][0]["parcels"]] == ["LX1"]
    assert book["orders"][0]["acknowledged"] is True


async def test_money_goes_back_once_for_each_key_and_never_more_than_was_paid(market: Market) -> None:
    gateway = await stocked(market)
    order = await market.buy(unit_price_minor=1000)
    await gateway.refund(order, 600, "rfd_1")
    await gateway.refund(order, 600, "rfd_1")
    with pytest.raises(ChannelRefused, match=r"refund\.too_much"):
        await gateway.refund(order, 600, "rfd_2")
    assert [(each["key"], each["amount"]) for each in (await book_of(market))["refunds"]] == [("rfd_1", 600)]


async def test_a_wrong_key_is_refused_and_is_in_no_message(market: Market) -> None:
    with pytest.raises(ChannelRefused) as refused:
        await market.gateway(key="not-this-one").read_stock()
    assert refused.value.code == "401"
    assert "not-this-one" not in str(refused.value)


async def test_the_book_outlives_the_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as before:
        await stocked(before)
        order = await before.buy()
    async with opened(tmp_path) as after:
        assert await shown(after.gateway()) == [StockLine(MUG, 4, 10)]
        assert [each.external_id for each in (await after.gateway().fetch_orders()).orders] == [order]


async def book_of(market: Market) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {KEY}"}
    return json.loads((await market.http.get("http://market.test/channels/bazaar/book", headers=headers)).content)


async def outcomes_of(gateway: ChannelGateway, feed: str) -> Sequence[StockOutcome]:
    async with asyncio.timeout(10):
        while True:
            if (outcomes := await gateway.feed_outcomes(feed)) is not None:
                return outcomes
            await asyncio.sleep(0.05)
