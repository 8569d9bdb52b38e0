"""Writing what a batch of decisions asked for: events, deadlines, calls. One statement each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.registry import Event, TopicKind
from shared.database import Connection, columns
from shared.effects import Call, Deadline, Decision, Forget, Moment, Reply
from shared.errors import Kind, Refusal, Refused
from shared.ids import new_id
from shared.messaging.codec import encode_data

MAX_DATA_BYTES = 900_000
"""With its headers an event then fits into a record of a mebibyte. The table has the same bound as a constraint."""


@dataclass(slots=True)
class Wanted:
    """The effects of a whole batch, in the order in which they were decided."""

    events: list[tuple[Event, Moment]] = field(default_factory=list[tuple[Event, Moment]])
    deadlines: dict[tuple[str, str], tuple[Deadline, Moment] | None] = field(
        default_factory=dict[tuple[str, str], "tuple[Deadline, Moment] | None"]
    )
    calls: dict[str, tuple[Call, Moment]] = field(default_factory=dict[str, tuple[Call, Moment]])


def collect(decisions: Iterable[tuple[Decision, Moment]]) -> Wanted:
    """Gather the effects. Of a state topic only the last event of a key is kept: it holds the full state."""
    wanted = Wanted()
    for decision, moment in decisions:
        if isinstance(decision, Refusal):
            continue
        for effect in decision:
            match effect:
                case Event():
                    wanted.events.append((effect, moment))
                case Deadline(kind, key):
                    wanted.deadlines[kind, key] = (effect, moment)
                case Forget(kind, key):
                    wanted.deadlines[kind, key] = None
                case Call(id):
                    wanted.calls.setdefault(id, (effect, moment))
                case Reply():
                    pass
    wanted.events = _newest_states(wanted.events)
    return wanted


async def write(wanted: Wanted, connection: Connection) -> None:
    """Events first (their stream heads are the last rows that others wait for), then deadlines and calls."""
    if wanted.events:
        await _add_events(wanted.events, connection)
    await _keep_deadlines(wanted.deadlines, connection)
    if wanted.calls:
        await _add_calls(list(wanted.calls.values()), connection)


def context_of(moment: Moment) -> dict[str, str]:
    """What must survive in a row so that its later message can be put into the same story."""
    context = {
        "store": moment.store_id,
        "market": moment.market,
        "correlation": moment.correlation_id,
        "causation": moment.message_id,
        "traceparent": moment.traceparent,
    }
    return {name: value for name, value in context.items() if value}


def _newest_states(events: list[tuple[Event, Moment]]) -> list[tuple[Event, Moment]]:
    last = {
        (event.topic.name, event.key): index
        for index, (event, _) in enumerate(events)
        if event.topic.kind is TopicKind.STATE
    }
    if not last:
        return events
    keep = set(last.values())
    return [pair for index, pair in enumerate(events) if pair[0].topic.kind is TopicKind.STREAM or index in keep]


# Heads are locked in sorted order; an event's row is joined to its locked head, so a stream's ids rise with its sequence.
_ADD_EVENTS = """
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::jsonb[], $7::text[])
        WITH ORDINALITY AS w(topic, key, nth, event_id, type, headers, payload, position)
), heads AS (
    INSERT INTO stream_head AS h (topic, key, sequence)
    SELECT topic, key, max(nth) FROM wanted GROUP BY topic, key ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET sequence = h.sequence + excluded.sequence
    RETURNING h.topic, h.key, h.sequence
)
INSERT INTO outbox (event_id, topic, key, sequence, type, headers, payload)
SELECT w.event_id, w.topic, w.key, h.sequence - max(w.nth) OVER (PARTITION BY w.topic, w.key) + w.nth, w.type, w.headers, w.payload
FROM wanted w JOIN heads h ON h.topic = w.topic AND h.key = w.key
ORDER BY w.position
"""


async def _add_events(events: Sequence[tuple[Event, Moment]], connection: Connection) -> None:
    counts: dict[tuple[str, str], int] = {}
    rows: list[tuple[str, str, int, str, str, Any, str]] = []
    for event, moment in events:
        topic, key = event.topic.name, event.key
        nth = counts[topic, key] = counts.get((topic, key), 0) + 1
        rows.append((topic, key, nth, new_id("evt"), event.event_type, context_of(moment), _data(event)))
    await connection.execute(_ADD_EVENTS, *columns(rows))


def _data(event: Event) -> str:
    # Once committed it can only halt its stream, so it is refused while its cause can still be told.
    data = encode_data(event)
    if len(data) >= MAX_DATA_BYTES:
        raise Refused(
            Refusal(
                code="event.too_large",
                detail=f"{event.event_type} would have {len(data)} bytes, and {MAX_DATA_BYTES} are too many for an event",
                kind=Kind.TOO_LARGE,
                clears_with="fewer or shorter parts at once",
            )
        )
    return data.decode()


_SET_DEADLINES = """
INSERT INTO deadline (kind, key, due_at, context)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::jsonb[])
ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at, context = excluded.context, claimed_until = NULL, attempts = 0
"""
_FORGET_DEADLINES = """
DELETE FROM deadline WHERE (kind, key) IN (
    SELECT d.kind, d.key FROM deadline d JOIN unnest($1::text[], $2::text[]) AS f(kind, key) USING (kind, key)
    ORDER BY d.kind, d.key FOR UPDATE OF d
)
"""


async def _keep_deadlines(
    deadlines: dict[tuple[str, str], tuple[Deadline, Moment] | None], connection: Connection
) -> None:
    wanted = sorted(deadlines.items(), key=lambda item: item[0])
    kept = [(kind, key, found[0].at, context_of(found[1])) for (kind, key), found in wanted if found is not None]
    forgotten = [key for key, found in wanted if found is None]
    if kept:
        await connection.execute(_SET_DEADLINES, *columns(kept))
    if forgotten:
        await connection.execute(_FORGET_DEADLINES, *columns(forgotten))


_ADD_CALLS = """
INSERT INTO outside_call (id, kind, key, request, context, next_at)
SELECT c.id, c.kind, c.key, c.request, c.context, coalesce(c.not_before, now())
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::timestamptz[]) AS c(id, kind, key, request, context, not_before)
ORDER BY c.id
ON CONFLICT (id) DO NOTHING
"""


async def _add_calls(calls: Sequence[tuple[Call, Moment]], connection: Connection) -> None:
    rows = [(call.id, call.kind, call.key, call.request, context_of(moment), call.not_before) for call, moment in calls]
    await connection.execute(_ADD_CALLS, *columns(rows))
