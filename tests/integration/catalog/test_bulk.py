"""`freeport bulk` over the real catalog: its export, its batch, its ledger of events."""

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from freeport.api import Api
from freeport.bulk.products import Import, Options, Report, export
from freeport.bulk.spool import Spool
from services.catalog.main import SERVICE
from tests.fixtures.bench import KEYS, OTHER_STORE, STORE, Bench, BenchFactory

pytestmark = pytest.mark.integration

RICH: dict[str, Any] = {
    "sku": "A/B 007",
    "titles": {"pt-br": "Caneca", "zh-hant": "馬克杯", "en": "=Mug"},
    "descriptions": {"de": "Fasst einen halben Liter;\r\n'-spülmaschinenfest\"."},
    "bullets": {"de": ["robust", "0,5 l"], "en": ["[one]"]},
    "media": [{"url": "https://cdn.example/mug.jpg", "alt": {"en-gb": "=A mug"}}, {"url": "https://cdn.example/2.jpg"}],
    "hs_code": "0901.21",
    "origin_country": "PT",
    "claims_preference": True,
    "flags": ["liquid", "fragile"],
    "prices": [
        {"market": "DE", "price": {"amount": "1299", "currency": "EUR"}, "tax_rate_bps": 700},
        {"market": "KW", "price": {"amount": "4299", "currency": "KWD"}, "tax_included": False},
        {"market": "US", "price": {"amount": "1200", "currency": "EUR"}, "foreign_currency": True},
        {"market": "US", "price": {"amount": "1399", "currency": "USD"}},
    ],
    "attributes": {"lid": False, "one": 1, "code": "007"},
}


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    return await service_bench(SERVICE)


async def put(bench: Bench, *products: dict[str, Any]) -> None:
    response = await bench.client.post("/v1/products:batch", json={"products": list(products)})
    assert [item["problem"] for item in response.json()["data"]] == [None] * len(products)


async def events(bench: Bench) -> int:
    return await bench.database.fetchval("SELECT count(*) FROM outbox")


def as_store(bench: Bench, store: str) -> Api:
    return Api({"catalog": "http://bench"}, KEYS[store], bench.client_of(None), patience=5)


async def imported(bench: Bench, file: Path, **options: Any) -> Report:
    with Spool.opened() as spool:
        return await Import(as_store(bench, STORE), spool, Options(**options), lambda _: None).run(file)


async def exported(bench: Bench, file: Path, store: str = STORE) -> int:
    with Spool.opened() as spool:
        return await export(as_store(bench, store), spool, file, ",")


@pytest.mark.parametrize("name", ["products.csv", "products.xlsx"])
async def test_an_export_of_more_than_a_page_imports_again_and_tells_nobody(
    bench: Bench, tmp_path: Path, name: str
) -> None:
    plain = [{"sku": f"S{number:03}", "titles": {"en": f"Mug {number}"}} for number in range(250)]
    await put(bench, RICH, *plain)
    before = await events(bench)
    assert await exported(bench, tmp_path / name) == 251
    report = await imported(bench, tmp_path / name, clear=True)
    assert (report.rows, report.unchanged, report.refused, await events(bench)) == (251, 251, 0, before)


async def test_one_event_a_real_change_and_a_dry_run_makes_none(bench: Bench, tmp_path: Path) -> None:
    await put(bench, RICH, {"sku": "PEN", "titles": {"en": "Pen"}}, {"sku": "OLD", "titles": {"en": "Old"}})
    assert (await bench.client.post("/v1/products/OLD/withdrawal")).status_code == 200
    before = await events(bench)
    file = tmp_path / "prices.csv"
    file.write_text(
        "sku,title:en,price:DE,price:KW\nA/B 007,,13.49,4.2990\nPEN,Pen,,\nNEW,New,1.00,\nOLD,Old,,\n", "utf-8"
    )
    for dry_run, counted, told in ((True, (1, 1, 1, 1), 0), (False, (1, 1, 1, 1), 2), (False, (0, 0, 3, 1), 2)):
        report = await imported(bench, file, dry_run=dry_run)
        assert (report.new, report.changed, report.unchanged, report.refused) == counted
        assert await events(bench) == before + told
    prices = (await bench.client.get("/v1/products/A/B 007")).json()["prices"]
    assert [price["price"]["amount"] for price in prices] == ["1349", "4299", "1200", "1399"]
    assert prices[0]["tax_rate_bps"] == 700


async def test_what_the_catalog_refuses_is_told_by_its_cell(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text(
        "sku,title:en,hs_code,price:US,tax_included:US\nA,One,770000,,\nB,Two,,10.00,true\nC," + "x" * 201 + ",,,\n",
        "utf-8",
    )
    report = await imported(bench, file)
    assert [(f"{error['letter']}{error['row']}", error["column"]) for error in report.errors] == [
        ("C2", "hs_code"),
        ("3", "tax_rate_bps:US:USD"),  # what is missing has no cell yet
        ("B4", "title:en"),
    ]
    assert report.new == 0


async def test_another_stores_products_are_neither_written_out_nor_over(bench: Bench, tmp_path: Path) -> None:
    await put(bench, RICH)
    assert await exported(bench, tmp_path / "theirs.csv", OTHER_STORE) == 0
    assert await exported(bench, tmp_path / "ours.csv") == 1
    with Spool.opened() as spool:
        report = await Import(as_store(bench, OTHER_STORE), spool, Options(), lambda _: None).run(tmp_path / "ours.csv")
    assert (report.new, report.refused) == (0, 1)
    assert report.errors[0]["why"] == "the SKU A/B 007 is in use"
