"""The label as a PDF of A6 size, with the tracking number as a Code 39 bar code."""

import unicodedata
from typing import Any

from fpdf import FPDF


def render(label: dict[str, Any]) -> bytes:
    """`label` is a row of the book: tracking, service, kind, reference, weight_grams, origin, body."""
    pdf = FPDF(unit="mm", format=(105, 148))
    pdf.set_auto_page_break(False)
    pdf.set_margin(6)
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 16)
    pdf.cell(
        w=0,
        h=9,
        text="RETURN" if label["kind"] == "return" else _latin(label["service"]).upper(),
        new_x="LMARGIN",
        new_y="NEXT",
    )
    pdf.set_font("Helvetica", size=10)
    pdf.cell(w=0, h=6, text=f"From {label['origin']}   {label['weight_grams']} g", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(3)
    pdf.set_font("Helvetica", size=12)
    for line in _address(label["body"]["to"]):
        pdf.cell(w=0, h=6, text=_latin(line), new_x="LMARGIN", new_y="NEXT")
    pdf.code39(f"*{label['tracking']}*", x=6, y=104, w=0.45, h=22)
    pdf.set_xy(6, 128)
    pdf.set_font("Courier", "B", 14)
    pdf.cell(w=0, h=7, text=label["tracking"], align="C", new_x="LMARGIN", new_y="NEXT")
    pdf.set_font("Courier", size=8)
    pdf.cell(w=0, h=5, text=_latin(label["reference"]), align="C")
    return bytes(pdf.output())


def _address(recipient: dict[str, Any]) -> list[str]:
    address = recipient.get("address", {})
    town = " ".join(part for part in (address.get("postcode", ""), address.get("city", "")) if part)
    lines = [
        recipient.get("name", ""),
        address.get("line1", ""),
        address.get("line2", ""),
        town,
        address.get("region", ""),
    ]
    return [line for line in (*lines, address.get("country", "")) if line]


def _latin(text: str) -> str:
    """The nearest text that the PDF core fonts can show; what they cannot becomes a question mark."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("latin-1", "replace").decode("latin-1")
