"""Reading an order export, line by line, without judging what it says."""

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
# The second edition of the data set (Online Retail II) renamed two of its columns.
_ALIASES = {"invoice": "invoiceno", "price": "unitprice"}
_GZIP = b"\x1f\x8b"


class ExportError(ValueError):
    """The file is no order export at all: says which column is missing, or what could not be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the file as text. `number` is where it begins, the header being line 1.

    `ragged` tells that it has more or fewer fields than the header.
    """

    number: int
    invoice: str
    sku: str
    description: str
    quantity: str
    date: str
    price: str
    customer: str
    country: str
    ragged: bool = False


def read_file(path: Path) -> Iterator[Row]:
    """The rows of a CSV file, gzip or not, as they are read. Raises ExportError, OSError."""
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        # `GzipFile` gives bytes; its stubs say less than what it is.
        binary = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
        with TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="") as text:
            try:
                yield from read_lines(text)
            except (gzip.BadGzipFile, EOFError) as error:
                raise ExportError(f"{path.name} is not a whole gzip file: {error}") from error


def read_lines(lines: Iterable[str]) -> Iterator[Row]:
    """The rows below a header that names the columns, in any order and any case. Raises ExportError."""
    # strict=False: a stray quotation mark belongs to the text, as it does in a spreadsheet.
    reader = csv.reader(lines)
    try:
        header = next(reader, None)
        if header is None:
            raise ExportError("the file is empty")
        places = _places(header)
        begins = reader.line_num + 1
        for fields in reader:
            if fields:
                yield _row(begins, fields, places, len(header))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise ExportError(f"line {reader.line_num}: {error}") from error


def _places(header: Sequence[str]) -> list[int]:
    names = [_ALIASES.get(name, name) for name in ("".join(column.split()).lower() for column in header)]
    missing = [column for column in COLUMNS if column.lower() not in names]
    if missing:
        raise ExportError(f"the header names no {', '.join(missing)}; it must name {', '.join(COLUMNS)}")
    return [names.index(column.lower()) for column in COLUMNS]


def _row(number: int, fields: Sequence[str], places: Sequence[int], width: int) -> Row:
    values = [fields[place].strip() if place < len(fields) else "" for place in places]
    return Row(number, *values, ragged=len(fields) != width)
