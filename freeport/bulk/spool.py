"""Both sides of an import on disk, so that memory does not grow with the file or the catalog, whatever order they come in."""

import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

_SCHEMA = """
CREATE TABLE line (row INTEGER PRIMARY KEY, sku TEXT UNIQUE, said BLOB);
CREATE TABLE raw (row INTEGER PRIMARY KEY, cells BLOB);
CREATE TABLE known (sku TEXT PRIMARY KEY, product BLOB) WITHOUT ROWID;
CREATE TABLE withdrawn (sku TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE error (row INTEGER, letter TEXT, name TEXT, value TEXT, why TEXT);
CREATE INDEX error_row ON error (row);
"""


class Spool:
    """A temporary database; nothing in it outlives the command, so nothing in it needs to survive a crash."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    @classmethod
    @contextmanager
    def opened(cls) -> "Generator[Spool]":
        with tempfile.TemporaryDirectory(prefix="freeport-bulk-") as directory:
            connection = sqlite3.connect(Path(directory) / "spool.sqlite3", isolation_level=None)
            try:
                connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;")
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN")
                yield cls(connection)
            finally:
                connection.close()

    def raw(self, row: int, cells: list[str]) -> None:
        """A row as it was read."""
        self._db.execute("INSERT INTO raw VALUES (?, ?)", (row, orjson.dumps(cells)))

    def line(self, row: int, sku: str, said: dict[str, Any]) -> int | None:
        """What a row says, by column; or the row that said something of this SKU before."""
        try:
            self._db.execute("INSERT INTO line VALUES (?, ?, ?)", (row, sku, orjson.dumps(said)))
        except sqlite3.IntegrityError:
            return int(self._db.execute("SELECT row FROM line WHERE sku = ?", (sku,)).fetchone()[0])
        return None

    def known(self, product: dict[str, Any]) -> None:
        """A product as the catalog has it. Of two pages that overlap the later is right."""
        self._db.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (product["sku"], orjson.dumps(product)))

    def withdrawn(self, sku: str) -> None:
        """A product that is not sold any more."""
        self._db.execute("INSERT OR REPLACE INTO withdrawn VALUES (?)", (sku,))

    def products(self) -> Iterator[dict[str, Any]]:
        """What is known, by SKU."""
        for (product,) in self._db.execute("SELECT product FROM known ORDER BY sku"):
            yield orjson.loads(product)

    def lines(self) -> Iterator[tuple[int, dict[str, Any], dict[str, Any] | None, bool]]:
        """Row, what it says, the product as known, and whether it is withdrawn; in the file's order, without those that err."""
        found = self._db.execute(
            "SELECT line.row, said, product, withdrawn.sku IS NOT NULL FROM line LEFT JOIN known USING (sku)"
            " LEFT JOIN withdrawn USING (sku) WHERE NOT EXISTS (SELECT 1 FROM error WHERE error.row = line.row)"
            " ORDER BY line.row"
        )
        for row, said, product, withdrawn in found:
            yield row, orjson.loads(said), None if product is None else orjson.loads(product), bool(withdrawn)

    def error(self, row: int, letter: str, name: str, value: str, why: str) -> None:
        """What is wrong with a row; `letter` and `name` are its column's, empty when it is the row as a whole."""
        self._db.execute("INSERT INTO error VALUES (?, ?, ?, ?, ?)", (row, letter, name, value, why))

    def cells(self, row: int) -> list[str]:
        """A row as it was read."""
        return orjson.loads(self._db.execute("SELECT cells FROM raw WHERE row = ?", (row,)).fetchone()[0])

    def errors(self, most: int) -> list[dict[str, Any]]:
        """The first so many, in the file's order."""
        found = self._db.execute("SELECT * FROM error ORDER BY row, rowid LIMIT ?", (most,))
        return [dict(zip(("row", "letter", "column", "value", "why"), one, strict=True)) for one in found]

    def refused(self) -> int:
        """How many rows have an error."""
        return int(self._db.execute("SELECT count(DISTINCT row) FROM error").fetchone()[0])

    def rejects(self) -> Iterator[tuple[list[str], str]]:
        """The rows that have an error, as they were read, with all that is wrong with them."""
        found = self._db.execute(
            "SELECT cells, group_concat(CASE letter WHEN '' THEN why ELSE letter || row || ': ' || why END, '; ')"
            " FROM (SELECT * FROM error ORDER BY row, rowid) JOIN raw USING (row) GROUP BY row ORDER BY row"
        )
        for cells, why in found:
            yield orjson.loads(cells), why
