"""The orders API over a real database: what callers rely on."""

import asyncio
from typing import Any

import httpx
import pytest

from services.orders.main import SERVICE
from services.orders.schemas import OrderOut
from shared.contracts.orders import OrderConfirmed, OrderPlaced, PaymentRequested
from tests.builders import orders as build
from tests.fixtures.bench import OTHER_STORE, Bench, BenchFactory

pytestmark = pytest.mark.integration

HASH_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY)
    await bench.deliver(build.a_product("MUG"), build.a_product("TEA"))
    return bench


async def place(bench: Bench, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    async with bench.client as client:
        return await client.post("/v1/orders", json=build.order_json(**changes), headers=headers or {})


async def test_an_order_is_placed_priced_and_announced(bench: Bench) -> None:
    answer = await place(bench)
    assert answer.status_code == 201, answer.text
    view = OrderOut.model_validate_json(answer.content)
    assert (view.status, view.payment_status, view.fulfilment_status) == ("placed", "none", "unfulfilled")
    assert view.totals.total == build.TOTAL
    assert answer.headers["location"] == f"/v1/orders/{view.id}"
    (placed,) = await bench.published(OrderPlaced)
    assert (placed.order_id, placed.totals.total, placed.number) == (view.id, build.TOTAL, view.number)


async def test_a_confirmed_order_went_its_way(bench: Bench) -> None:
    order_id = (await place(bench)).json()["id"]
    await bench.deliver(build.approved(order_id), build.cleared(order_id), build.reserved(order_id))
    assert len(await bench.published(PaymentRequested)) == 1
    await bench.deliver(build.authorised(order_id))
    assert len(await bench.published(OrderConfirmed)) == 1
    async with bench.client as client:
        view = (await client.get(f"/v1/orders/{order_id}")).json()
    assert (view["status"], view["payment_status"]) == ("confirmed", "authorised")


async def test_fifty_twins_of_one_key_make_one_order(bench: Bench) -> None:
    async with bench.client as client:
        answers = await asyncio.gather(
            *(client.post("/v1/orders", json=build.order_json(), headers={"idempotency-key": "k"}) for _ in range(50))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await bench.published(OrderPlaced)) == 1
    assert await bench.database.fetchval("SELECT count(*) FROM orders") == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 49


async def test_another_store_sees_none_of_it(bench: Bench) -> None:
    order_id = (await place(bench)).json()["id"]
    async with bench.client_of(OTHER_STORE) as other:
        answers = [
            await other.get(f"/v1/orders/{order_id}"),
            await other.get(f"/v1/orders/{order_id}/timeline"),
            await other.post(f"/v1/orders/{order_id}/cancellation", json={"reason": "mine", "requested_by": "seller"}),
        ]
        listed = await other.get("/v1/orders")
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert {answer.json()["code"] for answer in answers} == {"order.not_found"}
    assert listed.json()["data"] == []
