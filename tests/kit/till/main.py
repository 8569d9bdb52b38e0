"""A till counts: it adds up what orders it hears of, and what it is told over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from prometheus_client import Counter

from shared.contracts.orders import OrderCancelled, OrderCompleted, OrderConfirmed
from shared.contracts.support import ReturnRequested
from shared.contracts.values import ReturnLine
from shared.database import Connection
from shared.effects import Answered, Call, Deadline, Decision, Due, Effects, Moment, Reply
from shared.errors import Refusal
from shared.http import PROBLEMS, Body, Caller, Commands, Sku, requires
from shared.ids import derive_id
from shared.messaging.message import Message
from shared.messaging.routing import Router
from shared.runtime import Service
from shared.settings import ServiceSettings

BROKEN: set[str] = {"poison"}
"""What the till's use cases stumble over; a test mends them by emptying it."""


@dataclass(slots=True)
class Till:
    """Counts by name; `known` are those that have a row."""

    counts: dict[str, int]
    known: frozenset[str] = frozenset()
    changed: set[str] = field(default_factory=set[str])

    def add(self, name: str, units: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + units
        self.changed.add(name)


@dataclass(frozen=True, slots=True)
class Add:
    """Add units to a name."""

    name: str
    units: int


def add(command: Add, till: Till, now: Moment) -> Decision:
    """Refuses what would go below zero."""
    if command.name in BROKEN:
        raise ZeroDivisionError("a bug in a use case")
    if till.counts.get(command.name, 0) + command.units < 0:
        return Refusal(code="till.short", detail=f"{command.name} would go below zero", clears_with="more units")
    till.add(command.name, command.units)
    return [told(command.name, now), Reply({"name": command.name, "count": till.counts[command.name]}, status=201)]


def told(name: str, now: Moment) -> ReturnRequested:
    """Some event, keyed by the name."""
    return ReturnRequested(
        order_id=name,
        return_id=derive_id("rtn", now.message_id),
        lines=(ReturnLine(sku=name, quantity=1, reason="test"),),
    )


def count(event: OrderConfirmed, till: Till, now: Moment) -> Effects:
    """Counts an order; an order of something broken shows a bug."""
    if any(allocation.sku in BROKEN for allocation in event.allocations):
        raise ZeroDivisionError("a bug in a use case")
    till.add(event.order_id, 1)
    return [told(event.order_id, now), Deadline("till.close", event.order_id, now.decided_at + timedelta(hours=1))]


def double(event: OrderCancelled, till: Till, now: Moment) -> Effects:
    """Doubles: not commutative with counting, so an order of decisions shows."""
    till.add(event.order_id, till.counts.get(event.order_id, 0))
    return []


def close(due: Due, till: Till, now: Moment) -> Effects:
    """Closing asks the outside world."""
    till.add("closed", 1)
    return [Call(derive_id("cal", due.key, "ring"), "till.ring", due.key, {"name": due.key})]


def rung(answered: Answered, till: Till, now: Moment) -> Effects:
    """An unknown outcome rings again, as another call."""
    if answered.answer is None:
        return [Call(derive_id("cal", answered.id, "again"), "till.ring", answered.key, answered.request)]
    till.add("rung", 1)
    return []


def routes(on: Router[Till]) -> None:
    """What the till hears."""
    on(Add, add)
    on(OrderConfirmed, count)
    on(OrderCancelled, double)
    on(OrderCompleted, lambda event, till, now: [])
    on.due("till.close", close)
    on.answered("till.ring", rung)


async def load(messages: Sequence[Message], connection: Connection) -> Till:
    """All counts that the messages may touch."""
    names = {"closed", "rung"}
    for message in messages:
        match message.body:
            case Add(name):
                names.add(name)
            case OrderConfirmed() | OrderCancelled():
                names.add(message.body.order_id)
            case _:
                pass
    rows = await connection.fetch(
        "SELECT name, units FROM till WHERE name = ANY($1) ORDER BY name FOR UPDATE", sorted(names)
    )
    counts = {row["name"]: row["units"] for row in rows}
    return Till(counts, frozenset(counts))


async def save(till: Till, connection: Connection) -> None:
    """Rows that were loaded are locked and updated; rows that were not there are inserted, and another's stop us."""
    old, new = sorted(till.changed & till.known), sorted(till.changed - till.known)
    await connection.execute(
        "UPDATE till t SET units = n.units FROM unnest($1::text[], $2::int[]) AS n(name, units) WHERE t.name = n.name",
        old,
        [till.counts[name] for name in old],
    )
    await connection.execute(
        "INSERT INTO till (name, units) SELECT * FROM unnest($1::text[], $2::int[])",
        new,
        [till.counts[name] for name in new],
    )


COUNTED = Counter("till_names_counted_total", "Names whose count a transaction has changed.")


def count_names(till: Till) -> None:
    """After the commit."""
    COUNTED.inc(len(till.changed))


class AddIn(Body):
    """Units to add."""

    name: Sku
    units: int


router = APIRouter(prefix="/v1", tags=["till"])


@router.post("/additions", operation_id="till.add", responses=PROBLEMS)
async def post_addition(
    body: AddIn, caller: Annotated[Caller, requires("till:write", idempotent=True)], commands: Commands
) -> Response:
    """Add units to a name."""
    return await commands.execute(caller, Add(body.name, body.units))


SERVICE = Service(
    name="till",
    settings=ServiceSettings,
    api=[router],
    routes=routes,
    load=load,
    save=save,
    count=count_names,
    package=__package__ or "tests.kit.till",
)
