"""XLSX, row by row in flat memory, and within bounds: a small file may unpack into more than a machine has."""

import re
import zipfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook
from openpyxl.cell import WriteOnlyCell

from freeport.bulk.cells import DecimalSign
from freeport.bulk.sheet import Number, Odd, SheetError, Writer, guard

MOST_BYTES = 512 * 1024 * 1024
"""What all parts of a file may unpack to."""
MOST_STRING_BYTES = 96 * 1024 * 1024
"""What its table of shared strings may unpack to, which is the only part that is held as a whole."""

_MOST_ROWS = 1_048_576  # a spreadsheet's own bound
_LONGEST_CELL = 32_767  # characters; a spreadsheet's own bound

# What XML cannot hold is written as ECMA-376 (22.9.2.19, ST_Xstring) has it: a carriage return is _x000D_.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_WRITTEN = re.compile("_x([0-9A-Fa-f]{4})_")


def is_xlsx(path: Path) -> bool:
    """Whether it is a ZIP file, which no CSV begins like. Raises OSError."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def read(path: Path, sign: DecimalSign | None) -> Iterator[tuple[int, list[str]]]:
    """Rows of the first sheet with their numbers; empty ones are left out. Numbers are written with `sign`. Raises SheetError."""
    _check_bounds(path)
    try:
        # The values as they were last computed, and beside them what is a formula: one never computed looks like an empty cell.
        values, formulas = (load_workbook(path, read_only=True, data_only=only) for only in (True, False))
    except Exception as error:  # what a broken file makes it raise is in no list
        raise SheetError(f"it is no XLSX file: {type(error).__name__}: {error}") from error
    empty = True
    try:
        for number, (row, beside) in enumerate(zip(_rows(values), _rows(formulas), strict=True), start=1):
            cells = [_text(cell, other, sign) for cell, other in zip(row, beside, strict=True)]
            while cells and not cells[-1]:  # a cell that has a colour alone is in the file
                cells.pop()
            if any(cell.strip() for cell in cells):
                empty = False
                yield number, cells
        if empty:
            raise SheetError("its first sheet is empty")
    finally:
        values.close()
        formulas.close()


@contextmanager
def writing(path: Path) -> Generator[Writer]:
    """Writes a table row by row; each cell is a text, so that no program makes a number or a formula of it. Raises SheetError."""
    book = Workbook(write_only=True)
    table: Any = book.create_sheet("Freeport")

    def write(cells: Iterable[str]) -> object:
        return table.append([_cell(table, guard(cell)) if cell else None for cell in cells])

    try:
        yield write
    except BaseException:
        table.close()
        raise
    book.save(path)


def _check_bounds(path: Path) -> None:
    # A part never unpacks to more than its entry says: zipfile stops there.
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile as error:
        raise SheetError(f"it is no XLSX file: {error}") from error
    strings = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
    if sum(part.file_size for part in parts) > MOST_BYTES or strings > MOST_STRING_BYTES:
        raise SheetError("it unpacks to more than is read of one file: part it, or save it as CSV")


def _rows(book: Any) -> Iterator[tuple[Any, ...]]:
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # many programs write wrong ones, and rows beyond would be left out
        yield from sheet.iter_rows(max_row=_MOST_ROWS)
    except Exception as error:  # what a broken file makes it raise is in no list
        raise SheetError(f"its first sheet cannot be read: {type(error).__name__}: {error}") from error


def _text(cell: Any, formula: Any, sign: DecimalSign | None) -> str:
    value = cell.value
    if value is None and formula.data_type == "f":
        return Odd(str(formula.value), "a formula that was never computed: open the file in a spreadsheet and save it")
    if value is None:
        return ""
    if cell.data_type == "e":
        return Odd(str(value), "a formula that failed")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value, sign)
    if isinstance(value, str):
        return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), value)
    return Odd(str(value), "a spreadsheet made a date of it: format the column as text, enter it again")


def _number(value: float, sign: DecimalSign | None) -> Number:
    text = str(value) if isinstance(value, int) else format(value, ".15g")  # as exact as a spreadsheet is
    whole, point, part = text.partition(".")
    # What parts a number's decimals is known here: three of them are no group.
    return Number(f"{whole}{sign or point}{part}{'0' if len(part) == 3 else ''}" if point else text)


def _cell(table: Any, text: str) -> Any:
    if len(text) > _LONGEST_CELL:
        raise SheetError(f"a cell of XLSX holds {_LONGEST_CELL} characters, {text[:40]!r}… has {len(text)}: write CSV")
    cell: Any = WriteOnlyCell(table, _UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text))
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
