"""Products from and to a table, as a client of catalog: what a file changes is found out first, and only that is sent."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from freeport.api import Api
from freeport.bulk import sheet, table
from freeport.bulk.cells import DecimalSign
from freeport.bulk.product_columns import Column, Product, cells, find_column, lay_over, ordered, pointed_at, value
from freeport.bulk.spool import Spool

WHY = "why"
"""The column that a file of rejects has more than what was read; an import does not read it."""

IDENTIFIERS = frozenset({"sku", "hs_code"})
"""Columns whose cells are texts even if they are digits alone."""

_PAGE = 200
_BATCH = 500
_BATCH_BYTES = 4 * 1024 * 1024  # half of what a body may have
_SHORT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a file is read and what may come of it. `names` are the file's names of our columns."""

    names: Mapping[str, str] = field(default_factory=dict[str, str])
    decimal: DecimalSign | None = None
    clear: bool = False
    bring_back: bool = False
    ignore_unknown: bool = False
    dry_run: bool = False
    shown: int = 20


@dataclass(slots=True, kw_only=True)
class Report:
    """What a file says over the catalog, and what became of it. `changes` and `errors` are the first so many."""

    encoding: str
    delimiter: str
    ignored: list[str]
    dry_run: bool
    rows: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    back_on_sale: int = 0
    refused: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Header:
    """The file's first row: its cells, and the column at each place that is read."""

    names: list[str]
    columns: Mapping[int, Column]
    ignored: list[str]

    def place(self, wanted: Column | None) -> tuple[str, str, int | None]:
        """Letter, name as the file has it, and index of a column; empty when the file does not have it."""
        for index, column in self.columns.items():
            if column == wanted:
                return sheet.letter(index), self.names[index], index
        return "", wanted.name if wanted else "", None


@dataclass(frozen=True, slots=True)
class _Item:
    """A row that changes something."""

    row: int
    product: Product
    kind: str
    before: dict[Column, str]
    after: dict[Column, str]


class Import:
    """One file over one store's catalog. Memory is that of a batch, whatever the sizes of both.

    Nothing is remembered between runs: what is already in the catalog is unchanged, so that the same command again goes on.
    """

    def __init__(self, api: Api, spool: Spool, options: Options, tell: Callable[[str], None]) -> None:
        self._api = api
        self._spool = spool
        self._options = options
        self._tell = tell
        self._run = uuid.uuid4().hex
        self._sent = 0
        self._names: list[str] = []
        self._delimiter = ","

    async def run(self, path: Path) -> Report:
        """Read, compare, and unless it is a dry run send. Raises SheetError, Problem, TimeoutError."""
        form = table.look_at(path)
        currencies = {
            market["code"]: market["currency"] for market in (await self._api.get("catalog", "/v1/markets"))["data"]
        }
        rows = table.read(path, form, self._options.decimal)
        names = [sheet.unguard(name) for name in next(rows)[1]]
        self._names, self._delimiter = names, form.delimiter
        header = _header(names, self._options, currencies)
        report = Report(
            encoding=form.encoding, delimiter=form.delimiter, ignored=header.ignored, dry_run=self._options.dry_run
        )
        for row, line in rows:
            report.rows += 1
            self._read(row, line, header)
        self._tell(f"{report.rows} rows read; reading the catalog")
        await self._read_catalog()
        await self._settle(header, currencies, report)
        report.refused = self._spool.refused()
        report.errors = self._spool.errors(self._options.shown)
        return report

    def write_rejects(self, path: Path) -> None:
        """The refused rows as they were, with a column more that says why: to be mended and imported again. After `run`."""
        names = self._names
        keep = [index for index, name in enumerate(names) if name.strip().lower() != WHY]
        with table.writing(path, self._delimiter) as write:
            write([*(names[index] for index in keep), WHY])
            for line, why in self._spool.rejects():
                padded = [*line, *[""] * (len(names) - len(line))]
                write([*(sheet.unguard(padded[index]) for index in keep), why, *padded[len(names) :]])

    def _read(self, row: int, line: list[str], header: _Header) -> None:
        self._spool.raw(row, line)
        if len(line) > len(header.names):
            self._spool.error(row, "", "", "", f"{len(line)} cells under {len(header.names)} columns")
            return
        said: dict[str, Any] = {}
        for index, column in header.columns.items():
            cell = sheet.unguard(line[index]) if index < len(line) else ""
            try:
                if isinstance(cell, sheet.Odd):
                    raise ValueError(cell.why)
                if isinstance(cell, sheet.Number) and column.field in IDENTIFIERS:
                    raise ValueError(
                        "a number, whose leading zeros are lost: format the column as text, enter it again"
                    )
                if cell.strip():
                    said[column.name] = value(column, cell, self._options.decimal)
                elif column.field == "sku":
                    raise ValueError("a row needs a SKU")
                elif self._options.clear:
                    said[column.name] = None
            except ValueError as error:
                self._spool.error(row, sheet.letter(index), header.names[index], cell[:_SHORT], str(error))
        if (sku := said.get("sku")) is not None and (earlier := self._spool.line(row, sku, said)) is not None:
            letter, name, _ = header.place(Column("sku"))
            self._spool.error(row, letter, name, sku, f"row {earlier} has this SKU already")

    async def _read_catalog(self) -> None:
        async for product in self._api.pages("catalog", "/v1/products:export", limit=_PAGE):
            self._spool.known(product)
        async for product in self._api.pages("catalog", "/v1/products", status="withdrawn", limit=_PAGE):
            self._spool.withdrawn(product["sku"])

    async def _settle(self, header: _Header, currencies: Mapping[str, str], report: Report) -> None:
        columns = {column.name: column for column in header.columns.values()}
        batch: list[_Item] = []
        size = 0
        for row, said, known, withdrawn in self._spool.lines():
            item = self._compare(
                row, {columns[name]: what for name, what in said.items()}, known, withdrawn, currencies
            )
            if item is None:
                continue
            if item.kind == "unchanged":
                report.unchanged += 1
                continue
            weight = len(orjson.dumps(item.product))
            if len(batch) == _BATCH or (batch and size + weight > _BATCH_BYTES):
                await self._send(batch, header, report)
                batch, size = [], 0
            batch.append(item)
            size += weight
        if batch:
            await self._send(batch, header, report)

    def _compare(
        self,
        row: int,
        said: Mapping[Column, Any],
        known: Product | None,
        withdrawn: bool,
        currencies: Mapping[str, str],
    ) -> _Item | None:
        if withdrawn and not self._options.bring_back:
            self._spool.error(
                row, "", "", "", "it is withdrawn: --bring-back puts it on sale again, as this row alone says"
            )
            return None
        try:
            product = lay_over(None if withdrawn else known, said, currencies)
        except ValueError as error:
            self._spool.error(row, "", "", "", str(error))
            return None
        if not product["titles"]:
            self._spool.error(
                row, "", "", "", "a product needs a title in at least one language: a column like title:en"
            )
            return None
        before, after = cells(known) if known and not withdrawn else {}, cells(product)
        kind = "back_on_sale" if withdrawn else "new" if not known else "unchanged" if before == after else "changed"
        return _Item(row, product, kind, before, after)

    async def _send(self, batch: Sequence[_Item], header: _Header, report: Report) -> None:
        if self._options.dry_run:
            for item in batch:
                self._count(item, item.kind, report)
            return
        self._sent += 1
        # A key of this run's own: one made of the content alone would, after somebody else's change, answer with the first run's outcome.
        answer = await self._api.post(
            "catalog",
            "/v1/products:batch",
            {"products": [item.product for item in batch]},
            key=f"bulk-{self._run}-{self._sent}",
        )
        for item, result in zip(batch, answer.body["data"], strict=True):
            if result["outcome"] == "refused":
                self._refused(item, result["problem"], header)
            elif result["outcome"] == "unchanged":
                report.unchanged += 1
            else:
                self._count(item, item.kind, report)
        done = report.new + report.changed + report.back_on_sale
        self._tell(f"{done} products written, {report.unchanged} unchanged, of {report.rows} rows")

    def _refused(self, item: _Item, problem: Mapping[str, Any], header: _Header) -> None:
        for error in problem["errors"] or [{"pointer": "", "message": problem["detail"]}]:
            letter, name, index = header.place(pointed_at(error["pointer"], item.product))
            cell = "" if index is None else "".join(self._spool.cells(item.row)[index : index + 1])
            self._spool.error(item.row, letter, name or error["pointer"], cell[:_SHORT], error["message"])

    def _count(self, item: _Item, kind: str, report: Report) -> None:
        setattr(report, kind, getattr(report, kind) + 1)
        if len(report.changes) < self._options.shown:
            differing = [
                column for column in ordered([*item.before.keys() | item.after.keys()])
                if item.before.get(column) != item.after.get(column)
            ]  # fmt: skip
            report.changes.append(
                {
                    "row": item.row,
                    "sku": item.product["sku"],
                    "kind": kind,
                    "cells": [
                        {"column": column.name, "from": item.before.get(column, ""), "to": item.after.get(column, "")}
                        for column in differing
                        if column.field != "sku"
                    ],
                }
            )


async def export(api: Api, spool: Spool, path: Path, delimiter: str) -> int:
    """Write all published products, as an import reads them back; how many. Raises Problem, TimeoutError, OSError."""
    columns = {Column("sku"), Column("title", ("en",))}
    async for product in api.pages("catalog", "/v1/products:export", limit=_PAGE):
        spool.known(product)
        columns.update(cells(product))
    chosen = ordered([*columns])
    written = 0
    with table.writing(path, delimiter) as write:
        write([column.name for column in chosen])
        for product in spool.products():
            row = cells(product)
            write([row.get(column, "") for column in chosen])
            written += 1
    return written


def _header(names: list[str], options: Options, currencies: Mapping[str, str]) -> _Header:
    """Which column is where. Raises SheetError for what is twice, unknown or missing."""
    ours = {theirs.strip(): wanted for wanted, theirs in options.names.items()}
    if absent := sorted(ours.keys() - {name.strip() for name in names}):
        raise sheet.SheetError(f"--map names the column {absent[0]!r}, which the file does not have")
    columns: dict[int, Column] = {}
    unknown: list[str] = []
    for index, name in enumerate(names):
        plain = name.strip()
        if plain.lower() == WHY and plain not in ours:
            continue
        try:
            found = find_column(ours.get(plain, plain), currencies)
        except ValueError as error:
            raise sheet.SheetError(f"the column {sheet.letter(index)} ({plain}): {error}") from error
        if found is None and plain in ours:
            raise sheet.SheetError(f"--map: there is no column {ours[plain]!r}")
        if found is None:
            unknown.append(f"{sheet.letter(index)} ({plain})")
        elif found in columns.values():
            raise sheet.SheetError(f"the column {found.name} is there twice, the second time as {sheet.letter(index)}")
        else:
            columns[index] = found
    if unknown and not options.ignore_unknown:
        raise sheet.SheetError(f"columns that nothing is known of: {', '.join(unknown)}; --map or --ignore-unknown")
    if Column("sku") not in columns.values():
        raise sheet.SheetError('there is no column sku; --map "sku=Item no" says which it is')
    return _Header(names, columns, unknown)
