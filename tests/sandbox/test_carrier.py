"""The sandbox carrier over HTTP, with a receiver that listens like logistics does."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr
from pypdf import PdfReader
from standardwebhooks import Webhook

from freeport.sandbox.carrier.app import create_app
from freeport.sandbox.carrier.settings import Settings
from freeport.sandbox.webhooks import WebhookSender
from shared import s10

KEY = "carrier-key"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def settings(directory: Path, **changes: Any) -> Settings:
    return Settings(
        state_dir=directory,
        carrier_key=SecretStr(KEY),
        carrier_webhook_secret=SecretStr(SECRET),
        logistics_url="http://logistics.test",
        **changes,
    )


class Listener:
    """Logistics' side: keeps what it heard, verified, and can be told to be deaf."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.statuses: list[int] = []
        self.changed = asyncio.Event()
        self.app = FastAPI()
        self.app.add_api_route("/webhooks/carrier", self.receive, methods=["POST"])

    async def receive(self, request: Request) -> Response:
        if self.statuses:
            return Response(status_code=self.statuses.pop(0))
        body = await request.body()
        event = Webhook(SECRET).verify(body, dict(request.headers))
        self.heard.append((request.headers["webhook-id"], event["data"]))
        self.changed.set()
        return Response(status_code=200)

    async def until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not enough():
                self.changed.clear()
                await self.changed.wait()

    def codes(self, tracking: str) -> list[str]:
        return sorted(data["code"] for _, data in self.heard if data["tracking_number"] == tracking)


@asynccontextmanager
async def a_carrier(directory: Path, listener: Listener, **changes: Any) -> AsyncGenerator[httpx.AsyncClient]:
    app = create_app(settings(directory, **changes))
    async with app.router.lifespan_context(app):
        sender: WebhookSender = app.state.office.sender
        sender._client = httpx.AsyncClient(transport=httpx.ASGITransport(listener.app))  # pyright: ignore[reportPrivateUsage]
        headers = {"authorization": f"Bearer {KEY}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://carrier.test", headers=headers) as client:
            yield client


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def carrier(tmp_path: Path, listener: Listener) -> AsyncGenerator[httpx.AsyncClient]:
    async with a_carrier(tmp_path, listener) as client:
        yield client


def an_order(reference: str = "pcl_1", **changes: Any) -> dict[str, Any]:
    country = changes.pop("country", "DE")
    line2 = changes.pop("line2", "")
    address = {"line1": "Hauptstr. 1", "line2": line2, "city": "Köln", "postcode": "50667", "country": country}
    return {
        "reference": reference,
        "service": "post-tracked",
        "mode": "post",
        "origin": "CN",
        "to": {"name": "Jürgen Groß", "address": address},
        "weight_grams": 640,
        **changes,
    }


async def buy(carrier: httpx.AsyncClient, key: str = "pcl_1", **changes: Any) -> dict[str, Any]:
    answer = await carrier.post("/labels", json=an_order(key, **changes), headers={"idempotency-key": key})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def advance(carrier: httpx.AsyncClient, hours: float) -> int:
    return (await carrier.post("/clock/advance", json={"hours": hours})).json()["scans"]


def test_the_check_digit_is_that_of_the_standards_example() -> None:
    assert s10.number("RR", 47312482, "GB") == "RR473124829GB"
    assert s10.is_valid("RR473124829GB")


@pytest.mark.parametrize("wrong", ["RR473124828GB", "RR473124892GB", "RR47312482GB", "rr473124829gb", "RR473124829G"])
def test_a_mistyped_item_number_is_noticed(wrong: str) -> None:
    assert not s10.is_valid(wrong)


@pytest.mark.parametrize(("serial", "digit"), [("00000000", 5), ("00000008", 0)])
def test_a_remainder_of_ten_becomes_zero_and_eleven_five(serial: str, digit: int) -> None:
    assert s10.check_digit(serial) == digit


async def test_a_label_has_a_valid_item_number_and_prints(carrier: httpx.AsyncClient) -> None:
    label = await buy(carrier)
    assert s10.is_valid(label["tracking_number"])
    assert label["tracking_number"].endswith("CN")
    pdf = await carrier.get(label["pdf"])
    assert label["tracking_number"] in PdfReader(BytesIO(pdf.content)).pages[0].extract_text()


async def test_one_key_makes_one_label(carrier: httpx.AsyncClient) -> None:
    first, second = await buy(carrier), await buy(carrier)
    assert first == second
    assert len((await carrier.get("/book")).json()["labels"]) == 1


async def test_a_key_cannot_make_two_different_labels(carrier: httpx.AsyncClient) -> None:
    await buy(carrier)
    answer = await carrier.post("/labels", json=an_order(weight_grams=1), headers={"idempotency-key": "pcl_1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency.mismatch")


async def test_a_lost_answer_is_found_by_its_key(carrier: httpx.AsyncClient) -> None:
    order = an_order(line2="sandbox:timeout")
    lost = await carrier.post("/labels", json=order, headers={"idempotency-key": "pcl_9"})
    assert lost.status_code == 504
    found = (await carrier.get("/labels", params={"key": "pcl_9"})).json()
    again = await carrier.post("/labels", json=order, headers={"idempotency-key": "pcl_9"})
    assert again.json()["tracking_number"] == found["tracking_number"]


async def test_a_key_that_made_nothing_finds_nothing(carrier: httpx.AsyncClient) -> None:
    assert (await carrier.get("/labels", params={"key": "pcl_0"})).status_code == 404


async def test_troubles_can_be_ordered(carrier: httpx.AsyncClient) -> None:
    refused = await carrier.post("/labels", json=an_order(line2="sandbox:refuse"), headers={"idempotency-key": "a"})
    assert (refused.status_code, refused.json()["code"]) == (422, "address.refused")
    down = [
        (
            await carrier.post("/labels", json=an_order(line2="sandbox:down"), headers={"idempotency-key": "b"})
        ).status_code
        for _ in range(3)
    ]
    assert down == [503, 503, 201]


async def test_nobody_without_the_key_gets_in(carrier: httpx.AsyncClient) -> None:
    answer = await carrier.get("/book", headers={"authorization": "Bearer guess"})
    assert answer.status_code == 401


async def test_a_parcel_travels_with_the_clock(carrier: httpx.AsyncClient, listener: Listener) -> None:
    tracking = (await buy(carrier))["tracking_number"]
    assert await advance(carrier, 3.9) == 0
    assert await advance(carrier, 0.2) == 1
    assert await advance(carrier, 80) == 4
    await listener.until(lambda: len(listener.codes(tracking)) == 5)
    assert listener.codes(tracking) == ["customs", "delivered", "in_transit", "out_for_delivery", "picked_up"]
    scans = (await carrier.get(f"/parcels/{tracking}")).json()["scans"]
    assert [scan["scanned_at"] for scan in scans] == sorted(scan["scanned_at"] for scan in scans)


async def test_at_home_there_is_no_customs(carrier: httpx.AsyncClient) -> None:
    tracking = (await buy(carrier, country="CN", mode="domestic"))["tracking_number"]
    await advance(carrier, 100)
    scans = (await carrier.get(f"/parcels/{tracking}")).json()["scans"]
    assert [scan["code"] for scan in scans] == ["picked_up", "in_transit", "out_for_delivery", "delivered"]


async def test_speed_moves_parcels_by_itself(tmp_path: Path, listener: Listener) -> None:
    async with a_carrier(tmp_path, listener, carrier_speed=1000.0) as carrier:
        tracking = (await buy(carrier))["tracking_number"]
        await listener.until(lambda: "delivered" in listener.codes(tracking))


async def test_a_lost_parcel_travels_no_further(carrier: httpx.AsyncClient, listener: Listener) -> None:
    tracking = (await buy(carrier))["tracking_number"]
    await advance(carrier, 20)
    answer = await carrier.post(f"/parcels/{tracking}/events", json={"code": "lost", "webhook_deliveries": 2})
    assert answer.status_code == 201
    assert await advance(carrier, 1000) == 0
    await listener.until(lambda: listener.codes(tracking).count("lost") == 2)
    assert len({webhook for webhook, data in listener.heard if data["code"] == "lost"}) == 1


async def test_a_label_is_void_until_hand_over_and_not_after(carrier: httpx.AsyncClient) -> None:
    tracking = (await buy(carrier))["tracking_number"]
    assert (await carrier.post(f"/labels/{tracking}/void")).json()["status"] == "void"
    assert (await carrier.post(f"/labels/{tracking}/void")).json()["status"] == "void"
    assert await advance(carrier, 100) == 0
    taken = (await buy(carrier, "pcl_2"))["tracking_number"]
    await advance(carrier, 5)
    answer = await carrier.post(f"/labels/{taken}/void")
    assert (answer.status_code, answer.json()["code"]) == (409, "label.handed_over")


async def test_webhooks_are_repeated_until_heard(carrier: httpx.AsyncClient, listener: Listener) -> None:
    listener.statuses = [503, 302]
    tracking = (await buy(carrier))["tracking_number"]
    await advance(carrier, 5)
    await listener.until(lambda: listener.codes(tracking) == ["picked_up"])


async def test_every_webhook_comes_as_often_as_asked(carrier: httpx.AsyncClient, listener: Listener) -> None:
    await carrier.put("/behaviour", json={"webhook_deliveries": 3})
    tracking = (await buy(carrier))["tracking_number"]
    await advance(carrier, 5)
    await listener.until(lambda: listener.codes(tracking) == ["picked_up"] * 3)
    assert len({webhook for webhook, _ in listener.heard}) == 1


async def test_the_book_outlives_the_process(tmp_path: Path, listener: Listener) -> None:
    async with a_carrier(tmp_path, listener) as carrier:
        await buy(carrier)
        await advance(carrier, 5)
        before = (await carrier.get("/book")).json()
    async with a_carrier(tmp_path, listener) as carrier:
        after = (await carrier.get("/book")).json()
        assert after["labels"] == before["labels"]
        assert after["scans"] == before["scans"]
        assert json.dumps(after).count("Groß") == 0
        assert await advance(carrier, 8) == 1
