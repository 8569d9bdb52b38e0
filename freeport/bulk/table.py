"""A table in a file, whichever of the forms that Freeport reads: CSV or XLSX."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from freeport.bulk import sheet, xlsx
from freeport.bulk.cells import DecimalSign
from freeport.bulk.sheet import Form, Writer

XLSX = Form("xlsx", ",")


def look_at(path: Path) -> Form:
    """The file's form, judged by its content. Raises SheetError, OSError."""
    return XLSX if xlsx.is_xlsx(path) else sheet.look_at(path)


def read(path: Path, form: Form, sign: DecimalSign | None) -> Iterator[tuple[int, list[str]]]:
    """Rows with their number in a spreadsheet (the header is 1); empty ones are left out. Raises SheetError."""
    return xlsx.read(path, sign) if form == XLSX else sheet.read(path, form)


@contextmanager
def writing(path: Path, delimiter: str) -> Generator[Writer]:
    """Writes a table row by row: XLSX if the name ends so, else CSV. No cell is a formula. Raises SheetError, OSError."""
    with xlsx.writing(path) if path.suffix.lower() == ".xlsx" else sheet.writing(path, delimiter) as write:
        yield write
