"""Catalog over HTTP, with its real database."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from services.catalog.main import SERVICE
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from tests.fixtures.bench import OTHER_STORE, Bench, BenchFactory

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


Put = Callable[..., Awaitable[list[dict[str, Any]]]]


@pytest_asyncio.fixture
async def put(bench: Bench) -> Put:
    async def put(*items: Any) -> list[dict[str, Any]]:
        response = await bench.client.post("/v1/products:batch", json={"products": items})
        assert response.status_code == 200, response.text
        return response.json()["data"]

    return put


def eur(amount: int) -> dict[str, str]:
    return {"amount": str(amount), "currency": "EUR"}


def a_product(sku: str = "MUG", **other: Any) -> dict[str, Any]:
    return {
        "sku": sku,
        "titles": {"en": "Mug", "de": "Becher", "pt-br": "Caneca"},
        "descriptions": {"de": "Fasst einen halben Liter."},
        "bullets": {"en": ["Dishwasher safe", "0.5 l"]},
        "category": "kitchen",
        "hs_code": "6912.00",
        "origin_country": "PT",
        "weight_grams": 350,
        "flags": ["fragile"],
        "prices": [
            {"market": "DE", "price": eur(1299)},
            {"market": "US", "price": {"amount": "1399", "currency": "USD"}},
            {"market": "JP", "price": {"amount": "1980", "currency": "JPY"}},
        ],
        "media": [{"url": "https://cdn.example/mug.jpg", "alt": {"en": "A mug"}}],
        "attributes": {"colour": "blue", "volume_ml": 500, "lid": False},
        **other,
    }


async def test_a_product_comes_back_as_it_was_put(bench: Bench, put: Put) -> None:
    assert await put(a_product()) == [{"index": 0, "sku": "MUG", "outcome": "created", "version": 1, "problem": None}]
    found = (await bench.client.get("/v1/products/MUG")).json()
    assert (found["status"], found["version"], found["price"]) == ("published", 1, None)
    assert found["hs_code"] == "691200"
    assert found["titles"] == {"en": "Mug", "de": "Becher", "pt-BR": "Caneca"}
    assert found["attributes"] == {"colour": "blue", "volume_ml": 500, "lid": False}
    assert found["media"] == [{"url": "https://cdn.example/mug.jpg", "alt": {"en": "A mug"}}]
    assert found["prices"][0] == {
        "market": "DE", "price": eur(1299), "tax_included": None, "tax_rate_bps": None, "foreign_currency": False,
    }  # fmt: skip


async def test_the_same_batch_again_publishes_nothing_whatever_its_key(bench: Bench, put: Put) -> None:
    await put(a_product(), a_product("CUP"))
    again = await put(a_product(), a_product("CUP"))
    assert [item["outcome"] for item in again] == ["unchanged", "unchanged"]
    assert [(event.sku, event.version) for event in await bench.published(ProductPublished)] == [("MUG", 1), ("CUP", 1)]


async def test_the_same_key_is_the_same_request(bench: Bench) -> None:
    body, key = {"products": [a_product()]}, {"idempotency-key": "put-1"}
    first = await bench.client.post("/v1/products:batch", json=body, headers=key)
    again = await bench.client.post("/v1/products:batch", json=body, headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await bench.client.post("/v1/products:batch", json={"products": [a_product("CUP")]}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")


async def test_a_broken_item_is_told_by_itself_and_the_others_go_on(bench: Bench, put: Put) -> None:
    broken = [
        a_product("BAD-1", weight_grams=-1),
        "not an object",
        {"sku": "BAD-2"},
        a_product("BAD-3", hs_code="770000"),
        a_product("BAD-4", prices=[{"market": "DE", "price": {"amount": "1", "currency": "USD"}}]),
        a_product("BAD-5", titles={"german": "Becher"}),
        a_product("BAD-6", category="a\x00b"),
        a_product("BAD\x00", surprise=True),
        a_product("BAD-8", prices=[{"market": "DE", "price": eur(10**19)}]),
    ]
    results = await put(*broken, a_product("GOOD"))
    assert [item["outcome"] for item in results] == ["refused"] * len(broken) + ["created"]
    codes = [item["problem"]["code"] for item in results[:-1]]
    assert codes == [
        "product.malformed", "product.malformed", "product.malformed", "hs_code.no_such_chapter", "price.currency_mismatch",
        *["product.malformed"] * 4,
    ]  # fmt: skip
    assert results[0]["problem"]["errors"][0]["pointer"] == "/weight_grams"
    assert results[4]["problem"]["errors"][0]["pointer"] == "/prices/0/price"
    assert [event.sku for event in await bench.published(ProductPublished)] == ["GOOD"]


@pytest.mark.parametrize("count", [0, 501])
async def test_a_batch_has_1_to_500_items(bench: Bench, count: int) -> None:
    body = {"products": [a_product(f"S{number}") for number in range(count)]}
    assert (await bench.client.post("/v1/products:batch", json=body)).status_code == 422


async def test_500_products_are_one_batch(bench: Bench, put: Put) -> None:
    results = await put(*[a_product(f"S{number}") for number in range(500)])
    assert {item["outcome"] for item in results} == {"created"}
    changed = await put(*[a_product(f"S{number}", weight_grams=number) for number in range(500)])
    assert [item["outcome"] for item in changed].count("updated") == 499  # one was 350 g already
    assert await bench.database.fetchval("SELECT count(*) FROM product_price") == 1500


async def test_a_german_buyer_sees_the_tax_inside(bench: Bench, put: Put) -> None:
    await put(a_product())
    price = (
        await bench.client.get("/v1/products/MUG", params={"market": "DE"}, headers={"accept-language": "de"})
    ).json()["price"]
    assert price == {
        "market": "DE", "price": eur(1299), "formatted": "12,99\xa0€", "tax_included": True,
        "tax": {"name": "MwSt", "rate_bps": 1900, "amount": eur(207)}, "price_without_tax": eur(1092),
    }  # fmt: skip


async def test_an_american_buyer_sees_none(bench: Bench, put: Put) -> None:
    await put(a_product())
    price = (await bench.client.get("/v1/products/MUG", params={"market": "US"})).json()["price"]
    assert (price["tax_included"], price["tax"], price["formatted"]) == (False, None, "$13.99")


async def test_the_language_never_decides_the_market(bench: Bench, put: Put) -> None:
    await put(a_product())
    response = await bench.client.get(
        "/v1/products/MUG", params={"market": "JP"}, headers={"accept-language": "de-AT, en;q=0.5"}
    )
    assert response.headers["content-language"] == "de"
    assert "accept-language" in response.headers["vary"].lower()
    found = response.json()
    assert (found["title"], found["description"], found["bullets"]) == ("Becher", "Fasst einen halben Liter.", [])
    assert found["price"]["price"] == {"amount": "1980", "currency": "JPY"}


async def test_without_a_wish_the_markets_language_is_read(bench: Bench, put: Put) -> None:
    await put(a_product())
    titles = {
        market: (await bench.client.get("/v1/products/MUG", params={"market": market})).json()["title"]
        for market in ("DE", "US", "JP")
    }
    assert titles == {"DE": "Becher", "US": "Mug", "JP": "Mug"}


@pytest.mark.parametrize(("market", "code"), [("FR", "product.not_sold"), ("XX", "market.not_found")])
async def test_where_it_is_not_sold_it_is_not_there(bench: Bench, put: Put, market: str, code: str) -> None:
    await put(a_product())
    response = await bench.client.get("/v1/products/MUG", params={"market": market})
    assert (response.status_code, response.json()["code"]) == (404, code)


async def test_a_misspelt_market_is_not_taken_for_none(bench: Bench, put: Put) -> None:
    await put(a_product())
    response = await bench.client.get("/v1/products/MUG", params={"markt": "DE"})
    assert (response.status_code, response.json()["code"]) == (400, "parameter.unknown")


async def test_a_withdrawn_product_is_sold_nowhere_and_can_come_back(bench: Bench, put: Put) -> None:
    await put(a_product())
    assert (await bench.client.post("/v1/products/MUG/withdrawal")).json() == {
        "sku": "MUG",
        "status": "withdrawn",
        "version": 2,
    }
    assert (await bench.client.post("/v1/products/MUG/withdrawal")).json()["version"] == 2
    assert (await bench.client.get("/v1/products/MUG", params={"market": "DE"})).status_code == 404
    assert (await bench.client.get("/v1/products/MUG")).json()["status"] == "withdrawn"
    assert (await put(a_product()))[0]["version"] == 3
    assert (await bench.client.get("/v1/products/MUG", params={"market": "DE"})).status_code == 200
    told = [(type(event), event.version) for event in await bench.published()]
    assert told == [(ProductPublished, 1), (ProductWithdrawn, 2), (ProductPublished, 3)]


async def test_the_list_turns_its_pages_and_filters(bench: Bench, put: Put) -> None:
    await put(*[a_product(f"S{number}", category="odd" if number % 2 else "even") for number in range(5)])
    await bench.client.post("/v1/products/S3/withdrawal")
    seen: list[str] = []
    after: str | None = None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        body = (await bench.client.get("/v1/products", params=params)).json()
        seen += [item["sku"] for item in body["data"]]
        if not body["has_more"]:
            break
        after = body["next"]
    assert seen == ["S0", "S1", "S2", "S3", "S4"]
    for params, skus in (
        ({"category": "odd"}, ["S1", "S3"]),
        ({"status": "withdrawn"}, ["S3"]),
        ({"market": "FR"}, []),
        ({"market": "JP", "category": "even"}, ["S0", "S2", "S4"]),
    ):
        body = (await bench.client.get("/v1/products", params=params)).json()
        assert [item["sku"] for item in body["data"]] == skus
    assert (await bench.client.get("/v1/products", params={"categry": "odd"})).json()["code"] == "parameter.unknown"


async def test_another_store_sees_and_touches_nothing(bench: Bench, put: Put) -> None:
    await put(a_product())
    other = bench.client_of(OTHER_STORE)
    assert (await other.get("/v1/products/MUG")).status_code == 404
    assert (await other.get("/v1/products")).json()["data"] == []
    assert (await other.post("/v1/products/MUG/withdrawal")).status_code == 404
    taken = (await other.post("/v1/products:batch", json={"products": [a_product(weight_grams=1)]})).json()["data"][0]
    assert taken["problem"]["code"] == "product.sku_taken"
    assert (await bench.client.get("/v1/products/MUG")).json()["weight_grams"] == 350
    assert (await bench.client_of(None).get("/v1/products/MUG")).status_code == 401


async def test_a_sku_may_hold_what_sellers_write(bench: Bench, put: Put) -> None:
    await put(a_product("A/B 1.x-2"))
    assert (await bench.client.get("/v1/products/A%2FB%201.x-2")).json()["sku"] == "A/B 1.x-2"
    assert (await bench.client.post("/v1/products/A%2FB%201.x-2/withdrawal")).json()["status"] == "withdrawn"


async def test_two_replicas_that_create_one_sku_make_one_product(bench: Bench) -> None:
    replica = await bench.replica()
    body = {"products": [a_product()]}
    answers = await asyncio.gather(*(
        each.client.post("/v1/products:batch", json=body) for _ in range(5) for each in (bench, replica)
    ))  # fmt: skip
    outcomes = [answer.json()["data"][0]["outcome"] for answer in answers]
    assert sorted(outcomes) == ["created", *["unchanged"] * 9]
    assert len(await bench.published(ProductPublished)) == 1


async def test_markets_say_how_prices_are_shown(bench: Bench) -> None:
    found = {market["code"]: market for market in (await bench.client.get("/v1/markets")).json()["data"]}
    assert len(found) > 240
    assert found["DE"]["tax_rate_bps"] == 1900
    assert (found["US"]["currency"], found["US"]["shows_tax_included"]) == ("USD", False)
    assert (await bench.client.get("/v1/markets/JP")).json() == found["JP"]
    assert (await bench.client.get("/v1/markets/XX")).status_code == 404


async def test_a_price_in_a_currency_that_there_is_not_is_refused(put: Put) -> None:
    price = {"market": "DE", "price": {"amount": "999", "currency": "ZZZ"}, "foreign_currency": True}
    (result,) = await put(a_product("MUG") | {"prices": [price]})
    assert (result["outcome"], result["problem"]["code"]) == ("refused", "product.malformed")
    assert result["problem"]["errors"][0]["pointer"] == "/prices/0/price"
