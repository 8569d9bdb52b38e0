"""Papers as PDFs of A4 size, out of their frozen data.

The PDF core fonts know Latin-1 only, and no font is shipped here. A letter outside of it loses its accent where that
helps; one that still cannot be shown becomes a question mark, and a note under the paper says so. With
`FREEPORT_PDF_FONT` (a TrueType file) everything that the font has is shown.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from shared.money import Money

_MISSING = "?"
_NOTE = "Characters that this font cannot show are printed as '?'; the data of this paper has them in full."
_EXTRA = {"ß": "ß", "Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Œ": "OE", "œ": "oe", "ı": "i", "–": "-", "—": "-",
          "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "…": "...", "€": "EUR", "\u00a0": " "}  # fmt: skip

_INVOICE_COLUMNS = (
    ("Line", 9, "R"), ("SKU", 25, "L"), ("Description", 50, "L"), ("HS code", 23, "L"), ("Origin", 12, "L"),
    ("Qty", 12, "R"), ("Unit value", 20, "R"), ("Line value", 22, "R"), ("Net g", 17, "R"),
)  # fmt: skip
_PACKING_COLUMNS = (
    ("SKU", 35, "L"), ("Description", 75, "L"), ("HS code", 27, "L"), ("Origin", 15, "L"), ("Qty", 15, "R"), ("Net g", 23, "R"),
)  # fmt: skip


class Sheet:
    """A page that grows downwards, with a table that repeats its head on every page."""

    def __init__(self, title: str, made_at: datetime, font: str | None = None) -> None:
        self._pdf = FPDF(format="A4", unit="mm")
        self._pdf.set_margin(10)
        self._pdf.set_auto_page_break(True, margin=15)
        self._pdf.set_creation_date(made_at)  # the same paper is the same file
        self._pdf.set_title(title)
        self._family = "Helvetica"
        self._unicode = font is not None
        if font is not None:
            self._family = "Paper"
            for style in ("", "B"):
                self._pdf.add_font("Paper", style, font)
        self._lossy = False
        self._pdf.add_page()
        self._set(16, "B")
        self._line(title, 10)

    def pair(self, name: str, value: str) -> None:
        """A labelled value; nothing where there is none."""
        if not value:
            return
        self._set(9, "B")
        self._pdf.cell(w=38, h=5, text=self._shown(name))
        self._set(9)
        self._line(value, 5)

    def block(self, heading: str, lines: Sequence[str]) -> None:
        """A heading with lines under it."""
        self._pdf.ln(2)
        self._set(9, "B")
        self._line(heading, 5)
        self._set(9)
        for line in lines:
            if line:
                self._line(line, 4.5)

    def table(self, columns: Sequence[tuple[str, int, str]], rows: Sequence[Sequence[str]]) -> None:
        """Rows under a head; a text that is too long for its column is cut."""
        self._pdf.ln(3)
        self._head(columns)
        for row in rows:
            if self._pdf.will_page_break(5):
                self._pdf.add_page()
                self._head(columns)
            self._set(8)
            self._cells(columns, row)
        self._pdf.ln(2)

    def finish(self) -> bytes:
        """The file."""
        if self._lossy:
            self._pdf.ln(3)
            self._set(7)
            self._line(_NOTE, 4)
        return bytes(self._pdf.output())

    def _head(self, columns: Sequence[tuple[str, int, str]]) -> None:
        self._set(8, "B")
        self._cells(columns, [name for name, _, _ in columns], border="B")

    def _cells(self, columns: Sequence[tuple[str, int, str]], row: Sequence[str], border: str = "") -> None:
        for (_, width, align), value in zip(columns, row, strict=True):
            text = self._fitted(self._shown(value), width)
            self._pdf.cell(w=width, h=5, text=text, align=align, border=border or 0)
        self._pdf.ln(5)

    def _fitted(self, text: str, width: int) -> str:
        room = width - 2 * self._pdf.c_margin
        while text and self._pdf.get_string_width(text) > room:
            text = text[:-1]
        return text

    def _line(self, text: str, height: float) -> None:
        self._pdf.multi_cell(w=0, h=height, text=self._shown(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _set(self, size: int, style: str = "") -> None:
        self._pdf.set_font(self._family, style, size)

    def _shown(self, text: str) -> str:
        if self._unicode:
            return text
        shown = latin(text)
        self._lossy = self._lossy or shown.count(_MISSING) > text.count(_MISSING)
        return shown


def latin(text: str) -> str:
    """The text in Latin-1: as it is where possible, without accents where that helps, else with question marks."""
    return "".join(_latin(character) for character in unicodedata.normalize("NFC", text))


def _latin(character: str) -> str:
    if character in _EXTRA:
        return _EXTRA[character]
    if ord(character) < 256:
        return character
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return plain if plain and all(ord(c) < 256 for c in plain) else _MISSING


def render(
    kind: str,
    data: Mapping[str, Any],
    recipient: Mapping[str, Any] | None,
    frozen_at: datetime,
    font: str | None = None,
) -> bytes:
    """The PDF of a paper. `recipient` is None once it was erased."""
    makers = {"commercial_invoice": _invoice, "packing_list": _packing_list}
    return makers[kind](data, recipient, frozen_at, font)


def _invoice(
    data: Mapping[str, Any], recipient: Mapping[str, Any] | None, frozen_at: datetime, font: str | None
) -> bytes:
    sheet = Sheet(f"Commercial invoice {data['number']}", frozen_at, font)
    _front(sheet, data, recipient)
    sheet.pair("Incoterm", f"{data['incoterm']} (Incoterms 2020)")
    sheet.pair("Currency", data["currency"])
    sheet.table(_INVOICE_COLUMNS, [_invoice_row(line) for line in data["lines"]])
    totals = {name: _money(value) for name, value in data["totals"].items()}
    for name, words in (
        ("goods", "Goods"),
        ("shipping", "Freight"),
        ("duties", "Duties"),
        ("taxes", "Taxes"),
        ("fees", "Fees"),
    ):
        if totals[name] or name in ("goods", "shipping"):
            sheet.pair(words, str(totals[name]))
    sheet.pair("Total", str(totals["total"]))
    sheet.pair("Net weight", f"{data['net_grams']} g")
    sheet.pair("Gross weight", f"{data['gross_grams']} g in {data['parcels']} parcel(s)")
    sheet.block("Declaration", ["The values above are the prices paid or payable for the goods."])
    return sheet.finish()


def _invoice_row(line: Mapping[str, Any]) -> list[str]:
    return [
        str(line["line"]),
        line["sku"],
        line["description"],
        line["hs_code"],
        line["origin"],
        str(line["quantity"]),
        str(_money(line["unit_value"]).decimal()),
        str(_money(line["line_value"]).decimal()),
        str(line["net_grams"]),
    ]


def _packing_list(
    data: Mapping[str, Any], recipient: Mapping[str, Any] | None, frozen_at: datetime, font: str | None
) -> bytes:
    sheet = Sheet(f"Packing list {data['number']}", frozen_at, font)
    _front(sheet, data, recipient)
    for number, parcel in enumerate(data["parcels"], start=1):
        sheet.block(
            f"Parcel {number} of {len(data['parcels'])}",
            [parcel["parcel_id"], f"From warehouse {parcel['warehouse']} ({parcel['country']})"],
        )
        sheet.table(_PACKING_COLUMNS, [_packing_row(item) for item in parcel["items"]])
        sheet.pair("Net weight", f"{parcel['net_grams']} g")
        sheet.pair("Gross weight", f"{parcel['gross_grams']} g")
    return sheet.finish()


def _packing_row(item: Mapping[str, Any]) -> list[str]:
    return [
        item["sku"],
        item["description"],
        item["hs_code"],
        item["origin"],
        str(item["quantity"]),
        str(item["net_grams"]),
    ]


def _front(sheet: Sheet, data: Mapping[str, Any], recipient: Mapping[str, Any] | None) -> None:
    sheet.pair("Date", data["date"])
    sheet.pair("Order", data["order_number"])
    sheet.pair("Destination", data["destination"])
    seller = data["seller"]
    numbers = [f"{name}: {seller[key]}" for name, key in (("Tax id", "tax_id"), ("EORI", "eori")) if seller[key]]
    place = f"{seller['postcode']} {seller['city']}".strip()
    sheet.block("Seller", [seller["name"], seller["line1"], place, seller["country"], *numbers])
    sheet.block("Buyer", _buyer(recipient))


def _buyer(recipient: Mapping[str, Any] | None) -> list[str]:
    if recipient is None:
        return ["(erased on request)"]
    address = recipient["address"]
    place = " ".join(filter(None, (address.get("postcode"), address.get("city"), address.get("region"))))
    return [recipient["name"], address.get("line1") or "", address.get("line2") or "", place, address["country"]]


def _money(value: Mapping[str, str]) -> Money:
    return Money(int(value["amount"]), value["currency"])
