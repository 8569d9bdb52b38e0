"""What a bulk import leans on: one event a real change, and what is read can be put back as it is."""

from typing import Any

import pytest
import pytest_asyncio

from services.catalog.main import SERVICE
from services.catalog.schemas import ProductIn
from tests.fixtures.bench import OTHER_STORE, Bench, BenchFactory

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


async def put(bench: Bench, products: list[dict[str, Any]]) -> list[str]:
    response = await bench.client.post("/v1/products:batch", json={"products": products})
    assert response.status_code == 200, response.text
    return [item["outcome"] for item in response.json()["data"]]


async def events(bench: Bench) -> int:
    return await bench.database.fetchval("SELECT count(*) FROM outbox")


async def exported(bench: Bench, store: str = "", **query: Any) -> dict[str, Any]:
    client = bench.client_of(store) if store else bench.client
    response = await client.get("/v1/products:export", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def a_product(number: int, **other: Any) -> dict[str, Any]:
    return {"sku": f"S{number:03}", "titles": {"en": f"Mug {number}"}, "weight_grams": 350, **other}


async def test_of_a_full_batch_with_one_change_one_is_told(bench: Bench) -> None:
    await put(bench, [a_product(number) for number in range(500)])
    before = await events(bench)
    outcomes = await put(bench, [a_product(number, weight_grams=350 + (number == 7)) for number in range(500)])
    assert (before, await events(bench)) == (500, 501)
    assert [number for number, outcome in enumerate(outcomes) if outcome != "unchanged"] == [7]


@pytest.mark.parametrize(
    "product",
    [
        pytest.param(a_product(1), id="nothing but a title"),
        pytest.param(
            a_product(
                2,
                sku="A/B 007",
                titles={"pt-br": "Caneca", "zh-hant": "馬克杯"},
                descriptions={"de": "Fasst einen halben Liter;\nspülmaschinenfest."},
                bullets={"de": ["robust", "0,5 l"]},
                hs_code="6912.00",
                origin_country="PT",
                flags=["fragile"],
                media=[{"url": "https://cdn.example/mug.jpg", "alt": {"en-gb": "=A mug"}}],
                attributes={"lid": False, "one": 1, "code": "007"},
            ),
            id="texts, codes and attributes",
        ),
        pytest.param(
            a_product(
                3,
                prices=[
                    {"market": "JP", "price": {"amount": "1980", "currency": "JPY"}, "tax_included": False},
                    {"market": "DE", "price": {"amount": "1299", "currency": "EUR"}, "tax_rate_bps": 700},
                    {"market": "US", "price": {"amount": "0", "currency": "EUR"}, "foreign_currency": True},
                ],
            ),
            id="prices out of order, in another currency, with their own tax",
        ),
    ],
)
async def test_a_product_that_is_read_and_put_back_is_unchanged(bench: Bench, product: dict[str, Any]) -> None:
    assert await put(bench, [product]) == ["created"]
    (shown,) = (await exported(bench))["data"]
    assert set(shown) == set(ProductIn.model_fields)  # what is left out would be emptied
    assert await put(bench, [shown]) == ["unchanged"]
    assert await events(bench) == 1


async def test_a_product_that_was_mended_and_set_back_is_told_each_time(bench: Bench) -> None:
    outcomes = [await put(bench, [a_product(1, weight_grams=grams)]) for grams in (350, 360, 350)]
    assert outcomes == [["created"], ["updated"], ["updated"]]
    assert await events(bench) == 3


async def test_an_export_turns_its_pages_and_leaves_out_what_is_withdrawn_or_anothers(bench: Bench) -> None:
    await put(bench, [a_product(number) for number in range(5)])
    await bench.client.post("/v1/products/S001/withdrawal")
    first = await exported(bench, limit=2)
    rest = await exported(bench, limit=2, after=first["next"])
    assert [item["sku"] for item in first["data"] + rest["data"]] == ["S000", "S002", "S003", "S004"]
    assert (first["has_more"], rest["has_more"], rest["next"]) == (True, False, None)
    assert (await exported(bench, store=OTHER_STORE))["data"] == []
