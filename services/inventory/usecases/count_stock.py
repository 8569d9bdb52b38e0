"""A warehouse system or an ERP says what was there at an instant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.inventory.domain import errors
from services.inventory.domain.count import CLOCK_SKEW, Count, Outcome, Since, judge
from services.inventory.domain.shelves import Shelves
from services.inventory.usecases.adjust_stock import tell_broken
from shared.effects import Decision, Effect, Moment, Reply
from shared.ids import derive_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedLine:
    """`quantity` units were there at `as_of`, in the source's `version` of what it knows about the SKU there."""

    sku: str
    quantity: int
    version: int
    as_of: datetime

    def known_at(self, now: datetime) -> datetime:
        """What a clock that is a little ahead says is taken as said now."""
        return min(self.as_of, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountStock:
    """Each SKU once. `source` names the system whose versions these are."""

    source: str
    warehouse: str
    lines: tuple[CountedLine, ...]


def count_stock(command: CountStock, shelves: Shelves, now: Moment) -> Decision:
    """Each line by itself: news are taken, what is not news is answered. The newest reservations break where too few are left."""
    warehouse = shelves.warehouses.get(command.warehouse)
    if warehouse is None or warehouse.store_id != now.store_id:
        return errors.unknown_warehouse(command.warehouse)
    cause = derive_id("cnt", now.message_id)
    effects: list[Effect] = []
    answers = [_count_line(command, line, cause, effects, shelves, now) for line in command.lines]
    answer = {
        "id": cause,
        "source": command.source,
        "warehouse": command.warehouse,
        "lines": answers,
        "broken_reservations": len(effects),
        "at": now.decided_at,
    }
    return [*shelves.settle(effects, now), Reply(answer, status=200)]


def _count_line(
    command: CountStock, line: CountedLine, cause: str, effects: list[Effect], shelves: Shelves, now: Moment
) -> dict[str, Any]:
    since = _since(command, line, shelves, now)
    outcome = _outcome(command, line, since, shelves, now)
    change = 0
    if outcome is Outcome.COUNTED:
        count = _count(command, line, since, shelves, now)
        change = count.change
        broken = shelves.take_count(count, cause, now)
        effects.extend(tell_broken(reservation, line.sku, command.warehouse, shelves) for reservation in broken)
    known = shelves.counts.newest.get((line.sku, command.warehouse, command.source))
    ours = outcome is not Outcome.TAKEN
    return {
        "sku": line.sku,
        "outcome": outcome,
        "version": line.version,
        "known_version": known.version if known and ours else None,
        "moved_since": since.moved if outcome is Outcome.COUNTED else 0,
        "change": change,
        "on_hand": shelves.item(line.sku).level(command.warehouse).on_hand if ours else 0,
    }


def _since(command: CountStock, line: CountedLine, shelves: Shelves, now: Moment) -> Since:
    """What the ledger tells, and what was decided before in the same batch."""
    instant = line.known_at(now.decided_at)
    stored = shelves.counts.since[line.sku, command.warehouse, instant]
    return stored.then(shelves.ledger, (line.sku, command.warehouse), instant)


def _outcome(command: CountStock, line: CountedLine, since: Since, shelves: Shelves, now: Moment) -> Outcome:
    if not shelves.may_stock(line.sku, now.store_id):
        return Outcome.TAKEN
    known = shelves.counts.newest.get((line.sku, command.warehouse, command.source))
    if (said := judge(line.version, line.quantity, known)) is not None:
        return said
    if line.as_of > now.decided_at + CLOCK_SKEW:
        return Outcome.FUTURE
    until = shelves.counts.until((line.sku, command.warehouse))
    if since.counted_at is not None or (until is not None and line.known_at(now.decided_at) < until):
        return Outcome.SUPERSEDED
    return Outcome.COUNTED


def _count(command: CountStock, line: CountedLine, since: Since, shelves: Shelves, now: Moment) -> Count:
    before = shelves.item(line.sku).level(command.warehouse).on_hand
    on_hand = max(0, line.quantity + since.moved)  # more left than was counted: none is what can be there
    return Count(
        sku=line.sku,
        warehouse=command.warehouse,
        source=command.source,
        version=line.version,
        as_of=line.known_at(now.decided_at),
        quantity=line.quantity,
        on_hand=on_hand,
        change=on_hand - before,
        store_id=now.store_id,
        actor=now.actor,
        counted_at=now.decided_at,
    )
