"""What a channel pushes: signed, twice, reordered, and found by reading as well."""

import json
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from services.orders import channel_settings
from services.orders.channel_worker import Intake, Shown
from services.orders.gateways.order_channel import shown
from shared.channels.port import ChannelLine, ChannelOrder
from shared.contracts.orders import OrderPlaced
from tests.fixtures.bench import OTHER_STORE, STORE, Bench

pytestmark = pytest.mark.integration
SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
FILE = f"""
[[channel]]
store = "{STORE}"
name = "bazaar"
kind = "sandbox"
base_url = "http://127.0.0.1:1/channels/bazaar"
market = "DE"
country = "DE"
currency = "EUR"
key_env = "BAZAAR_KEY"
webhook_secret_env = "BAZAAR_SECRET"
"""


@pytest.fixture(autouse=True)
def a_configured_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    file = tmp_path / "channels.toml"
    file.write_text(FILE)
    monkeypatch.setenv("FREEPORT_CHANNELS_FILE", str(file))
    monkeypatch.setenv("BAZAAR_KEY", "key")
    monkeypatch.setenv("BAZAAR_SECRET", SECRET)
    _forget()
    yield
    _forget()


def _forget() -> None:
    channel_settings.configured.cache_clear()
    channel_settings.connected.cache_clear()


def a_notice(external_id: str = "1", **changes: Any) -> bytes:
    order: dict[str, Any] = {
        "external_id": external_id,
        "channel": "bazaar",
        "state": "open",
        "placed_at": "2026-11-24T09:00:00Z",
        "updated_at": "2026-11-24T09:00:00Z",
        "currency": "EUR",
        "country": "DE",
        "postcode": "10557",
        "lines": [{"sku": "MUG", "quantity": 2, "unit_price_minor": 999}],
    }
    return json.dumps({"data": order | changes}).encode()


async def push(
    bench: Bench, body: bytes, notice_id: str = "ntc_1", *, name: str = "bazaar", secret: str = SECRET
) -> httpx.Response:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": notice_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(notice_id, now, body.decode()),
    }
    async with bench.client_of(None) as client:
        return await client.post(f"/v1/channels/{name}/notices", content=body, headers=headers)


async def test_a_notice_brings_its_order_in_for_the_channels_store(bench: Bench) -> None:
    answer = await push(bench, a_notice())
    assert answer.status_code == 202, answer.text
    (placed,) = await bench.published(OrderPlaced)
    assert (placed.store_id, placed.channel, placed.external_id, placed.refusable) == (STORE, "bazaar", "1", False)
    assert await bench.database.fetchval("SELECT kind FROM outside_call") == "channel.acknowledge"


async def test_the_same_notice_twice_and_the_same_order_in_another_make_one_order(bench: Bench) -> None:
    for notice_id in ("ntc_1", "ntc_1", "ntc_2"):
        assert (await push(bench, a_notice(), notice_id)).status_code == 202
    assert len(await bench.published(OrderPlaced)) == 1


async def test_reading_finds_what_a_lost_notice_did_not_bring_and_makes_no_second_of_what_it_did(bench: Bench) -> None:
    await push(bench, a_notice("1"))

    class Marketplace:
        store_id = STORE
        channel = "bazaar"

        async def shown_after(self, cursor: str) -> Shown:
            line = ChannelLine("MUG", 2, 999)
            placed = datetime(2026, 11, 24, 9, tzinfo=UTC)
            orders = [
                ChannelOrder(
                    external_id=external_id,
                    state="open",
                    placed_at=placed,
                    updated_at=placed,
                    currency="EUR",
                    lines=(line,),
                    country="DE",
                    postcode="10557",
                )
                for external_id in ("1", "2")
            ]
            (config,) = channel_settings.configured()
            return shown([] if cursor else orders, "2", config, b"0123456789abcdef0123456789abcdef")

    await Intake(bench.database, bench.kit.desk, Marketplace()).step()
    assert sorted(placed.external_id for placed in await bench.published(OrderPlaced)) == ["1", "2"]
    assert await bench.database.fetchval("SELECT count(*) FROM channel_refusal") == 0


async def test_a_cancellation_that_overtakes_its_order_ends_it_when_it_is_told_again(bench: Bench) -> None:
    cancelled = a_notice(state="cancelled", cancel_reason="buyer_cancelled")
    assert (await push(bench, cancelled, "ntc_2")).status_code == 202
    assert (await push(bench, a_notice(), "ntc_1")).status_code == 202
    assert (await push(bench, cancelled, "ntc_3")).status_code == 202  # as the overlap reads it again
    assert (await bench.database.fetchval("SELECT facts FROM orders"))["cancel_by"] == "channel"


@pytest.mark.parametrize(
    "wrong", [{"secret": "whsec_" + "b3RoZXItb3RoZXItb3RoZXItb3RoZXI="}, {"name": "another"}], ids=["secret", "name"]
)
async def test_a_notice_that_is_not_the_channels_is_refused_and_changes_nothing(
    bench: Bench, wrong: dict[str, str]
) -> None:
    answer = await push(bench, a_notice(), **wrong)
    assert (answer.status_code, answer.json()["code"]) == (401, "webhook.signature")
    assert await bench.published(OrderPlaced) == []


async def test_a_notice_of_unknown_goods_is_kept_until_they_are_known(bench: Bench) -> None:
    lines = [{"sku": "NEW", "quantity": 1, "unit_price_minor": 5}]
    assert (await push(bench, a_notice(lines=lines))).status_code == 202
    assert await bench.database.fetchval("SELECT code FROM channel_refusal") == "product.unknown"


async def test_what_could_not_be_taken_in_is_listed_page_by_page_with_the_reason(bench: Bench) -> None:
    lines = [{"sku": "NEW", "quantity": 1, "unit_price_minor": 5}]
    for number in ("3", "1", "2"):
        await push(bench, a_notice(number, lines=lines), f"ntc_{number}")
    first = (await bench.client.get("/v1/channels/bazaar/refusals", params={"limit": 2})).json()
    rest = (await bench.client.get("/v1/channels/bazaar/refusals", params={"after": first["next"]})).json()
    assert [refusal["external_id"] for refusal in [*first["data"], *rest["data"]]] == ["1", "2", "3"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert (first["data"][0]["code"], first["data"][0]["detail"]) == ("product.unknown", "NEW is not in the catalog")


async def test_another_stores_or_channels_refusals_are_not_shown(bench: Bench) -> None:
    await push(bench, a_notice(lines=[{"sku": "NEW", "quantity": 1, "unit_price_minor": 5}]))
    assert (await bench.client.get("/v1/channels/market/refusals")).json()["data"] == []
    async with bench.client_of(OTHER_STORE) as other:
        assert (await other.get("/v1/channels/bazaar/refusals")).json()["data"] == []


async def test_a_notice_without_channels_is_nobodys(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FREEPORT_CHANNELS_FILE")
    _forget()
    assert (await push(bench, a_notice())).status_code == 401
