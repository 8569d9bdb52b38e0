"""Importing what channels have sold, over a real database."""

import asyncio
from typing import Any

import httpx
import pytest

from services.orders.schemas import MAX_IMPORT_LINES
from shared.contracts.orders import OrderCancelled, OrderPlaced, PaymentRequested
from shared.contracts.values import PaymentMode
from tests.builders import orders as build
from tests.fixtures.bench import OTHER_STORE, STORE, Bench

pytestmark = pytest.mark.integration


async def send(bench: Bench, *orders: dict[str, Any], store: str = STORE) -> httpx.Response:
    async with bench.client_of(store) as client:
        return await client.post("/v1/orders:import", json={"orders": list(orders)})


async def results(bench: Bench, *orders: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await send(bench, *orders)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_sold_order_comes_in_at_the_channels_price(bench: Bench) -> None:
    (result,) = await results(bench, build.import_json())
    async with bench.client as client:
        view = (await client.get(f"/v1/orders/{result['id']}")).json()
        (found,) = (await client.get("/v1/orders", params={"external_id": "302-1234567-1234567"})).json()["data"]
    assert (view["channel"], view["external_id"], view["totals"]["total"]["amount"]) == (
        "bazaar",
        "302-1234567-1234567",
        "1998",
    )
    assert (view["recipient"], view["placed_at"]) == (None, "2026-11-24T09:00:00Z")
    assert found["id"] == result["id"]
    (placed,) = await bench.published(OrderPlaced)
    assert (placed.refusable, placed.payment_mode) == (False, PaymentMode.COLLECTED_BY_CHANNEL)


async def test_a_second_run_changes_nothing(bench: Bench) -> None:
    orders = [build.import_json(str(n)) for n in range(20)]
    first = await results(bench, *orders)
    second = await results(bench, *orders)
    assert {result["result"] for result in first} == {"created"}
    assert {result["result"] for result in second} == {"existing"}
    assert [result["id"] for result in first] == [result["id"] for result in second]
    assert len(await bench.published(OrderPlaced)) == 20


async def test_a_run_that_overlaps_with_itself_makes_each_order_once(bench: Bench) -> None:
    other = await bench.replica()
    orders = [build.import_json(str(n)) for n in range(30)]
    await asyncio.gather(
        send(bench, *orders), send(other, *reversed(orders)), send(bench, *orders[10:]), send(other, *orders[:20])
    )
    assert await bench.database.fetchval("SELECT count(*) FROM orders") == 30
    assert len(await bench.published(OrderPlaced)) == 30


async def test_each_order_is_accepted_or_refused_on_its_own(bench: Bench) -> None:
    unknown = build.import_json(
        "2", lines=[{"sku": "X", "quantity": 1, "unit_price": {"amount": "1", "currency": "EUR"}}]
    )
    await results(bench, build.import_json("3"))
    found = await results(bench, build.import_json("1"), unknown, build.import_json("3", presale=True))
    assert [(result["result"], result.get("code")) for result in found] == [
        ("created", None),
        ("refused", "product.unknown"),
        ("refused", "order.import_conflict"),
    ]


async def test_an_order_in_presale_may_be_refused_and_a_sold_one_is_held(bench: Bench) -> None:
    presale, sold = await results(bench, build.import_json("1", presale=True), build.import_json("2"))
    await bench.deliver(build.refused(presale["id"]), build.refused(sold["id"], waiting=True))
    async with bench.client as client:
        rejected = (await client.get(f"/v1/orders/{presale['id']}")).json()
        held = (await client.get(f"/v1/orders/{sold['id']}")).json()
    assert (rejected["status"], rejected["reasons"][0]["code"]) == ("rejected", "stock.insufficient")
    assert (held["status"], [hold["code"] for hold in held["holds"]]) == ("placed", ["stock"])


async def test_a_card_number_is_refused_here_as_well(bench: Bench) -> None:
    answer = await send(bench, build.import_json("4242 4242 4242 4242"))
    assert (answer.status_code, answer.json()["code"]) == (422, "payment.card_number")


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": None},
        {"channel": "storefront"},
        {"payment": "collect"},
        {"payment": "collect", "payment_method": "channel"},
        {"placed_at": "2026-11-24T09:00:00"},
        {"lines": [{"sku": "MUG", "quantity": 1, "unit_price": {"amount": "-1", "currency": "EUR"}}]},
    ],
)
async def test_an_order_that_contradicts_itself_is_refused(bench: Bench, changes: dict[str, Any]) -> None:
    answer = await send(bench, build.import_json(**changes))
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_another_stores_catalog_is_unknown(bench: Bench) -> None:
    answer = await send(bench, build.import_json(), store=OTHER_STORE)
    assert answer.json()["data"][0]["code"] == "product.unknown"


async def test_five_hundred_at_once_are_taken_and_one_more_is_not(bench: Bench) -> None:
    orders = [build.import_json(str(n)) for n in range(501)]
    assert (await send(bench, *orders)).status_code == 422
    assert {result["result"] for result in await results(bench, *orders[:500])} == {"created"}


async def test_a_wholesale_invoice_of_a_thousand_lines_is_one_order(bench: Bench) -> None:
    sku = "S" * 64
    await bench.deliver(build.a_product(sku))
    line = {"sku": sku, "quantity": 10_000, "unit_price": {"amount": "99999999", "currency": "EUR"}}
    (result,) = await results(bench, build.import_json("1", lines=[line] * MAX_IMPORT_LINES))
    assert result["result"] == "created"
    size = await bench.database.fetchval("SELECT max(octet_length(payload)) FROM outbox")
    assert size < 900_000, "an event must fit into a Kafka record of a megabyte"
    assert (await send(bench, build.import_json("2", lines=[line] * (MAX_IMPORT_LINES + 1)))).status_code == 422


@pytest.mark.parametrize("currency", ["XXX", "ZZZ", "EUX"])
async def test_no_channel_sells_for_a_currency_that_there_is_not(bench: Bench, currency: str) -> None:
    order = build.import_json()
    line = order["lines"][0] | {"unit_price": {"amount": "999", "currency": currency}}
    answer = await send(bench, order | {"lines": [line]})
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert answer.json()["errors"][0]["pointer"].startswith("/orders/0/lines/0/unit_price")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_moment_that_is_none_in_utc_is_refused_wherever_it_stands(bench: Bench, moment: str) -> None:
    answer = await send(bench, build.import_json() | {"placed_at": moment})
    async with bench.client as client:
        listed = await client.get("/v1/orders", params={"created_at[lt]": moment})
    assert (answer.status_code, listed.status_code) == (422, 400)


async def test_what_a_channel_collected_is_booked_before_its_order_is_cancelled(bench: Bench) -> None:
    (result,) = await results(bench, build.import_json())
    order_id = result["id"]
    wish = {"reason": "changed_mind", "requested_by": "channel"}
    async with bench.client as client:
        asked = await client.post(f"/v1/orders/{order_id}/cancellation", json=wish)
        again = await client.post(f"/v1/orders/{order_id}/cancellation", json=wish)
        await bench.deliver(build.authorised(order_id), build.captured(order_id))
        view = (await client.get(f"/v1/orders/{order_id}")).json()
    assert (asked.status_code, asked.json()["status"], asked.json()["cancellation"]["status"]) == (
        202,
        "placed",
        "asked",
    )
    assert (again.status_code, again.json()["code"]) == (409, "order.cancellation_pending")
    assert (view["status"], view["payment_status"], view["cancellation"]["status"]) == (
        "cancelled",
        "captured",
        "granted",
    )
    told = [type(event) for event in await bench.published()]
    assert told == [OrderPlaced, PaymentRequested, OrderCancelled]
