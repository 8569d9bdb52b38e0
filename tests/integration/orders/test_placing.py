"""Placing orders over a real database: what storefronts rely on."""

import asyncio
import copy
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.orders.schemas import OrderOut
from shared.contracts.orders import OrderPlaced, PaymentRequested
from shared.contracts.values import Destination, Incoterm, ServiceLevel
from shared.money import Money
from shared.quote import QuoteClaims, encode, lines_hash
from tests.builders import orders as build
from tests.fixtures.bench import STORE, Bench

pytestmark = pytest.mark.integration

A_CARD = "4242424242424242"  # a scheme's published test number


async def place(bench: Bench, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    async with bench.client as client:
        return await client.post("/v1/orders", json=build.order_json(**changes), headers=headers or {})


async def test_an_order_is_placed_priced_and_announced(bench: Bench) -> None:
    answer = await place(bench)
    assert answer.status_code == 201, answer.text
    view = OrderOut.model_validate_json(answer.content)
    assert (view.status, view.payment_status, view.fulfilment_status) == ("placed", "none", "unfulfilled")
    assert view.totals.total == build.TOTAL
    assert view.recipient is not None
    assert view.recipient.address.line1 == "Heidestraße 17"
    assert answer.headers["location"] == f"/v1/orders/{view.id}"
    (placed,) = await bench.published(OrderPlaced)
    assert (placed.order_id, placed.totals.total, placed.number) == (view.id, build.TOTAL, view.number)
    assert placed.signals.email
    assert "erika" not in repr(placed).lower()


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


async def test_twins_on_two_replicas_make_one_order(bench: Bench) -> None:
    other = await bench.replica()
    async with bench.client as here, other.client as there:
        answers = await asyncio.gather(
            *(
                client.post("/v1/orders", json=build.order_json(), headers={"idempotency-key": f"k{n}"})
                for n in range(10)
                for client in (here, there)
            )
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 10
    assert await bench.database.fetchval("SELECT count(*) FROM orders") == 10


async def test_the_key_with_another_body_is_refused(bench: Bench) -> None:
    await place(bench, {"idempotency-key": "k"})
    answer = await place(bench, {"idempotency-key": "k"}, lines=[{"sku": "MUG", "quantity": 3}])
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency.mismatch")


async def test_without_a_key_nothing_is_done(bench: Bench) -> None:
    answer = await place(bench, {"idempotency-key": ""})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency.missing")
    assert await bench.published(OrderPlaced) == []


async def test_a_changed_total_is_told_with_both(bench: Bench) -> None:
    answer = await place(bench, expected_total={"amount": "2500", "currency": "EUR"})
    assert (answer.status_code, answer.json()["code"]) == (409, "order.total_changed")
    assert answer.json()["facts"] == {
        "expected_total": {"amount": "2500", "currency": "EUR"},
        "total": {"amount": "2598", "currency": "EUR"},
    }
    assert (await place(bench, expected_total={"amount": "2598", "currency": "EUR"})).status_code == 201


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lines": [{"sku": "NOBODY-KNOWS", "quantity": 1}]}, "product.unknown"),
        ({"market": "JP"}, "product.not_sold_here"),
        ({"lines": [{"sku": "MUG", "quantity": 0}]}, "request.invalid"),
        ({"lines": []}, "request.invalid"),
        ({"price": 1}, "request.invalid"),
        ({"payment": {"method": "card"}}, "request.invalid"),
        ({"payment": {"method": "channel", "token": "x"}}, "request.invalid"),
        ({"client": {"ip": "not-an-address"}}, "request.invalid"),
        ({"customer_id": "a\u0000b"}, "request.invalid"),
    ],
)
async def test_what_cannot_be_ordered_is_refused(bench: Bench, changes: dict[str, Any], code: str) -> None:
    answer = await place(bench, **changes)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await bench.published(OrderPlaced) == []


async def test_a_withdrawn_product_is_not_sold_and_a_newer_price_counts(bench: Bench) -> None:
    from shared.contracts.catalog import MarketPrice, ProductWithdrawn

    newer = MarketPrice(market="DE", price=Money(1_000, "EUR"), tax_included=True)
    await bench.deliver(
        build.a_product("MUG", 2, newer), build.a_product("MUG", 1), ProductWithdrawn(sku="TEA", version=2)
    )
    assert (await place(bench)).json()["totals"]["total"]["amount"] == "2000"
    answer = await place(bench, lines=[{"sku": "TEA", "quantity": 1}])
    assert (answer.status_code, answer.json()["code"]) == (422, "product.withdrawn")


# ── Card numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def full_body() -> dict[str, Any]:
    body = build.order_json(
        customer_id="c1",
        currency="EUR",
        quote="eyJ",
        incoterm="DAP",
        service="standard",
        expected_total={"amount": "2598", "currency": "EUR"},
        client={"device_id": "d1", "ip": "203.0.113.7"},
    )
    body["recipient"]["address"] |= {"line2": "2nd floor", "region": "BE"}
    return body


def every_text(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from every_text(inner, (*path, key))


def with_text(body: dict[str, Any], path: tuple[Any, ...], text: str) -> dict[str, Any]:
    body = copy.deepcopy(body)
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = text
    return body


async def test_a_card_number_is_refused_in_every_text_of_the_body(bench: Bench) -> None:
    paths = list(every_text(full_body()))
    assert len(paths) > 20
    async with bench.client as client:
        for path in paths:
            for text in (A_CARD, f"please charge {A_CARD}!", "4242 4242 4242 4242"):
                answer = await client.post("/v1/orders", json=with_text(full_body(), path, text))
                assert (answer.status_code, answer.json()["code"]) == (422, "payment.card_number"), path
                assert "4242" not in answer.text
        stranger = await client.post("/v1/orders", json=full_body() | {"note": A_CARD})
        named = await client.post("/v1/orders", json=full_body() | {A_CARD: 1})
    assert [stranger.json()["code"], named.json()["code"]] == ["payment.card_number"] * 2
    assert "4242" not in stranger.text + named.text
    assert await bench.published(OrderPlaced) == []
    assert await bench.database.fetchval("SELECT count(*) FROM idempotency_key") == 0


async def test_no_json_is_refused_without_a_fuss(bench: Bench) -> None:
    async with bench.client as client:
        answer = await client.post("/v1/orders", content=b"{", headers={"content-type": "application/json"})
        number = await client.post("/v1/orders", content=b"4242424242424242", headers={"content-type": "text/plain"})
    assert answer.status_code in (400, 422)
    assert number.status_code in (400, 415, 422)


# ── Quotes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_quote(**changes: Any) -> QuoteClaims:
    quote = QuoteClaims(
        quote_id="quo_1",
        store=STORE,
        market="DE",
        destination=Destination(country="DE", postal_area="105"),
        lines_hash=lines_hash([("MUG", 2)]),
        currency="EUR",
        shipping=Money(490, "EUR"),
        duties=Money(0, "EUR"),
        taxes=Money(93, "EUR"),
        fees=Money(10, "EUR"),
        incoterm=Incoterm.DDP,
        service=ServiceLevel.EXPRESS,
        expires_at=datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=15),
    )
    return replace(quote, **changes)


async def test_a_quote_for_this_order_adds_its_costs(bench: Bench, quote_key: Ed25519PrivateKey) -> None:
    answer = await place(bench, quote=encode(a_quote(), quote_key, "quote-1"))
    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert {name: money["amount"] for name, money in view["totals"].items()} == {
        "goods": "2598",
        "shipping": "490",
        "duties": "0",
        "taxes": "93",
        "fees": "10",
        "total": "3191",
    }
    assert (view["incoterm"], view["service"], view["quote_id"]) == ("DDP", "express", "quo_1")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"store": "str_other"}, "quote.other_store"),
        ({"market": "AT"}, "quote.other_market"),
        ({"destination": Destination(country="AT", postal_area="105")}, "quote.other_destination"),
        ({"lines_hash": lines_hash([("MUG", 1)])}, "quote.other_lines"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "quote.expired"),
    ],
)
async def test_a_quote_for_another_order_is_refused(
    bench: Bench, quote_key: Ed25519PrivateKey, changes: dict[str, Any], code: str
) -> None:
    answer = await place(bench, quote=encode(a_quote(**changes), quote_key, "quote-1"))
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("stated", "code"), [({"incoterm": "DAP"}, "quote.other_incoterm"), ({"service": "economy"}, "quote.other_service")]
)
async def test_stated_terms_bind_the_quote(
    bench: Bench, quote_key: Ed25519PrivateKey, stated: dict[str, Any], code: str
) -> None:
    answer = await place(bench, quote=encode(a_quote(), quote_key, "quote-1"), **stated)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_nobody_else_can_make_a_quote(bench: Bench, quote_key: Ed25519PrivateKey) -> None:
    good = encode(a_quote(), quote_key, "quote-1")
    forged = {
        "quote.unknown_key": encode(a_quote(), quote_key, "quote-2"),
        "quote.signature": encode(a_quote(), Ed25519PrivateKey.generate(), "quote-1"),
        "quote.algorithm": jwt.encode({"iss": "freeport-logistics"}, "", algorithm="none"),
        "quote.malformed": good[:-40],
    }
    answers = {code: (await place(bench, quote=token)).json()["code"] for code, token in forged.items()}
    assert answers["quote.unknown_key"] == "quote.unknown_key"
    assert answers["quote.signature"] == "quote.signature"
    assert answers["quote.algorithm"] == "quote.algorithm"
    assert answers["quote.malformed"] in ("quote.malformed", "quote.signature")
    assert await bench.published(OrderPlaced) == []


# ── Prefer: wait ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def placed_ids(bench: Bench, count: int) -> list[str]:
    """The ids of `count` orders, as soon as they are placed by somebody who has not been answered yet."""
    async with asyncio.timeout(60):
        while len(found := await bench.database.fetch("SELECT id FROM orders ORDER BY id")) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the fact is in the database, which rings no bell
    return [row["id"] for row in found]


async def test_waiting_answers_as_soon_as_the_order_is_confirmed(bench: Bench) -> None:
    waiting = asyncio.create_task(place(bench, {"prefer": "wait=30"}))
    (order_id,) = await placed_ids(bench, 1)
    await bench.deliver(build.approved(order_id), build.cleared(order_id), build.reserved(order_id))
    assert not waiting.done(), "nothing is decided before the payment is"
    await bench.deliver(build.authorised(order_id))
    answer = await asyncio.wait_for(waiting, 60)
    assert (answer.status_code, answer.json()["status"]) == (201, "confirmed")
    assert answer.headers["preference-applied"] == "wait=30"


async def test_waiting_ends_with_a_hold_or_a_rejection_too(bench: Bench) -> None:
    waiting = [asyncio.create_task(place(bench, {"prefer": "wait=30"})) for _ in range(2)]
    held, refused = await placed_ids(bench, 2)
    await bench.deliver(build.held(held), build.refused(refused))
    views = {answer.json()["id"]: answer.json() for answer in await asyncio.wait_for(asyncio.gather(*waiting), 60)}
    (hold,) = views[held]["holds"]
    assert (hold["code"], hold["clears_with"]) == ("customs_papers", ["an HS code in the catalog"])
    assert views[refused]["status"] == "rejected"
    assert [reason["code"] for reason in views[refused]["reasons"]] == ["stock.insufficient"]


async def test_patience_ends_with_the_order_as_it_is(bench: Bench) -> None:
    answer = await place(bench, {"prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (201, "placed")


async def test_many_wait_together_and_each_gets_its_own(bench: Bench) -> None:
    waiting = [asyncio.create_task(place(bench, {"prefer": "wait=30"})) for _ in range(40)]
    ids = await placed_ids(bench, 40)
    for event in (build.approved, build.cleared, build.reserved, build.authorised):
        await bench.deliver(*(event(order_id) for order_id in ids))
    answers = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    assert {answer.json()["status"] for answer in answers} == {"confirmed"}
    assert sorted(answer.json()["id"] for answer in answers) == ids
    assert len(await bench.published(PaymentRequested)) == 40
