"""The verdict of a demo: a table for people, a file for programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from freeport.audit.check import Verdict
from freeport.audit.command import report as audit_report
from freeport.demo.scene import Result, verdict

SCHEMA = 1  # of the file; raised when a field changes its meaning


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What was played and what the audit found afterwards. `started_at` is RFC 3339 UTC."""

    started_at: str
    seconds: float
    run: str
    results: Sequence[Result]
    audit: Sequence[Verdict]

    @property
    def verdict(self) -> str:
        """`pass` when every scene was as expected and the audit found nothing, else `fail`."""
        kept = bool(self.audit) and all(check.ok for check in self.audit)
        return verdict(self.results) if kept else "fail"

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "started_at": self.started_at,
            "seconds": round(self.seconds, 1),
            "run": self.run,
            "scenes": [result.as_json() for result in self.results],
            "audit": audit_report(self.audit),
        }

    def write(self, file: Path) -> None:
        """Whole or not at all."""
        unfinished = file.with_suffix(".new")
        unfinished.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
        unfinished.replace(file)

    def print(self, console: Console) -> None:
        """The verdict table."""
        table = Table("", "scene", "expected", "observed", "s", header_style="dim", row_styles=("", "dim"))
        for result in self.results:
            mark = "[green]✓[/]" if result.ok else "[bold red]✗[/]"
            table.add_row(mark, result.name, result.expected, _plain(result.observed), f"{result.seconds:.1f}")
        broken = [check.name for check in self.audit if not check.ok]
        asked = sum(check.checked for check in self.audit)
        found = f"broken: {', '.join(broken)}" if broken else f"{len(self.audit)} invariants over {asked:,} facts hold"
        mark = "[bold red]✗[/]" if broken or not self.audit else "[green]✓[/]"
        table.add_row(
            mark, "audit", "every invariant holds over all databases", found if self.audit else "not made", ""
        )
        console.print(table)
        colour = "green" if self.verdict == "pass" else "red"
        console.print(f"[bold {colour}]{self.verdict.upper()}[/] in {self.seconds:.0f} s", highlight=False)


def _plain(text: str) -> str:
    # Rich reads brackets as markup.
    return text.replace("[", r"\[")
