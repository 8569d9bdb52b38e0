"""The carrier's webhooks as an attacker, a broken proxy and an honest but clumsy carrier send them (OWASP API10)."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from services.logistics.main import SERVICE
from shared.contracts.logistics import ShipmentBooked, ShipmentDelivered, ShipmentDispatched, ShipmentTracked
from tests.builders.logistics import ORDER, confirmed, placed, published
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.signing import signed
from tests.integration.logistics.outside import SECRET, a_world

pytestmark = pytest.mark.integration
OTHER_SECRET = f"whsec_{base64.b64encode(b'another-secret-of-thirty-two-byt').decode()}"
NOON = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory, tmp_path: Path) -> AsyncGenerator[Bench]:
    """Logistics with one booked shipment; what the sandbox carrier itself tells is not listened to."""
    async with a_world(tmp_path) as (world, _):
        bench = await service_bench(SERVICE, **world.settings)
        await bench.deliver(published(), placed(), confirmed())
        await bench.calls()
        yield bench


async def tracking_number(bench: Bench) -> str:
    (booked,) = await bench.published(ShipmentBooked)
    return booked.parcels[0].tracking_number


def a_scan(tracking: str, code: str = "picked_up", *, hours: int = 0, **other: Any) -> bytes:
    scanned_at = (NOON + timedelta(hours=hours)).isoformat()
    data = {"tracking_number": tracking, "code": code, "scanned_at": scanned_at, "country": "CN"} | other
    return orjson.dumps({"type": "parcel.scanned", "data": data})


async def post(bench: Bench, body: bytes | AsyncIterator[bytes], headers: dict[str, str]) -> httpx.Response:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    async with bench.client_of(None) as client:
        return await client.post("/webhooks/carrier", content=body, headers=raw)  # type: ignore[arg-type]


async def send(bench: Bench, body: bytes, webhook_id: str = "") -> httpx.Response:
    return await post(bench, body, signed(SECRET, body, webhook_id))


async def scans(bench: Bench) -> int:
    return await bench.database.fetchval(
        "SELECT (SELECT count(*) FROM parcel_scan) + (SELECT count(*) FROM stray_scan)"
    )


async def test_nothing_follows_from_a_scan_that_is_not_the_carriers(bench: Bench) -> None:
    body = a_scan(await tracking_number(bench), "delivered")
    good = signed(SECRET, body)
    forgeries = {
        "another secret": signed(OTHER_SECRET, body),
        "no signature": {name: value for name, value in good.items() if name != "webhook-signature"},
        "the signature of another body": signed(SECRET, body + b" "),
        "the signature of another id": good | {"webhook-id": "msg_other"},
        "a younger timestamp": good | {"webhook-timestamp": str(int(good["webhook-timestamp"]) + 1)},
        "an id that is no text": good | {"webhook-id": "m\xe4g"},
        "recorded six minutes ago": signed(SECRET, body, age=timedelta(minutes=6)),
        "from the future": signed(SECRET, body, age=timedelta(minutes=-6)),
    }
    for name, headers in forgeries.items():
        answer = await post(bench, body, headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook.signature"), name
    assert (await scans(bench), await bench.published(ShipmentTracked)) == (0, [])


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused(bench: Bench, announced: bool) -> None:
    for size in (65 * 1024, 10 * 1024 * 1024):
        body = a_scan(await tracking_number(bench), filler="x" * size)

        async def in_pieces(body: bytes = body) -> AsyncIterator[bytes]:
            for start in range(0, len(body), 16 * 1024):
                yield body[start : start + 16 * 1024]

        answer = await post(bench, body if announced else in_pieces(), signed(SECRET, body))
        assert (answer.status_code, answer.json()["code"]) == (413, "request.too_large")
    assert await scans(bench) == 0


BODIES: dict[str, tuple[Callable[[str], bytes], frozenset[int]]] = {
    "UTF-8 beyond ASCII": (lambda number: a_scan(number, place="München 東京 🛍"), frozenset({200})),
    "another type": (lambda _: b'{"type":"parcel.sneezed","data":{}}', frozenset({200})),
    "UTF-16": (lambda number: a_scan(number).decode().encode("utf-16"), frozenset({401, 422})),
    "Latin-1": (lambda number: a_scan(number, place="x").replace(b'"x"', b'"\xe4"'), frozenset({401, 422})),
    "a byte order mark": (lambda number: b"\xef\xbb\xbf" + a_scan(number), frozenset({422})),
    "half a surrogate pair": (lambda number: a_scan(number, "x").replace(b'"x"', b'"\\ud800"'), frozenset({422})),
    "a NUL": (lambda number: a_scan(number, "a\x00b"), frozenset({422})),
    "nothing": (lambda _: b"", frozenset({422})),
    "a list": (lambda number: b"[" + a_scan(number) + b"]", frozenset({422})),
    "half of it": (lambda number: a_scan(number)[:-9], frozenset({422})),
    "no time": (lambda number: a_scan(number, scanned_at=None), frozenset({422})),
    "a time without a zone": (lambda number: a_scan(number, scanned_at="2026-11-24T12:00:00"), frozenset({422})),
    "a time before there were parcels": (
        lambda number: a_scan(number, scanned_at="0001-01-01T00:00:00Z"),
        frozenset({422}),
    ),
    "an endless number": (lambda _: a_scan("9" * 61), frozenset({422})),
    "a country of three letters": (lambda number: a_scan(number, country="DEU"), frozenset({422})),
    "great depth": (
        lambda _: b'{"type":"parcel.scanned","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        frozenset({422}),
    ),
}


async def test_no_body_in_any_encoding_is_our_fault(bench: Bench) -> None:
    number = await tracking_number(bench)
    for name, (make, statuses) in BODIES.items():
        before = await scans(bench)
        answer = await send(bench, make(number))
        assert answer.status_code in statuses, f"{name}: {answer.status_code} {answer.text}"
        assert await scans(bench) == before + (name == "UTF-8 beyond ASCII"), name


async def test_fifty_at_once_on_two_replicas_are_one_scan(bench: Bench) -> None:
    other, body = await bench.replica(), a_scan(await tracking_number(bench))
    headers = signed(SECRET, body)
    answers = await asyncio.gather(*(post((bench, other)[turn % 2], body, headers) for turn in range(50)))
    taken = [answer for answer in answers if answer.status_code == 200]
    # One that finds the first still under way is told to come again, as a carrier does.
    assert {answer.status_code for answer in answers} <= {200, 409, 503}
    assert {answer.content for answer in taken} == {b'{"status":"noted"}'}
    assert (await scans(bench), len(await bench.published(ShipmentDispatched))) == (1, 1)


async def test_an_id_that_was_used_cannot_carry_another_scan(bench: Bench) -> None:
    number = await tracking_number(bench)
    assert (await send(bench, a_scan(number), "msg_1")).status_code == 200
    answer = await send(bench, a_scan(number, "delivered", hours=1), "msg_1")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency.mismatch")
    assert await bench.published(ShipmentDelivered) == []


async def test_scans_in_the_wrong_order_end_as_in_the_right_one(bench: Bench) -> None:
    number = await tracking_number(bench)
    way = ["picked_up", "in_transit", "out_for_delivery", "delivered"]
    for hours in (3, 1, 0, 2, 0):
        assert (await send(bench, a_scan(number, way[hours], hours=hours))).status_code == 200
    assert (await bench.client.get(f"/v1/shipments/{ORDER}")).json()["state"] == "delivered"
    assert len(await bench.published(ShipmentDispatched)) == len(await bench.published(ShipmentDelivered)) == 1


async def test_scans_of_parcels_that_nobody_knows_are_kept_and_harmless(bench: Bench) -> None:
    bodies = [a_scan(f"FP{number:09d}XX") for number in range(10)]
    for answer in await asyncio.gather(*(send(bench, body) for body in bodies)):
        assert (answer.status_code, answer.json()) == (202, {"status": "kept"})
    before = await bench.published()
    await bench.due("scan.stray")
    assert await bench.database.fetchval("SELECT count(*) FROM stray_scan") == 10, (
        "their parcels may still become known"
    )
    assert await bench.published() == before
