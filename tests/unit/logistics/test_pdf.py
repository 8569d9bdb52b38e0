"""Papers on paper: pages, letters, the same bytes for the same data."""

from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from services.logistics.domain.packing import pack
from services.logistics.domain.papers import make_papers
from services.logistics.pdf import latin, render
from services.logistics.usecases.check_papers import check_papers
from shared.money import Money
from tests.builders.logistics import NOON, ORDER, RECIPIENT, SELLER, a_desk, a_product, confirmed, now, placed


def an_invoice(*skus: str, **changes: Any) -> dict[str, Any]:
    desk = a_desk(*(a_product(sku) for sku in skus or ("MUG-1",)))
    check_papers(placed(*skus, **changes), desk, now())
    consignment = desk.consignments[ORDER]
    consignment.plan(confirmed(*skus, quantity=changes.get("quantity", 2)).allocations)
    boxes = pack(consignment, desk, NOON)
    assert isinstance(boxes, list)
    consignment.boxes = boxes
    invoice, _ = make_papers(consignment, desk.products, SELLER, NOON)
    return invoice.data


def pages(data: dict[str, Any], kind: str = "commercial_invoice") -> list[str]:
    return [page.extract_text() for page in PdfReader(BytesIO(render(kind, data, RECIPIENT, NOON))).pages]


def test_the_same_paper_is_the_same_bytes() -> None:
    data = an_invoice()
    assert render("commercial_invoice", data, RECIPIENT, NOON) == render("commercial_invoice", data, RECIPIENT, NOON)


def test_a_long_invoice_repeats_its_head_and_loses_no_line() -> None:
    skus = [f"SKU-{number:03d}" for number in range(150)]
    found = pages(an_invoice(*skus))
    assert len(found) > 2
    assert all("HS code" in page for page in found[:3])
    assert all(sku in "".join(found) for sku in skus)


@pytest.mark.parametrize(
    ("price", "unit", "line"),
    [
        (Money(1299, "EUR"), "12.99", "25.98"),
        (Money(1500, "JPY"), "1500", "3000"),
        (Money(1234, "KWD"), "1.234", "2.468"),
    ],
)
def test_amounts_have_their_currencys_decimals(price: Money, unit: str, line: str) -> None:
    (page,) = pages(an_invoice(price=price))
    assert unit in page
    assert line in page


def test_the_invoice_adds_up_to_the_order() -> None:
    data = an_invoice("A", "B", quantity=3)
    order = placed("A", "B", quantity=3)
    lines = sum(int(line["line_value"]["amount"]) for line in data["lines"])
    parts = sum(int(data["totals"][name]["amount"]) for name in ("goods", "shipping", "duties", "taxes", "fees"))
    assert lines == order.totals.goods.amount
    assert parts == int(data["totals"]["total"]["amount"]) == order.totals.total.amount
    assert data["net_grams"] == 6 * 350 <= data["gross_grams"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Jürgen Groß", "Jürgen Groß"), ("Łódź", "Lódz"), ("Příliš", "Prílis"), ("Œuvre – 5 €", "OEuvre - 5 EUR"), ("山田", "??"),
        ("e\u0301", "é"), ("①", "1"), ("😀", "?"),
    ],
)  # fmt: skip
def test_letters_that_the_core_fonts_lack_lose_their_accents_or_become_question_marks(text: str, shown: str) -> None:
    assert latin(text) == shown


def test_a_question_mark_of_the_seller_is_no_missing_letter() -> None:
    data = an_invoice()
    data["lines"][0]["description"] = "What?"
    assert "cannot show" not in "".join(pages(data))
    data["lines"][0]["description"] = "山?"
    assert "cannot show" in "".join(pages(data))
