"""A seller's own integration: what it is told, what it may answer, and which of its notices are believed."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from shared.channels import calls
from shared.channels.config import ChannelConfigError, WebhookConfig
from shared.channels.opening import open_gateway
from shared.channels.port import (
    BadSignature,
    ChannelBusy,
    ChannelGateway,
    ChannelLine,
    ChannelRefused,
    ChannelSilent,
    Listing,
    ListingOutcome,
    OrderPage,
    ParcelReport,
    StockLine,
    StockOutcome,
    StockPage,
    StockUpdate,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = WebhookConfig(
    store="str_demo",
    name="shop",
    kind="webhook",
    base_url="https://shop.test/freeport",
    market="GB",
    country="GB",
    currency="GBP",
    webhook_secret_env="SHOP_SECRET",
)
ORDER: dict[str, Any] = {
    "external_id": "W-1001",
    "state": "open",
    "placed_at": "2026-11-24T12:00:00Z",
    "updated_at": "2026-11-24T12:01:00Z",
    "currency": "GBP",
    "country": "GB",
    "lines": [{"sku": "MUG-BLUE", "quantity": 2, "unit_price_minor": 1299, "tax_minor": 433}],
    "shipping_minor": 350,
    "name": "A. Buyer",
    "line1": "1 Example Street",
    "city": "Leeds",
    "postcode": "LS1 1AA",
}
UPDATE = StockUpdate("MUG-BLUE", 7, 42)

Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def opened(http: httpx.AsyncClient) -> ChannelGateway:
    return open_gateway(CONFIG, http, {"SHOP_SECRET": SECRET})


class Integration:
    """Answers every message alike, and keeps what it heard, its signature checked as the seller would."""

    def __init__(self, status: int = 204, said: Any = None, headers: dict[str, str] | None = None) -> None:
        self.status, self.said, self.headers = status, said, headers
        self.heard: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        message = Webhook(SECRET).verify(request.content, dict(request.headers))
        assert (request.method, str(request.url)) == ("POST", CONFIG.base_url)
        self.heard.append((request.headers["webhook-id"], message["type"], message["data"]))
        if self.said is None:
            return httpx.Response(self.status, headers=self.headers)
        return httpx.Response(self.status, json=self.said, headers=self.headers)

    async def told(self, tell: Callable[[ChannelGateway], Awaitable[Any]]) -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
            return await tell(opened(http))


async def test_a_signed_message_tells_the_stock_and_an_empty_answer_takes_all_of_it() -> None:
    there = Integration()
    said = await there.told(lambda channel: channel.set_stock([UPDATE]))
    assert said == [StockOutcome("MUG-BLUE", 42, "applied")]
    ((_, kind, data),) = there.heard
    assert (kind, data) == ("stock.set", {"updates": [{"sku": "MUG-BLUE", "quantity": 7, "version": 42}]})


async def test_what_the_answer_names_is_as_it_says_and_the_rest_is_applied() -> None:
    said = {"outcomes": [{"sku": "CUP", "result": "refused", "detail": "unknown"}, {"sku": "JUG", "result": "stale"}]}
    updates = [StockUpdate("CUP", 1, 1), StockUpdate("JUG", 2, 2), UPDATE]
    assert await Integration(200, said).told(lambda channel: channel.set_stock(updates)) == [
        StockOutcome("CUP", 1, "refused", "unknown"),
        StockOutcome("JUG", 2, "stale"),
        StockOutcome("MUG-BLUE", 42, "applied"),
    ]


async def test_a_fact_told_again_has_the_same_id_and_another_fact_another() -> None:
    there = Integration()
    for update in (UPDATE, UPDATE, StockUpdate("MUG-BLUE", 7, 43)):
        await there.told(lambda channel, update=update: channel.set_stock([update]))
    first, again, newer = [message_id for message_id, _, _ in there.heard]
    assert first == again != newer


async def test_a_price_that_goes_back_is_no_repetition() -> None:
    there = Integration()
    for price in (900, 800, 900):
        listing = Listing("MUG-BLUE", "A mug", price, "GBP")
        said = await there.told(lambda channel, listing=listing: channel.publish([listing]))
        assert said == [ListingOutcome("MUG-BLUE", "applied")]
    assert len({message_id for message_id, _, _ in there.heard}) == 3
    assert there.heard[0][1:] == (
        "listing.publish",
        {"listings": [{"sku": "MUG-BLUE", "title": "A mug", "price_minor": 900, "currency": "GBP"}]},
    )


async def test_a_listing_may_be_refused() -> None:
    said = {"outcomes": [{"sku": "CUP", "result": "refused", "detail": "no picture"}]}
    there = Integration(200, said)
    assert await there.told(lambda channel: channel.withdraw(["CUP", "JUG"])) == [
        ListingOutcome("CUP", "refused", "no picture"),
        ListingOutcome("JUG", "applied"),
    ]
    assert there.heard[0][1:] == ("listing.withdraw", {"skus": ["CUP", "JUG"]})


async def test_its_stock_is_read_page_by_page() -> None:
    there = Integration(200, {"lines": [{"sku": "CUP", "quantity": 3}, {"sku": "MUG", "quantity": 0}], "next": "MUG"})
    page = await there.told(lambda channel: channel.read_stock("BOWL"))
    assert page == StockPage([StockLine("CUP", 3), StockLine("MUG", 0)], "MUG")
    assert there.heard[0][1:] == ("stock.read", {"after": "BOWL"})


@pytest.mark.parametrize(
    "said",
    [
        None,
        {"lines": [{"sku": "b", "quantity": 1}, {"sku": "a", "quantity": 1}], "next": None},
        {"lines": [{"sku": "a", "quantity": -1}], "next": None},
        {"next": None},
    ],
)
async def test_stock_that_cannot_be_compared_is_no_answer(said: Any) -> None:
    with pytest.raises(ChannelSilent):
        await Integration(200, said).told(lambda channel: channel.read_stock())


async def test_orders_can_be_fetched_from_one_that_keeps_them() -> None:
    there = Integration(200, {"orders": [ORDER], "next": "2"})
    page = await there.told(lambda channel: channel.fetch_orders("1"))
    assert there.heard[0][1:] == ("order.read", {"after": "1"})
    assert page.next == "2"
    (order,) = page.orders
    assert (order.external_id, order.placed_at) == ("W-1001", datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert order.lines == (ChannelLine("MUG-BLUE", 2, 1299, 433),)
    assert (order.name, order.city, order.shipping_minor) == ("A. Buyer", "Leeds", 350)


async def test_one_that_only_pushes_has_nothing_to_fetch() -> None:
    assert await Integration(204).told(lambda channel: channel.fetch_orders("1")) == OrderPage([], "1")


async def test_an_order_is_acknowledged_shipped_cancelled_and_refunded() -> None:
    there = Integration()
    parcel = ParcelReport(
        carrier="acme",
        tracking_number="T1",
        lines={"MUG-BLUE": 2},
        shipped_at=datetime(2026, 11, 24, 15, tzinfo=UTC),
    )
    await there.told(lambda channel: channel.acknowledge(["W-1001"]))
    await there.told(lambda channel: channel.report_shipment("W-1001", parcel))
    await there.told(lambda channel: channel.cancel("W-1001", "out_of_stock"))
    await there.told(lambda channel: channel.refund("W-1001", 500, "rfd_1"))
    assert [heard[1:] for heard in there.heard] == [
        ("order.acknowledge", {"external_ids": ["W-1001"]}),
        (
            "order.ship",
            {
                "external_id": "W-1001",
                "carrier": "acme",
                "tracking_number": "T1",
                "lines": {"MUG-BLUE": 2},
                "shipped_at": "2026-11-24T15:00:00+00:00",
            },
        ),
        ("order.cancel", {"external_id": "W-1001", "reason": "out_of_stock"}),
        ("order.refund", {"external_id": "W-1001", "amount_minor": 500, "key": "rfd_1"}),
    ]


async def test_it_may_be_busy_and_it_may_refuse() -> None:
    with pytest.raises(ChannelBusy) as busy:
        await Integration(429, headers={"retry-after": "3"}).told(lambda channel: channel.set_stock([UPDATE]))
    assert busy.value.retry_after_s == 3
    said = {"code": "order.shipped", "detail": "it left"}
    with pytest.raises(ChannelRefused, match=r"order\.shipped: it left"):
        await Integration(409, said).told(lambda channel: channel.cancel("W-1001", "x"))


async def test_one_that_never_answers_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(calls, "WITHIN_S", 0.05)
    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        with pytest.raises(ChannelSilent) as silent:
            await opened(http).set_stock([UPDATE])
    assert SECRET.removeprefix("whsec_") not in repr(silent.value)


async def test_it_has_no_feeds() -> None:
    with pytest.raises(ChannelRefused, match=r"feed\.unknown"):
        await Integration().told(lambda channel: channel.feed_outcomes("f"))


def notice(
    at: datetime, secret: str = SECRET, kind: str = "order.changed", **changed: Any
) -> tuple[dict[str, str], bytes]:
    body = json.dumps({"type": kind, "data": {**ORDER, **changed}}).encode()
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    headers = {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(at.timestamp())), "Webhook-Signature": signature}
    return headers, body


async def verify(headers: dict[str, str], body: bytes, now: datetime) -> Any:
    async with httpx.AsyncClient() as nobody_is_called:
        return opened(nobody_is_called).verify(headers, body, now)


async def test_a_signed_notice_is_an_order() -> None:
    now = datetime.now(UTC)
    heard = await verify(*notice(now, state="cancelled", cancel_reason="changed_mind"), now)
    assert heard.id == "msg_1"
    assert (heard.order.state, heard.order.cancel_reason) == ("cancelled", "changed_mind")


async def test_what_is_not_signed_by_it_now_and_whole_is_not_believed() -> None:
    now = datetime.now(UTC)
    headers, body = notice(now)
    wrong = [
        ({}, body, now),
        (headers, body.replace(b"1299", b"1"), now),
        ({**headers, "Webhook-Id": "msg_2"}, body, now),
        ({**headers, "Webhook-Timestamp": "nan"}, body, now),
        ({**headers, "Webhook-Signature": "v1,%%%"}, body, now),
        (headers, body, now + timedelta(minutes=6)),
        (headers, body + b" " * 65536, now),
        (headers, b"\xff", now),
        (*notice(now - timedelta(minutes=6)), now),
        (*notice(now, "whsec_" + "A" * 32), now),
    ]
    for each in wrong:
        with pytest.raises(BadSignature):
            await verify(*each)


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "stock.set"},
        {"lines": []},
        {"state": "lost"},
        {"placed_at": "2026-11-24T12:00:00"},
        {"shipping_minor": -1},
        {"currency": "pounds"},
        {"external_id": ""},
        {"lines": [{"sku": "MUG-BLUE", "quantity": 0, "unit_price_minor": 1}]},
    ],
)
async def test_a_signed_body_that_is_no_order_is_no_notice(changed: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    with pytest.raises(BadSignature):
        await verify(*notice(now, **changed), now)


async def test_a_secret_that_cannot_be_one_is_named_and_not_shown() -> None:
    async with httpx.AsyncClient() as http:
        for secret in ("whsec_a", "whsec_%", "whsec_ä"):
            with pytest.raises(ChannelConfigError, match="str_demo/shop") as refused:
                open_gateway(CONFIG, http, {"SHOP_SECRET": secret})
            assert secret not in str(refused.value)
