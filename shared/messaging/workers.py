"""The loops that bring due deadlines, answers of the outside world and released parked events to the desk."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Protocol

import structlog

from shared.database import Connection, Database, is_transient
from shared.effects import Call
from shared.messaging import positions
from shared.messaging.desk import Desk
from shared.messaging.sources import AnswerBatch, CallAnswer, DueBatch, EventBatch

_log = structlog.get_logger()


class Beat:
    """Counts what loops did or saw fail: the watchdog's sign that they live."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


_CLAIM_S = 60
_BATCH = 200
_CALLS_AT_ONCE = 32
_CALL_PATIENCE_S = 30.0
_SPARES = 3

Gateway = Callable[[Call], Awaitable[dict[str, Any] | None]]
Gateways = Mapping[str, Gateway]


class Wake(Protocol):
    """An event that a commit sets, so that no poll is needed within a process."""

    def clear(self) -> None: ...

    async def wait(self) -> Any: ...


_CLAIM_DEADLINES = """
UPDATE deadline d SET claimed_until = now() + make_interval(secs => $1), attempts = d.attempts + 1
FROM (
    SELECT kind, key FROM deadline WHERE due_at <= now() AND (claimed_until IS NULL OR claimed_until < now())
    ORDER BY due_at, kind, key LIMIT $2 FOR UPDATE SKIP LOCKED
) AS due
WHERE d.kind = due.kind AND d.key = due.key
RETURNING d.kind, d.key, d.due_at, d.context
"""


async def settle_deadlines(desk: "Desk[Any]") -> int:
    """Claim what is due and let it be decided. Returns how many there were.

    The claim is a lease in a transaction of its own: the deciding transaction locks aggregates first, like every other.
    """
    rows = await desk.database.fetch(_CLAIM_DEADLINES, float(_CLAIM_S), _BATCH)
    if rows:
        await desk.settle(
            DueBatch(sorted((dict(row) for row in rows), key=lambda row: (row["due_at"], row["kind"], row["key"])))
        )
    return len(rows)


_CLAIM_CALLS = """
UPDATE outside_call c SET next_at = now() + make_interval(secs => $1), attempts = c.attempts + 1
FROM (
    SELECT id FROM outside_call WHERE done_at IS NULL AND next_at <= now() ORDER BY next_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
) AS due
WHERE c.id = due.id
RETURNING c.id, c.kind, c.key, c.request, c.context, c.attempts
"""


async def make_calls(desk: "Desk[Any]", gateways: Gateways) -> int:
    """Claim calls that are due, make them outside of any transaction, and let the answers be decided."""
    rows = await desk.database.fetch(_CLAIM_CALLS, float(_CLAIM_S), _CALLS_AT_ONCE)
    answers = await asyncio.gather(*(_call(dict(row), gateways, desk.database) for row in rows))
    settled = [answer for answer in answers if answer is not None]
    if settled:
        await desk.settle(AnswerBatch(settled))
    return len(rows)


async def _call(row: dict[str, Any], gateways: Gateways, database: Database) -> CallAnswer | None:
    call = Call(row["id"], row["kind"], row["key"], row["request"])
    try:
        answer = await asyncio.wait_for(gateways[call.kind](call), _CALL_PATIENCE_S)
    except TimeoutError:
        answer = None
    except Exception as error:  # noqa: BLE001 (a bug in a gateway must not lose the call)
        # It stays claimed and is tried again, later each time.
        _log.error(
            "call.failed", kind=call.kind, call=call.id, attempts=row["attempts"], error=repr(error), exc_info=error
        )
        await _postpone(call.id, row["attempts"], database)
        return None
    return CallAnswer(call.id, call.kind, call.key, call.request, row["context"], row["attempts"], answer)


async def _postpone(call_id: str, attempts: int, database: Database) -> None:
    pause = min(300.0, 0.5 * 2 ** min(attempts, 10))
    await database.execute(
        "UPDATE outside_call SET next_at = now() + make_interval(secs => $2) WHERE id = $1", call_id, pause
    )


def call_loops(
    desk: "Desk[Any]", gateways: Gateways, woken: Wake, beat: Callable[[], None] = lambda: None
) -> dict[str, Coroutine[Any, Any, None]]:
    """The loops that make calls: one that commits wake, and spares for when it waits for a slow other side.

    A batch of calls is as slow as its slowest; without spares one call that hangs would hold up all that come after it.
    """
    wakes: dict[str, Wake] = {"calls": woken} | {f"calls-{n}": asyncio.Event() for n in range(1, _SPARES + 1)}
    return {name: repeat(name, lambda: make_calls(desk, gateways), wake, 0.5, beat) for name, wake in wakes.items()}


_DUE = """
SELECT kind || ' of ' || key FROM deadline WHERE due_at < now() - interval '5 seconds'
    AND (claimed_until IS NULL OR claimed_until < now()) ORDER BY due_at LIMIT 1
"""
_CALL_DUE = """
SELECT kind || ' ' || id FROM outside_call WHERE done_at IS NULL AND next_at < now() - interval '5 seconds' ORDER BY next_at LIMIT 1
"""


async def unclaimed_deadline(connection: Connection) -> str | None:
    """A deadline that is due and that nobody has claimed, for the watchdog."""
    found = await connection.fetchval(_DUE)
    return None if found is None else f"the deadline {found} is due and not claimed"


async def unclaimed_call(connection: Connection) -> str | None:
    """A call that is due and that nobody has claimed, for the watchdog."""
    found = await connection.fetchval(_CALL_DUE)
    return None if found is None else f"the call {found} is due and not claimed"


async def settle_released(desk: "Desk[Any]") -> int:
    """Let parked events be decided whose key was released by a redrive or a skip."""
    async with desk.database.acquire() as connection:
        envelopes = await positions.drainable(desk.name, _BATCH, connection)
    if envelopes:
        await desk.settle(EventBatch(envelopes, desk.name))
    return len(envelopes)


async def repeat(
    name: str,
    step: Callable[[], Awaitable[int]],
    wake: Wake,
    idle_s: float,
    beat: Callable[[], None] = lambda: None,
) -> None:
    """Do `step` for ever: again at once while it finds something, else when woken or after `idle_s`."""
    failures = 0
    while True:
        wake.clear()
        try:
            found = await step()
            failures = 0
        except Exception as error:
            if not is_transient(error):
                raise
            failures += 1
            beat()
            _log.warning("worker.retry", worker=name, error=repr(error))
            await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)))
            continue
        if found:
            beat()
        else:
            try:
                async with asyncio.timeout(idle_s):  # wait_for may swallow a cancellation in Python 3.11
                    await wake.wait()
            except TimeoutError:
                continue
