"""What a check is: a name, a sentence, and a question to the books."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from freeport.audit.books import Books

SHOWN = 50  # violations of one check that a report spells out


@dataclass(slots=True)
class Finding:
    """How many things were looked at, and what is wrong with which of them."""

    checked: int = 0
    violations: list[str] = field(default_factory=list[str])

    def add(self, checked: int, violations: Iterable[str]) -> "Finding":
        self.checked += checked
        self.violations += violations
        return self


Question = Callable[[Books], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant. `needs` are the services whose databases it reads; without them it cannot be asked."""

    name: str
    says: str
    needs: tuple[str, ...]
    ask: Question


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a check. `skipped` tells why it was not asked; it is then neither kept nor broken."""

    name: str
    says: str
    checked: int
    violations: tuple[str, ...]
    skipped: str = ""

    @property
    def ok(self) -> bool:
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        hidden = len(self.violations) - SHOWN
        more = [f"… and {hidden} more"] if hidden > 0 else []
        shown: dict[str, Any] = {
            "name": self.name,
            "ok": self.ok,
            "checked": self.checked,
            "violations": [*self.violations[:SHOWN], *more],
        }
        return shown | ({"skipped": self.skipped} if self.skipped else {})


async def ask(check: Check, books: Books) -> Verdict:
    """Ask one check; a service that is not there makes it skipped, which the report shows."""
    missing = [service for service in check.needs if not books.has([service])]
    if missing:
        return Verdict(check.name, check.says, 0, (), f"not built: {', '.join(missing)}")
    finding = await check.ask(books)
    return Verdict(check.name, check.says, finding.checked, tuple(finding.violations))
