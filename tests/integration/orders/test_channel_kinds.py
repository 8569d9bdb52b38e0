"""Notices of every kind of channel come in by the same door, each known by its own signature."""

import base64
import hmac
import json
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.orders import channel_settings
from shared.contracts.orders import OrderPlaced
from tests.fixtures.bench import OTHER_STORE, STORE, Bench

pytestmark = pytest.mark.integration
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
CLIENT_SECRET = "client-secret-invented"
PLACED = datetime(2026, 11, 24, 9, tzinfo=UTC)


def a_channel(store: str, kind: str, secret: str, more: str = "") -> str:
    return f"""
[[channel]]
store = "{store}"
name = "shop"
kind = "{kind}"
base_url = "http://127.0.0.1:1/nobody"
market = "DE"
country = "DE"
currency = "EUR"
webhook_secret_env = "{secret}"
{more}
"""


@pytest.fixture(autouse=True)
def two_stores_with_a_shop_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    shopify = a_channel(
        OTHER_STORE, "shopify", "SHOPIFY_SECRET", 'key_env = "SHOPIFY_KEY"\nlocation_id = "gid://shopify/Location/7"'
    )
    file = tmp_path / "channels.toml"
    file.write_text(a_channel(STORE, "webhook", "SHOP_SECRET") + shopify)
    monkeypatch.setenv("FREEPORT_CHANNELS_FILE", str(file))
    for name, value in {"SHOP_SECRET": SECRET, "SHOPIFY_SECRET": CLIENT_SECRET, "SHOPIFY_KEY": "token"}.items():
        monkeypatch.setenv(name, value)
    _forget()
    yield
    _forget()


def _forget() -> None:
    channel_settings.configured.cache_clear()
    channel_settings.connected.cache_clear()


def from_an_integration() -> tuple[dict[str, str], bytes]:
    order: dict[str, Any] = {
        "external_id": "W-1",
        "state": "open",
        "placed_at": PLACED.isoformat(),
        "updated_at": PLACED.isoformat(),
        "currency": "EUR",
        "country": "DE",
        "postcode": "10557",
        "lines": [{"sku": "MUG", "quantity": 2, "unit_price_minor": 999}],
    }
    body, now = json.dumps({"type": "order.changed", "data": order}).encode(), datetime.now(UTC)
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", now, body.decode()),
    }, body


def from_shopify() -> tuple[dict[str, str], bytes]:
    order: dict[str, Any] = {
        "admin_graphql_api_id": "gid://shopify/Order/1001",
        "created_at": PLACED.isoformat(),
        "updated_at": PLACED.isoformat(),
        "currency": "EUR",
        "taxes_included": True,
        "financial_status": "paid",
        "total_shipping_price_set": {"shop_money": {"amount": "0.00"}},
        "shipping_address": {"city": "Berlin", "zip": "10557", "country_code": "DE"},
        "line_items": [{"id": 1, "sku": "MUG", "quantity": 2, "requires_shipping": True, "price": "9.99"}],
    }
    body = json.dumps(order).encode()
    digest = hmac.digest(CLIENT_SECRET.encode(), body, "sha256")
    return {"x-shopify-hmac-sha256": base64.b64encode(digest).decode(), "x-shopify-topic": "orders/paid"}, body


async def test_each_notice_comes_to_the_store_whose_channel_signed_it(bench: Bench) -> None:
    async with bench.client_of(None) as client:
        for headers, body in (from_an_integration(), from_shopify(), from_shopify()):
            answer = await client.post("/v1/channels/shop/notices", content=body, headers=headers)
            assert answer.status_code == 202, answer.text
    placed = await bench.published(OrderPlaced)
    assert {(each.store_id, each.channel, each.external_id) for each in placed} == {(STORE, "shop", "W-1")}
    # The other store has no such goods: it keeps what it could not take in.
    refused = await bench.database.fetch("SELECT store_id, external_id, code FROM channel_refusal")
    assert [tuple(row) for row in refused] == [(OTHER_STORE, "1001", "product.unknown")]


async def test_no_kind_believes_what_another_signed(bench: Bench) -> None:
    (ours, order), (theirs, paid) = from_an_integration(), from_shopify()
    async with bench.client_of(None) as client:
        for headers, body in ((ours, paid), (theirs, order), ({}, order)):
            answer = await client.post("/v1/channels/shop/notices", content=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "webhook.signature")
    assert await bench.published(OrderPlaced) == []
