"""What a run says at its end: JSON for machines, a table for people, and the one command that repeats it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.judge import Judgement
from tests.chaos.load import Outcome, Request
from tests.chaos.schedule import Record

SHOWN = 40


@dataclass(frozen=True, slots=True)
class Summary:
    """All of a run. `logs` is where the logs of its processes are, while they are kept."""

    seed: int
    minutes: float
    command: str
    record: Record
    history: tuple[Request, ...]
    judgement: Judgement
    seconds: dict[str, float]
    logs: Path

    @property
    def harmless(self) -> list[str]:
        """The faults that had no effect, each with why."""
        return [f"{struck.name} had no effect: {struck.why}" for struck in self.record.struck if not struck.bit]

    @property
    def violations(self) -> list[str]:
        return [*self.judgement.violations, *self.harmless]

    @property
    def ok(self) -> bool:
        return bool(self.record.struck) and not self.violations

    def as_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "faults": self._faults(),
            "left_out": self.record.left_out,
            "orders": self._orders(),
            "held": dict(sorted(self.judgement.holds.items())),
            "checked": self.judgement.checked,
            "violations": self.violations,
            "recovered_s": self.judgement.recovered_s,
            "seconds": self.seconds,
            "ok": self.ok,
            "again": self.command,
            **({} if self.ok else {"logs": str(self.logs)}),
        }

    def _faults(self) -> list[dict[str, Any]]:
        """By name; `bit` is how many of its times it was seen to bite."""
        times = Counter(struck.name for struck in self.record.struck)
        bit = Counter(struck.name for struck in self.record.struck if struck.bit)
        rows = {struck.name: struck.row for struck in self.record.struck}
        return [{"name": name, "row": rows[name], "times": n, "bit": bit[name]} for name, n in times.items()]

    def _orders(self) -> dict[str, int]:
        orders = [request for request in self.history if request.kind == "order"]
        outcomes = Counter(request.outcome for request in orders)
        return {
            "sent": len(orders),
            "acknowledged": outcomes[Outcome.OK],
            "refused": outcomes[Outcome.FAILED],
            "unknown": outcomes[Outcome.UNKNOWN],
            "asked_again": sum(request.unknown > 0 for request in orders),
            "told_to_wait": sum(request.busy > 0 for request in orders),
            **dict(sorted(self.judgement.statuses.items())),
        }

    def print(self, console: Console) -> None:
        faults = Table("at", "row", "fault", "took", "bit", box=None, header_style="dim")
        for struck in self.record.struck:
            proof = struck.bit or f"[bold red]no effect[/]: {struck.why}"
            faults.add_row(f"{struck.began_s:.0f} s", str(struck.row), struck.name, f"{struck.seconds:.1f} s", proof)
        console.print(faults, highlight=False)
        console.print(", ".join(f"{name} {n}" for name, n in self._orders().items()), highlight=False)
        held = ", ".join(f"{code} {n}" for code, n in sorted(self.judgement.holds.items()))
        console.print(f"held: {held or 'none'}", highlight=False)
        console.print(", ".join(f"{name} {value:.0f} s" for name, value in self.seconds.items()), highlight=False)
        violations = self.violations
        for violation in violations[:SHOWN]:
            console.print(f"  {violation}", style="red", markup=False, highlight=False, soft_wrap=True)
        if len(violations) > SHOWN:
            console.print(f"  … and {len(violations) - SHOWN} more")
        if self.ok:
            console.print(
                f"[green]seed {self.seed}: sound again {self.judgement.recovered_s} s after the last fault[/]"
            )
        else:
            console.print(f"[bold red]seed {self.seed}: {len(violations)} violations[/]; logs in {self.logs}")
        console.print(f"again: {self.command}", markup=False, highlight=False)
