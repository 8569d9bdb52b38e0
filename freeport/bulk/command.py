"""The command line: `freeport bulk import products FILE`, `freeport bulk export products FILE`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import orjson
import typer
from rich.console import Console
from rich.text import Text

from freeport.api import Api, Problem
from freeport.bulk import sheet
from freeport.bulk.cells import DecimalSign
from freeport.bulk.products import Import, Options, Report, export
from freeport.bulk.spool import Spool
from freeport.errors import StartupError
from freeport.platform import Platform

T = TypeVar("T")
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}

bulk = typer.Typer(help="Products in bulk, from and to CSV and XLSX files.", no_args_is_help=True)
importing = typer.Typer(help="A file over what is there.", no_args_is_help=True)
exporting = typer.Typer(help="What is there as a file that imports again unchanged.", no_args_is_help=True)
bulk.add_typer(importing, name="import")
bulk.add_typer(exporting, name="export")
out = Console()
err = Console(stderr=True)

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@importing.command("products")
def import_products(
    file: Annotated[Path, typer.Argument(help="CSV or XLSX; form, delimiter and encoding are found out.")],
    names: Annotated[
        list[str] | None, typer.Option("--map", help='Our column and the file\'s: "sku=Item no"; may be repeated.')
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; tell what would change.")] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            "--rejects", help="Write refused rows here (CSV, or XLSX by the name), with a column that says why."
        ),
    ] = None,
    decimal: Annotated[
        Literal["auto", "point", "comma"], typer.Option(help="The decimal sign; auto refuses what may be either.")
    ] = "auto",
    clear: Annotated[
        bool, typer.Option("--clear", help="An empty cell empties; else it leaves what is there.")
    ] = False,
    bring_back: Annotated[bool, typer.Option("--bring-back", help="Put withdrawn products on sale again.")] = False,
    ignore_unknown: Annotated[bool, typer.Option("--ignore-unknown", help="Leave unknown columns out.")] = False,
    show: Annotated[int, typer.Option(min=0, help="How many changes and errors to tell of.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lay a file over the catalog: what a row does not name stays, and what is the same already is not sent.

    The same command again goes on where one was broken off. Exit code 1 when a row was refused.
    """
    if rejects is not None and rejects.resolve() == file.resolve():
        raise StartupError("--rejects is the file itself", why="it would be written over", fix="another name")
    options = Options(
        names=_names(names or []),
        decimal=cast("DecimalSign | None", {"point": ".", "comma": ","}.get(decimal)),
        clear=clear,
        bring_back=bring_back,
        ignore_unknown=ignore_unknown,
        dry_run=dry_run,
        shown=show,
    )

    async def work(api: Api, spool: Spool) -> Report:
        run = Import(api, spool, options, _tell_progress)
        report = await run.run(file)
        if rejects is not None and report.refused:
            run.write_rejects(rejects)
        return report

    report = _at(home, work, file)
    if as_json:
        _print_json(report.as_json())
    else:
        _print(report, rejects)
    if report.refused:
        raise typer.Exit(1)


@exporting.command("products")
def export_products(
    file: Annotated[Path, typer.Argument(help="CSV, or XLSX if the name ends so; written over if it is there.")],
    delimiter: Annotated[
        Literal["comma", "semicolon", "tab"], typer.Option(help="What parts cells; semicolon where commas are decimal.")
    ] = "comma",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all products that are on sale, in every language and with every price."""

    async def work(api: Api, spool: Spool) -> int:
        return await export(api, spool, file, _DELIMITERS[delimiter])

    written = _at(home, work, file)
    if as_json:
        _print_json({"products": written, "file": str(file)})
    else:
        out.print(f"{written} products in {file}", highlight=False, markup=False, soft_wrap=True)


def _names(pairs: list[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for pair in pairs:
        wanted, equals, theirs = pair.partition("=")
        if not equals or not wanted.strip() or not theirs.strip() or wanted.strip() in names:
            raise StartupError(
                f"--map {pair} maps nothing",
                why="it wants our column, =, and the file's, each once",
                fix='--map "sku=Item no"',
            )
        names[wanted.strip()] = theirs
    return names


def _at(home: Path | None, do: Callable[[Api, Spool], Awaitable[T]], file: Path) -> T:
    platform = Platform.load(None if home is None else home.absolute())
    urls = platform.urls
    if "catalog" not in urls:
        raise StartupError(
            "Catalog does not run here", why="it was left out", fix="`freeport up` without --without catalog"
        )

    async def run() -> T:
        with Spool.opened() as spool:
            async with Api.opened(urls, platform.test_key) as api:
                return await do(api, spool)

    try:
        return asyncio.run(run())
    except (sheet.SheetError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise StartupError(
                "Catalog gives no answer", why=str(error), fix="`freeport status`, then the same command: it goes on"
            ) from error
        raise StartupError(f"{file} cannot be used", why=str(error), fix="docs/bulk.md tells the form") from error
    except Problem as problem:
        raise StartupError(
            "Catalog refused", why=str(problem), fix="The same command again goes on where this one ended"
        ) from problem


def _tell_progress(text: str) -> None:
    if err.is_terminal:
        err.print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


def _print(report: Report, rejects: Path | None) -> None:
    for line in _lines(report):
        out.print(Text(line), soft_wrap=True)
    for error in report.errors:
        place = f"{error['letter']}{error['row']}" if error["letter"] else f"row {error['row']}"
        what = f" {error['column']} {error['value']!r}" if error["value"] else f" {error['column']}".rstrip()
        out.print(Text(f"✗ {place}{what}: {error['why']}", style="red"), soft_wrap=True)
    verb = "would be" if report.dry_run else "are"
    out.print(
        f"{report.rows} rows: {report.new} {verb} new, {report.changed} {verb} changed, {report.back_on_sale} {verb} back on"
        f" sale, {report.unchanged} unchanged, {report.refused} refused",
        highlight=False,
        soft_wrap=True,
    )
    if report.refused:
        told = f"Refused rows: {rejects}" if rejects else "--rejects FILE writes refused rows to be mended"
        out.print(told, style="dim", highlight=False, markup=False, soft_wrap=True)


def _lines(report: Report) -> list[str]:
    lines = [f"Left out: {', '.join(report.ignored)}"] if report.ignored else []
    if report.encoding == "windows-1252":
        lines.append("Read as Windows-1252, since it is not UTF-8")
    marks = {"new": "+", "changed": "~", "back_on_sale": "↑"}
    for change in report.changes:
        lines.append(f"{marks[change['kind']]} {change['sku']} (row {change['row']})")
        lines += [f"    {cell['column']}: {_short(cell['from'])} → {_short(cell['to'])}" for cell in change["cells"]]
    told = report.new + report.changed + report.back_on_sale - len(report.changes)
    return [*lines, f"… and {told} more"] if told > 0 else lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return "(empty)" if not line else line if len(line) <= 60 else f"{line[:60]}…"


def _print_json(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()
