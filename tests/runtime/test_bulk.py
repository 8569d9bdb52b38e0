"""`freeport bulk` as a person at the command line sees it, over catalog's own rules behind a scripted transport."""

import json
import shlex
import zipfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freeport import cli
from freeport.api import Api
from freeport.bulk import cells, command, sheet, xlsx
from freeport.errors import StartupError
from freeport.platform import Platform
from services.catalog.domain.catalog import Catalog
from services.catalog.domain.product import Product
from services.catalog.market_book import market_book
from services.catalog.schemas import EnteredPriceOut, MediaOut, ProductBatchIn, ProductEntered
from services.catalog.usecases.publish_products import PublishProducts, publish_products
from shared.effects import Moment, Reply

KEY = "sk_test_1"
STORE = "str_1"
PAGE = (Path(__file__).parents[2] / "docs/bulk.md").read_text("utf-8")
NOW = datetime(2026, 11, 24, tzinfo=UTC)

MUG = {
    "sku": "MUG-01",
    "titles": {"de": "Becher", "en": "Mug"},
    "descriptions": {"en": '=1+1 is no formula here;\r\nbut a text, with "quotes"'},
    "bullets": {"en": ["dishwasher safe", "0.3 l"]},
    "media": [{"url": "https://example.org/mug.jpg", "alt": {"en": "A mug"}}],
    "category": "kitchen",
    "hs_code": "691200",
    "origin_country": "PT",
    "weight_grams": 350,
    "flags": ["fragile"],
    "claims_preference": True,
    "prices": [
        {"market": "DE", "price": {"amount": "1299", "currency": "EUR"}, "tax_included": True, "tax_rate_bps": 700},
        {"market": "JP", "price": {"amount": "1980", "currency": "JPY"}},
        {"market": "KW", "price": {"amount": "4299", "currency": "KWD"}, "tax_included": False},
        {"market": "US", "price": {"amount": "1200", "currency": "EUR"}, "foreign_currency": True},
        {"market": "US", "price": {"amount": "1399", "currency": "USD"}},
    ],
    "attributes": {"colour": "-red", "dishwasher": True, "year": 2026},
}
PEN = {
    "sku": "PEN",
    "titles": {"en": "@pen"},
    "prices": [{"market": "DE", "price": {"amount": "5", "currency": "EUR"}}],
}


class Store:
    """Catalog's API over its own models and its own decisions; a database's place is taken by a dictionary."""

    def __init__(self) -> None:
        self.catalog = Catalog(market_book())
        self.batches: list[tuple[str, list[dict[str, Any]]]] = []
        """Idempotency key and products of each batch."""
        self.dies_after = 10**9

    def put(self, *products: dict[str, Any]) -> list[dict[str, Any]]:
        body = ProductBatchIn.model_validate({"products": list(products)})
        command = PublishProducts(STORE, body.products)
        *_, reply = publish_products(
            command, self.catalog, Moment(decided_at=NOW, occurred_at=NOW, message_id="cmd_1", store_id=STORE)
        )
        assert isinstance(reply, Reply)
        return json.loads(json.dumps(reply.body))["data"]

    def entered(self, sku: str) -> dict[str, Any]:
        return json.loads(_entered(self.catalog.products[sku]).model_dump_json())

    def versions(self) -> dict[str, int]:
        return {sku: product.version for sku, product in self.catalog.products.items()}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        place, query = f"{request.method} {request.url.path}", request.url.params
        if place == "GET /v1/markets":
            data = [{"code": market.code, "currency": market.currency} for market in self.catalog.markets.all()]
            return httpx.Response(200, json={"data": data})
        if place == "GET /v1/products:export":
            return self._page([self.entered(sku) for sku in self._skus("published")], query)
        if place == "GET /v1/products":
            return self._page([{"sku": sku} for sku in self._skus(query["status"])], query)
        assert place == "POST /v1/products:batch"
        if len(self.batches) >= self.dies_after:
            raise httpx.ConnectError("refused")
        products = json.loads(request.content)["products"]
        self.batches.append((request.headers["idempotency-key"], products))
        return httpx.Response(200, json={"data": self.put(*products)})

    def _skus(self, status: str) -> list[str]:
        return sorted(sku for sku, product in self.catalog.products.items() if product.status == status)

    def _page(self, items: list[dict[str, Any]], query: httpx.QueryParams) -> httpx.Response:
        begin, limit = int(query.get("after", "0")), int(query["limit"])
        assert limit <= 200
        more = len(items) > begin + limit
        page = {"data": items[begin : begin + limit], "has_more": more, "next": str(begin + limit) if more else None}
        return httpx.Response(200, json=page)


def _entered(product: Product) -> ProductEntered:
    content = product.content
    return ProductEntered(
        sku=product.sku,
        titles=dict(content.titles),
        descriptions=dict(content.descriptions),
        bullets={tag: list(lines) for tag, lines in content.bullets.items()},
        media=[MediaOut(url=media.url, alt=dict(media.alt)) for media in content.media],
        category=content.category,
        hs_code=content.hs_code,
        origin_country=content.origin_country,
        weight_grams=content.weight_grams,
        flags=list(content.flags),
        claims_preference=content.claims_preference,
        prices=[EnteredPriceOut.model_validate(price) for price in content.prices],
        attributes=dict(content.attributes),
    )


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    scripted = Store()
    running = SimpleNamespace(urls={"catalog": "http://catalog"}, test_key=KEY)

    @asynccontextmanager
    async def opened(urls: dict[str, str], key: str) -> AsyncGenerator[Api]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(scripted)) as client:
            yield Api(urls, key, client, patience=0.05)

    monkeypatch.setattr(Platform, "load", lambda _: running)
    monkeypatch.setattr(command.Api, "opened", opened)
    return scripted


@pytest.fixture
def run(store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, and what is told on standard output or else on standard error, of `freeport bulk …`."""

    def go(*arguments: str | Path) -> tuple[int, str]:
        # rich keeps the streams that it found at its birth.
        for module, name, stderr in ((command, "out", False), (command, "err", True), (cli, "err", True)):
            monkeypatch.setattr(module, name, type(module.out)(stderr=stderr, width=120))
        code = cli.run(["bulk", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out or told.err

    return go


def written(directory: Path, text: str, encoding: str = "utf-8") -> Path:
    file = directory / "products.csv"
    file.write_bytes(text.encode(encoding))
    return file


def report(told: str) -> dict[str, Any]:
    return json.loads(told)


def counts(told: str) -> dict[str, int]:
    found = report(told)
    return {name: found[name] for name in ("new", "changed", "unchanged", "back_on_sale", "refused") if found[name]}


def test_an_export_imports_again_unchanged_and_sends_nothing(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG, PEN)
    for name in ("out.csv", "out.xlsx"):
        file = tmp_path / name
        assert run("export", "products", file) == (0, f"2 products in {file}\n")
        for more in ((), ("--clear",)):
            code, told = run("import", "products", file, "--json", *more)
            assert (code, counts(told)) == (0, {"unchanged": 2})
    assert store.batches == []


def test_an_export_makes_the_same_products_in_an_empty_catalog(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG, PEN)
    before = store.entered("MUG-01"), store.entered("PEN")
    for delimiter, suffix in (("comma", "csv"), ("semicolon", "csv"), ("tab", "csv"), ("comma", "xlsx")):
        file = tmp_path / f"{delimiter}.{suffix}"
        store.catalog.products = {}
        store.put(MUG, PEN)
        run("export", "products", file, "--delimiter", delimiter)
        store.catalog.products = {}
        code, told = run("import", "products", file, "--json")
        assert (code, counts(told)) == (0, {"new": 2})
        assert (store.entered("MUG-01"), store.entered("PEN")) == before


def test_no_cell_of_an_export_is_a_formula(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG, PEN)
    file = tmp_path / "out.csv"
    run("export", "products", file)
    assert file.read_bytes().startswith(b"\xef\xbb\xbfsku,")
    exported = [cell for _, row in sheet.read(file, sheet.look_at(file)) for cell in row]
    assert "'@pen" in exported
    assert not [cell for cell in exported if cell[:1] in tuple("=+-@\t\r")]


def test_a_file_of_skus_and_prices_keeps_all_that_it_does_not_name(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG)
    kept = store.entered("MUG-01")
    code, told = run("import", "products", written(tmp_path, "sku,price:DE\nMUG-01,13.49\n"))
    assert code == 0
    assert told.splitlines() == [
        "~ MUG-01 (row 2)",
        "    price:DE:EUR: 12.99 → 13.49",
        "1 rows: 0 are new, 1 are changed, 0 are back on sale, 0 unchanged, 0 refused",
    ]
    kept["prices"][0]["price"]["amount"] = "1349"
    assert store.entered("MUG-01") == kept


def test_a_sellers_own_columns_are_mapped_and_windows_files_with_decimal_commas_are_read(
    run: Run, store: Store, tmp_path: Path
) -> None:
    text = "Item no;Name;Preis;Lager\r\nA-1;Grüße für 5 €;1.299,50;7\r\n"
    mapping = ("--map", "sku=Item no", "--map", "title:DE=Name", "--map", "price:de=Preis")
    code, told = run("import", "products", written(tmp_path, text, "cp1252"), *mapping)
    assert code == 1
    assert "columns that nothing is known of: D (Lager); --map or --ignore-unknown" in told
    code, told = run("import", "products", written(tmp_path, text, "cp1252"), *mapping, "--ignore-unknown", "--json")
    assert (code, counts(told)) == (0, {"new": 1})
    assert (report(told)["encoding"], report(told)["ignored"]) == ("windows-1252", ["D (Lager)"])
    made = store.entered("A-1")
    assert made["titles"] == {"de": "Grüße für 5 €"}
    assert made["prices"][0]["price"] == {"amount": "129950", "currency": "EUR"}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_files_mark_says_its_encoding(run: Run, store: Store, tmp_path: Path, encoding: str) -> None:
    assert run("import", "products", written(tmp_path, "sku\ttitle:en\nA\tÄpfel\n", encoding))[0] == 0
    assert store.entered("A")["titles"] == {"en": "Äpfel"}


def test_excels_line_that_states_the_delimiter_is_no_row(run: Run, store: Store, tmp_path: Path) -> None:
    file = written(tmp_path, "sep=;\r\nsku;title:en\r\nA;One, two, three\r\nB;\r\n")
    code, told = run("import", "products", file, "--json")
    assert (code, counts(told), report(told)["errors"][0]["row"]) == (1, {"new": 1, "refused": 1}, 3)
    assert store.entered("A")["titles"] == {"en": "One, two, three"}


def test_a_space_after_a_sku_never_makes_or_meets_another_product(run: Run, store: Store, tmp_path: Path) -> None:
    store.put({"sku": "A ", "titles": {"en": "One"}})
    code, told = run("import", "products", written(tmp_path, 'sku,title:en\n"A ",Two\n" B\t",Three\n'), "--json")
    assert (code, counts(told)) == (1, {"new": 1, "refused": 1})
    assert "ends with a space" in report(told)["errors"][0]["why"]
    assert sorted(store.catalog.products) == ["A ", "B"]


def test_rejects_are_never_written_over_the_file_itself(run: Run, store: Store, tmp_path: Path) -> None:
    file = written(tmp_path, "sku,title:en\nA,\n")
    code, told = run("import", "products", file, "--rejects", tmp_path / "." / "products.csv")
    assert (code, "--rejects is the file itself" in told) == (1, True)
    assert file.read_text("utf-8") == "sku,title:en\nA,\n"


def test_an_error_names_its_cell_and_keeps_no_other_row_back(run: Run, store: Store, tmp_path: Path) -> None:
    text = (
        "sku,title:en,price:DE,price:JP,origin_country\n"
        "A,One,12.345,,\n"  # three decimals: a group or too fine
        "B,Two,1.5,10.5,\n"  # yen have no decimals
        "1.23E+12,Three,,,\n"
        "\n"
        "C,Four,2.00,300,\n"
        "C,Five,2.00,300,\n"
        "D,Six,,,XX\n"  # catalog's own refusal, told by its pointer
        "E,,,,\n"
    )
    code, told = run("import", "products", written(tmp_path, text), "--json")
    assert (code, counts(told)) == (1, {"new": 1, "refused": 6})
    found = [(one["letter"], one["row"], one["column"], one["value"]) for one in report(told)["errors"]]
    assert found == [
        ("C", 2, "price:DE", "12.345"),
        ("D", 3, "price:JP", "10.5"),
        ("A", 4, "sku", "1.23E+12"),
        ("A", 7, "sku", "C"),
        ("E", 8, "origin_country", "XX"),
        ("", 9, "", ""),
    ]
    assert store.entered("C")["titles"] == {"en": "Four"}
    assert [*store.catalog.products] == ["C"]


def test_rejects_are_the_rows_as_they_were_and_are_imported_when_mended(run: Run, store: Store, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    file = written(tmp_path, "sku;title:en;price:DE\nA;=One;x\nB;Two;1,50\nC;Three;1,5;9\n")
    code, told = run("import", "products", file, "--rejects", rejects)
    assert code == 1
    assert f"Refused rows: {rejects}" in told
    rows = [row for _, row in sheet.read(rejects, sheet.look_at(rejects))]
    assert rows[0] == ["sku", "title:en", "price:DE", "why"]
    assert rows[1] == ["A", "'=One", "x", "C2: not a number of zero or more, written in digits"]
    assert rows[2] == ["C", "Three", "1,5", "4 cells under 3 columns", "9"]
    mended = rejects.read_text("utf-8-sig").replace(";x;", ";2,75;").replace(";9", "")
    code, told = run("import", "products", written(tmp_path, mended), "--json")
    assert (code, counts(told)) == (0, {"new": 2})
    assert store.entered("A")["titles"] == {"en": "=One"}


def test_a_dry_run_tells_the_difference_and_writes_nothing(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG, PEN, {"sku": "OLD", "titles": {"en": "Old"}})
    store.catalog.products["OLD"].withdraw(NOW)
    before = store.versions()
    text = "sku,title:en,weight_grams\nMUG-01,Cup,350\nPEN,@pen,\nNEW,New,10\nOLD,Old again,\n"
    code, told = run("import", "products", written(tmp_path, text), "--dry-run", "--bring-back")
    assert code == 0
    assert told.splitlines() == [
        "~ MUG-01 (row 2)",
        "    title:en: Mug → Cup",
        "+ NEW (row 4)",
        "    title:en: (empty) → New",
        "    weight_grams: (empty) → 10",
        "↑ OLD (row 5)",
        "    title:en: (empty) → Old again",
        "4 rows: 1 would be new, 1 would be changed, 1 would be back on sale, 1 unchanged, 0 refused",
    ]
    assert (store.batches, store.versions()) == ([], before)


def test_a_withdrawn_product_comes_back_on_sale_only_when_that_is_said(run: Run, store: Store, tmp_path: Path) -> None:
    store.put({"sku": "OLD", "titles": {"en": "Old"}})
    store.catalog.products["OLD"].withdraw(NOW)
    file = written(tmp_path, "sku,title:en\nOLD,Old\n")
    code, told = run("import", "products", file)
    assert code == 1
    assert "✗ row 2: it is withdrawn: --bring-back" in told
    assert store.batches == []
    assert counts(run("import", "products", file, "--bring-back", "--json")[1]) == {"back_on_sale": 1}


def test_an_empty_cell_empties_only_when_that_is_said(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG)
    file = written(tmp_path, "sku,category,price:JP,title:de\nMUG-01,,,\n")
    assert counts(run("import", "products", file, "--json")[1]) == {"unchanged": 1}
    assert counts(run("import", "products", file, "--clear", "--json")[1]) == {"changed": 1}
    emptied = store.entered("MUG-01")
    assert (emptied["category"], emptied["titles"]) == ("", {"en": "Mug"})
    assert "JP" not in {price["market"] for price in emptied["prices"]}


def test_an_import_that_was_broken_off_goes_on_where_it_ended(run: Run, store: Store, tmp_path: Path) -> None:
    file = written(tmp_path, "sku,title:en\n" + "".join(f"S{n},Title {n}\n" for n in range(1200)))
    store.dies_after = 1
    code, told = run("import", "products", file)
    assert code == 1
    assert "Catalog gives no answer" in told
    assert len(store.catalog.products) == 500
    store.dies_after = 10**9
    assert counts(run("import", "products", file, "--json")[1]) == {"new": 700, "unchanged": 500}
    assert set(store.versions().values()) == {1}
    assert [len(products) for _, products in store.batches] == [500, 500, 200]
    assert len({key for key, _ in store.batches}) == 3


def test_the_same_file_undoes_what_somebody_changed_since(run: Run, store: Store, tmp_path: Path) -> None:
    file = written(tmp_path, "sku,title:en\nA,One\n")
    run("import", "products", file)
    store.put({"sku": "A", "titles": {"en": "Other"}})
    assert counts(run("import", "products", file, "--json")[1]) == {"changed": 1}
    assert store.entered("A")["titles"] == {"en": "One"}
    assert len({key for key, _ in store.batches}) == 2  # one key would have got the first answer again


@pytest.mark.parametrize(
    ("text", "arguments", "why"),
    [
        ("", (), "it is empty"),
        ("title:en\n", (), "there is no column sku"),
        ("sku,price:DE,price:DE:EUR\n", (), "price:DE:EUR is there twice, the second time as C"),
        ("sku,price:QQ\n", (), "the column B (price:QQ): there is no market QQ"),
        ("sku,title:english\n", (), "english is no language"),
        ("sku\n", ("--map", "title:en=Name"), "--map names the column 'Name', which the file does not have"),
        ("sku,Name\n", ("--map", "titel=Name"), "--map: there is no column 'titel'"),
        ('sku,title:en\nA,"never closed\n', (), "unexpected end of data"),
    ],
)
def test_a_file_that_is_no_table_of_products_is_refused_before_anything_is_sent(
    run: Run, store: Store, tmp_path: Path, text: str, arguments: tuple[str, ...], why: str
) -> None:
    code, told = run("import", "products", written(tmp_path, text), *arguments)
    assert code == 1
    assert why in told
    assert store.batches == []


@pytest.mark.parametrize(
    ("text", "sign", "currency", "minor"),
    [
        ("12.99", None, "EUR", 1299),
        ("12,99", None, "EUR", 1299),
        ("1.299,5", None, "EUR", 129950),
        ("1,299.50", None, "EUR", 129950),
        ("1 299,50", None, "EUR", 129950),
        ("1'299.50", None, "CHF", 129950),
        ("1.234.567", None, "JPY", 1234567),
        ("1.299", ",", "EUR", 129900),
        ("1.299", ".", "KWD", 1299),
        ("1.2990", None, "KWD", 1299),
        ("0.500", None, "KWD", 500),
        ("7", None, "EUR", 700),
    ],
)
def test_an_amount_is_read_exactly_into_minor_units(text: str, sign: Any, currency: str, minor: int) -> None:
    assert cells.minor_units(text, currency, sign) == minor


@pytest.mark.parametrize(
    ("text", "sign"),
    [("1.299", None), ("1,299", None), ("12.999,5", "."), ("12.99", ","), ("1.29.50", None), ("-1", None), ("", None),
     ("1e3", None), ("12.345", "."), ("٣", None), ("1,2345,678.5", None), ("NaN", None)],
)  # fmt: skip
def test_an_amount_that_may_be_two_or_none_is_refused(text: str, sign: Any) -> None:
    with pytest.raises(ValueError, match=r"may be|not a number|has 2 decimals"):
        cells.minor_units(text, "EUR", sign)


@given(st.integers(0, 10**15), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_every_amount_reads_back_as_it_was_written(amount: int, currency: str) -> None:
    assert cells.minor_units(cells.major_units(amount, currency), currency) == amount


@given(st.text(alphabet=st.sampled_from("'=+-@\t\r\na＝"), max_size=6) | st.text())
def test_a_guarded_cell_is_no_formula_and_reads_back_as_the_text(text: str) -> None:
    cell = sheet.guard(text)
    assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert sheet.unguard(cell) == text


@pytest.mark.parametrize(("index", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")])
def test_a_column_is_named_as_a_spreadsheet_names_it(index: int, name: str) -> None:
    assert sheet.letter(index) == name


def test_a_map_that_maps_nothing_is_refused(run: Run, store: Store, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="maps nothing"):
        command._names(["sku"])


def test_the_pages_example_is_what_is_told(run: Run, store: Store, tmp_path: Path) -> None:
    table, commands, told = PAGE.split("```")[1:6:2]
    store.put({"sku": "MUG-01", "titles": {"de": "Steinzeugbecher"}, "prices": [
        {"market": "DE", "price": {"amount": "1299", "currency": "EUR"}}]})  # fmt: skip
    file = written(tmp_path, table.strip() + "\n")
    arguments = shlex.split(commands.strip().splitlines()[-1])[2:]
    code, out = run(*(file if argument == "prices.csv" else argument for argument in arguments))
    assert (code, out.strip()) == (1, told.strip())


# ── XLSX ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def workbook(directory: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    page = cast("Any", book.active)
    for row in rows:
        page.append(row)
    book.save(directory / "products.xlsx")
    return directory / "products.xlsx"


def test_a_workbooks_numbers_are_exact_amounts_whatever_its_decimal_sign(
    run: Run, store: Store, tmp_path: Path
) -> None:
    rows = [["A", "One", 12.99, 4.299, 350, True], ["B", 2026, 0.1 + 0.2, 7, 350.0, False]]
    head = ["sku", "title:en", "price:DE", "price:KW", "weight_grams", "tax_included:DE"]
    for sign in ("auto", "comma", "point"):
        store.catalog.products = {}
        code, told = run("import", "products", workbook(tmp_path, head, *rows), "--decimal", sign, "--json")
        assert (code, counts(told), report(told)["encoding"]) == (0, {"new": 2}, "xlsx")
        one, two = store.entered("A"), store.entered("B")
        assert [price["price"]["amount"] for price in one["prices"]] == ["1299", "4299"]
        assert [price["price"]["amount"] for price in two["prices"]] == ["30", "7000"]
        assert (two["titles"], two["weight_grams"], two["prices"][0]["tax_included"]) == ({"en": "2026"}, 350, False)


def test_what_a_spreadsheet_made_of_a_cell_is_refused_with_its_reason(run: Run, store: Store, tmp_path: Path) -> None:
    file = workbook(
        tmp_path,
        ["sku", "title:en", "hs_code", "price:DE"],
        [471100, "number", "691200", 1],
        ["B", "hs code", 90121, 1],
        ["C", date(2026, 5, 1), "691200", 1],
        ["D", "never computed", "691200", "=1+1"],
        ["E", "too fine", "691200", 1.2345],
        ["F", "right", "0901.21", 1],
    )
    rejects = tmp_path / "rejects.xlsx"
    code, told = run("import", "products", file, "--rejects", rejects, "--json")
    assert (code, counts(told)) == (1, {"new": 1, "refused": 5})
    assert [
        (f"{one['letter']}{one['row']}", one["why"].partition(",")[0].partition(":")[0])
        for one in report(told)["errors"]
    ] == [
        ("A2", "a number"),
        ("C3", "a number"),
        ("B4", "a spreadsheet made a date of it"),
        ("D5", "a formula that was never computed"),
        ("D6", "EUR has 2 decimals"),
    ]
    first, *others = xlsx.read(rejects, None)
    assert first == (1, ["sku", "title:en", "hs_code", "price:DE", "why"])
    assert [row[0] for _, row in others] == ["471100", "B", "C", "D", "E"]
    assert others[3][1][3] == "'=1+1"


def test_a_workbooks_rows_are_numbered_as_it_shows_them(tmp_path: Path) -> None:
    file = workbook(tmp_path, ["sku"], [], ["A", None, ""], [None], ["B"])
    assert [*xlsx.read(file, None)] == [(1, ["sku"]), (3, ["A"]), (5, ["B"])]


@given(st.text(alphabet=st.sampled_from("a_x000D\r\n\t\x00\x1f =+'é😀\uffff"), min_size=1, max_size=20))
def test_every_text_is_read_from_a_workbook_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("texts") / "text.xlsx"
    with xlsx.writing(file) as write:
        write(["sku", "text", "end"])
        write(["A", text, "end"])
    (_, _), (_, row) = xlsx.read(file, None)
    assert [sheet.unguard(cell) for cell in row] == ["A", text, "end"]


def test_a_workbook_holds_texts_and_no_formulas(run: Run, store: Store, tmp_path: Path) -> None:
    store.put(MUG, PEN)
    run("export", "products", tmp_path / "out.xlsx")
    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    written = [cell for row in book.worksheets[0].iter_rows() for cell in row if cell.value is not None]
    assert {(cell.data_type, cell.number_format) for cell in written} == {("s", "@")}
    assert not [cell for cell in written if str(cell.value)[0] in "=+-@"]


def test_a_small_file_that_unpacks_to_much_is_not_unpacked(
    run: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = workbook(tmp_path, ["sku"], ["A"])
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/more.xml", b" " * 2_000_000)
    monkeypatch.setattr(xlsx, "MOST_BYTES", 1_000_000)
    code, told = run("import", "products", bomb)
    assert code == 1
    assert "it unpacks to more than is read of one file" in told


def test_a_cell_too_long_for_a_workbook_is_never_cut(run: Run, store: Store, tmp_path: Path) -> None:
    texts = dict.fromkeys(("en", "de"), "x" * 200)
    store.put(MUG | {"media": [{"url": f"https://example.org/{n}" + "y" * 1500, "alt": texts} for n in range(20)]})
    code, told = run("export", "products", tmp_path / "out.xlsx")
    assert code == 1
    assert "a cell of XLSX holds 32767 characters" in told
    assert not (tmp_path / "out.xlsx").exists()
    assert run("export", "products", tmp_path / "out.csv")[0] == 0


@pytest.mark.parametrize("content", [b"PK\x03\x04 and nothing more", b""])
def test_what_is_no_workbook_is_refused(run: Run, store: Store, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "products.xlsx"
    file.write_bytes(content)
    code, told = run("import", "products", file)
    assert code == 1
    assert "it is no XLSX file" in told or "it is empty" in told


def test_an_empty_workbook_and_another_zip_are_refused(run: Run, store: Store, tmp_path: Path) -> None:
    assert "its first sheet is empty" in run("import", "products", workbook(tmp_path))[1]
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "sku")
    assert "it is no XLSX file" in run("import", "products", other)[1]
