"""The command line of the audit."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from freeport.audit import money, orders, stock, streams
from freeport.audit.check import SHOWN, Verdict, ask
from freeport.audit.quiet import Outside, books_at_rest
from freeport.layout import SANDBOXES, SERVICES
from freeport.platform import Platform

CHECKS = (*streams.CHECKS, *stock.CHECKS, *orders.CHECKS, *money.CHECKS)


def audit(
    home: Annotated[
        Path | None, typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout).")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait at most until nothing is under way.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Check the invariants over all databases and the provider's book. Exit code 1 when any is broken."""
    verdicts = asyncio.run(audit_platform(Platform.load(home), wait=wait))
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report(verdicts), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        print_verdicts(verdicts, Console())
    if not all(verdict.ok for verdict in verdicts):
        raise typer.Exit(1)


async def audit_platform(platform: Platform, *, wait: float) -> list[Verdict]:
    """Wait at most `wait` seconds for rest, then ask every check; that it did not come to rest is a violation, too."""
    urls = {service: platform.database_url(service) for service in SERVICES if service in platform.urls}
    outside = Outside(**{name: file for name in SANDBOXES if (file := _book(platform, name)).exists()})
    async with books_at_rest(urls, outside, wait) as (books, work):
        restless = (f"after {wait:.0f} s there are still {work}",) if work.any else ()
        rest = Verdict("platform.at_rest", "nothing is under way", len(urls), restless)
        return [rest, *[await ask(check, books) for check in CHECKS]]


def _book(platform: Platform, sandbox: str) -> Path:
    return platform.sandbox_directory(sandbox) / f"{sandbox}.sqlite3"


def report(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """`{"ok": bool, "checks": [{"name", "ok", "checked", "violations"}]}`."""
    return {"ok": all(verdict.ok for verdict in verdicts), "checks": [verdict.as_json() for verdict in verdicts]}


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """A line for each check; what is broken is spelled out below it."""
    table = Table("", "invariant", "checked", box=None, header_style="dim")
    for verdict in verdicts:
        mark = "[dim]-[/]" if verdict.skipped else "[green]✓[/]" if verdict.ok else "[bold red]✗[/]"
        table.add_row(mark, verdict.says, verdict.skipped or f"{verdict.checked:,}")
    console.print(table, highlight=False)
    for verdict in verdicts:
        if not verdict.ok:
            console.print(f"[bold red]{verdict.name}[/]: {len(verdict.violations):,} violations", highlight=False)
            for violation in verdict.violations[:SHOWN]:
                console.print(f"  {violation}", markup=False, highlight=False, soft_wrap=True)
