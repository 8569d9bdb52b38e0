"""CSV as sellers' programs write it: encodings, delimiters, rows as a spreadsheet counts them, cells that are no formulas."""

import codecs
import csv
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_BLOCK = 1 << 16
_DELIMITERS = ",;\t|"
_LONGEST_CELL = 1_000_000  # characters: far above a description, far below what hurts
_STATED = re.compile(r"sep=([,;\t|])[\r\n]*", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

# What a spreadsheet takes for a formula when a cell begins with it (OWASP, CSV Injection), after apostrophes that guard it.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


class SheetError(ValueError):
    """The file cannot be read as a table."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written."""

    encoding: str
    delimiter: str
    skip: int = 0
    """Lines before the header that are no rows: Excel's `sep=;`, which it does not show either."""


class Number(str):
    """A cell that is a number, not a text: of an identifier a spreadsheet has dropped leading zeros."""

    __slots__ = ()


class Odd(str):
    """A cell that says nothing that could be meant; `why` says why."""

    __slots__ = ("why",)

    def __new__(cls, text: str, why: str) -> "Odd":
        cell = super().__new__(cls, text)
        cell.why = why
        return cell

    why: str


class Writer(Protocol):
    def __call__(self, cells: Iterable[str], /) -> object: ...


def look_at(path: Path) -> Form:
    """The file's form, judged by all of its bytes and its first line. Raises SheetError, OSError."""
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        header = file.readline(_LONGEST_CELL)
    if not header.strip():
        raise SheetError("it is empty, or its first line is")
    if stated := _STATED.fullmatch(header):
        return Form(encoding, stated[1], skip=1)
    outside = re.sub(r'"[^"]*"', "", header)
    return Form(encoding, max(_DELIMITERS, key=outside.count))


def read(path: Path, form: Form) -> Iterator[tuple[int, list[str]]]:
    """Rows with their number in a spreadsheet (the header is 1), as they are; empty ones are left out. Raises SheetError."""
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding=form.encoding, newline="") as file:
        for _ in range(form.skip):
            file.readline()
        rows = csv.reader(file, delimiter=form.delimiter, strict=True)
        try:
            for number, cells in enumerate(rows, start=1):
                if any(cell.strip() for cell in cells):
                    yield number, cells
        except csv.Error as error:
            raise SheetError(f"line {rows.line_num}: {error}") from error


@contextmanager
def writing(path: Path, delimiter: str = ",") -> Generator[Writer]:
    """Writes a table row by row: UTF-8 with the mark by which Excel knows it; no cell is a formula."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")

        def write(cells: Iterable[str]) -> object:
            return table.writerow([guard(cell) for cell in cells])

        yield write


def guard(text: str) -> str:
    """The text as a cell that no spreadsheet computes: an apostrophe before what would be a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguard(cell: str) -> str:
    """The text that `guard` was given; `unguard(guard(text)) == text` for every text."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def letter(index: int) -> str:
    """A column's name in a spreadsheet: 0 is A, 26 is AA."""
    name = ""
    while index >= 0:
        index, place = divmod(index, 26)
        name = chr(ord("A") + place) + name
        index -= 1
    return name


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    marked = next((encoding for bom, encoding in _BOMS if start.startswith(bom)), None)
    for encoding in (marked,) if marked else ("utf-8", "windows-1252"):
        if _decodes(path, encoding):
            return encoding
    raise SheetError(f"it is not {marked}, though it says so" if marked else "it is neither UTF-8 nor Windows-1252")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True
