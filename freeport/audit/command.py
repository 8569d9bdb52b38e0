"""The command line of the audit."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from freeport.audit import money, orders, parcels, stock, streams
from freeport.audit.attention import Findings, attention
from freeport.audit.check import SHOWN, Verdict, ask
from freeport.audit.quiet import Outside, books_at_rest
from freeport.layout import SERVICES
from freeport.platform import Platform

CHECKS = (*streams.CHECKS, *stock.CHECKS, *orders.CHECKS, *parcels.CHECKS, *money.CHECKS)


def audit(
    home: Annotated[
        Path | None, typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout).")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait at most until nothing is under way.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Check the invariants over all databases and the outside world's books, and list what needs a person.

    Exit code 1 when any invariant is broken; that somebody is owed money or that an order is held breaks none.
    """
    examination = asyncio.run(examine(Platform.load(home), wait=wait))
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(examination.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        console = Console()
        print_verdicts(examination.verdicts, console)
        print_attention(examination.attention, console)
    if not examination.ok:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Examination:
    """What came of an audit: a verdict on each invariant, and beside them what needs a person."""

    verdicts: list[Verdict]
    attention: list[Findings]

    @property
    def ok(self) -> bool:
        """Whether every invariant holds. What needs a person does not count."""
        return all(verdict.ok for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """`{"ok", "checks": […], "attention": [{"name", "count", "items": [{"about", "says", "clears_with"}]}]}`."""
        return report(self.verdicts) | {"attention": [findings.as_json() for findings in self.attention]}


async def examine(platform: Platform, *, wait: float) -> Examination:
    """Wait at most `wait` seconds for rest, then ask every check; that it did not come to rest is a violation, too."""
    urls = {service: platform.database_url(service) for service in SERVICES if service in platform.urls}
    outside = Outside(**{name: file for name in Outside.names() if (file := _book(platform, name)).exists()})
    async with books_at_rest(urls, outside, wait) as (books, work):
        restless = (f"after {wait:.0f} s there are still {work}",) if work.any else ()
        rest = Verdict("platform.at_rest", "nothing is under way", len(urls), restless)
        verdicts = [rest, *[await ask(check, books) for check in CHECKS]]
        return Examination(verdicts, await attention(books))


async def audit_platform(platform: Platform, *, wait: float) -> list[Verdict]:
    """The verdicts of `examine` alone."""
    return (await examine(platform, wait=wait)).verdicts


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


def print_attention(attention: Sequence[Findings], console: Console) -> None:
    """What needs a person, and what would settle it; nothing when nothing does."""
    matters = [findings for findings in attention if findings.items]
    if matters:
        console.print("\nNo invariant, but somebody must look:", style="bold yellow")
    for findings in matters:
        console.print(f"[yellow]{findings.says}[/]: {len(findings.items):,}", highlight=False)
        for item in findings.items[:SHOWN]:
            line = f"  {item.about}: {item.says} → {item.clears_with}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        if len(findings.items) > SHOWN:
            console.print(f"  … and {len(findings.items) - SHOWN:,} more", highlight=False)
