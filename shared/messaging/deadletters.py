"""What cannot be decided is set aside with its reason, halts its own key, and waits for a person.

A letter has one of six sources: an `event` (its key is halted in this consumer), a `record` whose stream or sequence
cannot be read (nothing is halted), a `gap` (an event that has not come, and others wait for it), a `deadline`, the answer to
a `call`, and a `stream` of this service's own, whose event Kafka will not take. A person lets it be decided again (`redrive`)
or gives it up (`park`); both are written down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from shared import telemetry
from shared.contracts.registry import TopicKind
from shared.contracts.topics import BY_NAME
from shared.database import Connection, Database, Stale
from shared.errors import Kind, Refusal, Refused, not_found
from shared.ids import derive_id, new_id
from shared.messaging.codec import SKIPPED, Envelope, Malformed
from shared.messaging.positions import STATE_TOPICS

SOURCES = ("event", "record", "gap", "deadline", "call", "stream")
PATIENCE_S = 60.0
"""For how long an event may wait for its predecessor before that is a matter for a person."""

# Undecidable again after a redrive, a letter is open again. What was parked stays so when it is merely read again, which
# happens to records and to states; a deadline or a call of that name is another one.
_INSERT = """
INSERT INTO dead_letter AS l (id, source, consumer, topic, key, sequence, headers, payload, error, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE
SET state = 'open', note = '', settled_at = NULL, headers = excluded.headers, payload = excluded.payload,
    error = excluded.error, attempts = l.attempts + excluded.attempts,
    failed_at = CASE WHEN l.state = 'open' THEN l.failed_at ELSE excluded.failed_at END
WHERE l.source NOT IN ('record', 'gap') AND (l.state <> 'parked' OR l.source <> 'event')
"""


# ── Setting aside ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def bury(
    connection: Connection,
    *,
    source: str,
    consumer: str,
    topic: str,
    key: str,
    sequence: int,
    headers: Mapping[str, Any],
    payload: str,
    error: str,
    attempts: int,
    letter_id: str = "",
) -> str:
    """Write one dead letter and return its id. The same one again is the same letter, with its attempts added up."""
    letter_id = letter_id or derive_id("dlt", key, source, consumer, topic, str(sequence))
    await connection.execute(
        _INSERT,
        letter_id,
        source,
        consumer,
        topic,
        key,
        sequence,
        dict(headers),
        payload,
        error[:4000].replace("\0", ""),
        attempts,
    )
    return letter_id


async def bury_event(envelope: Envelope, consumer: str, error: str, attempts: int, connection: Connection) -> None:
    """Set an event aside. Its stream is halted, so that what follows parks; of a state topic the next version will do.

    Nothing happens when another replica has decided it; raises Stale when it does so at this moment.
    """
    if await _reached(consumer, envelope.topic, envelope.key, connection) >= envelope.sequence:
        return
    await bury(
        connection,
        source="event",
        consumer=consumer,
        topic=envelope.topic,
        key=envelope.key,
        sequence=envelope.sequence,
        headers=envelope.attributes,
        payload=envelope.payload.decode(),
        error=error,
        attempts=attempts,
    )
    telemetry.EVENTS_CONSUMED.labels(envelope.topic, "dead").inc()
    if envelope.topic not in STATE_TOPICS:
        at = await _move(consumer, envelope.topic, envelope.key, envelope.sequence - 1, connection, halted=True)
        if at >= envelope.sequence:  # a key's first event: there was no position yet that could be locked
            raise Stale("another replica has decided it meanwhile")


async def bury_record(
    consumer: str,
    topic: str,
    place: Mapping[str, str],
    *,
    key: bytes | None,
    payload: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    error: Malformed,
    connection: Connection,
) -> None:
    """Set a record aside whose stream or sequence cannot be read. `place` is its partition and offset."""
    contents = repr((key, payload, headers))
    await bury(
        connection,
        # A broker that lost its data counts its offsets anew: the same offset is the same record only with the same contents.
        letter_id=derive_id("dlt", consumer, topic, *place.values(), contents),
        source="record",
        consumer=consumer,
        topic=topic,
        key=_printable(key),
        sequence=0,
        headers={_printable(name.encode()): _printable(value) for name, value in headers} | dict(place),
        payload=_printable(payload),
        error=str(error),
        attempts=1,
    )
    telemetry.EVENTS_CONSUMED.labels(topic, "dead").inc()


_GAPS = """
SELECT p.consumer, p.topic, p.key, p.sequence + 1 AS missing, min(m.sequence) AS first_waiting, count(*) AS waiting
FROM parked_message m JOIN stream_position p USING (consumer, topic, key)
WHERE NOT p.halted AND NOT p.topic = ANY($2) AND NOT EXISTS (
    SELECT FROM dead_letter d WHERE d.state = 'open' AND d.source = 'gap'
        AND d.consumer = p.consumer AND d.topic = p.topic AND d.key = p.key AND d.sequence = p.sequence + 1)
GROUP BY p.consumer, p.topic, p.key, p.sequence
HAVING min(m.parked_at) < now() - make_interval(secs => $1) AND min(m.sequence) > p.sequence + 1
ORDER BY p.topic, p.key LIMIT 200
"""
_FILLED = """
UPDATE dead_letter l SET state = 'redriven', note = 'it came by itself', settled_at = now()
FROM stream_position p WHERE l.state = 'open' AND l.source = 'gap'
    AND p.consumer = l.consumer AND p.topic = l.topic AND p.key = l.key AND p.sequence >= l.sequence
"""


async def note_gaps(database: Database, *, patience_s: float = PATIENCE_S) -> None:
    """Write a letter for every event that others have long waited for, and close those of events that came after all."""
    await database.execute(_FILLED)
    for gap in await database.fetch(_GAPS, patience_s, STATE_TOPICS):
        async with database.transaction() as connection:
            await bury(
                connection,
                source="gap",
                consumer=gap["consumer"],
                topic=gap["topic"],
                key=gap["key"],
                sequence=gap["missing"],
                headers={},
                payload="",
                error=f"not come yet: {gap['waiting']} behind it wait, from #{gap['first_waiting']} on",
                attempts=0,
            )


_HALT_STREAM = "UPDATE stream_head SET halted = true WHERE topic = $1 AND key = $2"


async def halt_stream(event: Mapping[str, Any], error: Exception, database: Database) -> None:
    """Stop publishing a stream at an event (a row of the outbox) that Kafka will not take."""
    async with database.transaction() as connection:
        await connection.execute(_HALT_STREAM, event["topic"], event["key"])
        await bury(
            connection,
            source="stream",
            consumer="",
            topic=event["topic"],
            key=event["key"],
            sequence=event["sequence"],
            headers={**event["headers"], "ce_id": event["event_id"], "ce_type": event["type"]},
            payload=event["payload"],
            error=reason(error),
            attempts=1,
        )
    telemetry.STREAMS_HALTED.labels(event["topic"]).inc()


def reason(error: Exception) -> str:
    """The error as a letter tells it, without the details in which PostgreSQL quotes the row that it refuses."""
    if isinstance(error, Malformed):
        return str(error)
    words = error.args[0] if isinstance(error, asyncpg.PostgresError) and error.args else error
    return f"{type(error).__name__}: {words}"


# ── Letting go on ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who does something to a letter, and why: `actor` is the visible part of the key, `operator` the name that was given."""

    actor: str
    operator: str = ""
    reason: str = ""


async def redrive(database: Database, letter_id: str, act: Act) -> None:
    """Let the letter be decided again, before everything that waits behind it. Raises Refused."""
    await _settle(database, letter_id, "redrive", act)


async def park(database: Database, letter_id: str, act: Act) -> None:
    """Give the letter up, with a reason, and let its key go on without it. Raises Refused."""
    await _settle(database, letter_id, "park", act)


async def _settle(database: Database, letter_id: str, action: str, act: Act) -> None:
    try:
        async with database.transaction() as connection:
            letter = await _open_letter(letter_id, connection)
            if action == "redrive":
                await _REDRIVES[letter["source"]](letter, connection)
            elif letter["source"] in _PARKS:
                await _PARKS[letter["source"]](letter, connection)
            await connection.execute(
                "UPDATE dead_letter SET state = $2, note = $3, settled_at = now() WHERE id = $1",
                letter_id,
                "redriven" if action == "redrive" else "parked",
                act.reason,
            )
            await _write_down(action, letter_id, act, "done", connection)
    except Refused as refused:
        async with database.acquire() as connection:
            await _write_down(action, letter_id, act, refused.refusal.code, connection)
        raise


async def _open_letter(letter_id: str, connection: Connection) -> Mapping[str, Any]:
    # Positions are locked before letters, as where a letter is written.
    place = await connection.fetchrow("SELECT consumer, topic, key, source FROM dead_letter WHERE id = $1", letter_id)
    if place is None:
        raise not_found("dead_letter", letter_id)
    if place["source"] in ("event", "gap"):
        await _reached(place["consumer"], place["topic"], place["key"], connection)
    letter = await connection.fetchrow("SELECT * FROM dead_letter WHERE id = $1 FOR UPDATE", letter_id)
    if letter is None:
        raise not_found("dead_letter", letter_id)
    if letter["state"] != "open":
        raise Refused(
            Refusal(
                code="dead_letter.settled",
                detail=f"the dead letter {letter_id} is {letter['state']} already",
                kind=Kind.CONFLICT,
            )
        )
    return dict(letter)


async def _write_down(action: str, letter_id: str, act: Act, outcome: str, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO operator_action (id, actor, operator, action, subject, reason, outcome) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new_id("opa"),
        act.actor,
        act.operator,
        f"dead_letter.{action}",
        letter_id,
        act.reason,
        outcome,
    )


async def _redrive_event(letter: Mapping[str, Any], connection: Connection) -> None:
    stream = letter["consumer"], letter["topic"], letter["key"]
    if await _reached(*stream, connection) >= letter["sequence"]:
        return  # decided meanwhile, or overtaken by a newer state
    await connection.execute(
        "INSERT INTO parked_message (consumer, topic, key, sequence, headers, payload) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT DO NOTHING",  # it came once more meanwhile
        *stream,
        letter["sequence"],
        letter["headers"],
        letter["payload"],
    )
    await _move(*stream, letter["sequence"] - 1, connection, halted=False)


async def _park_event(letter: Mapping[str, Any], connection: Connection) -> None:
    stream = letter["consumer"], letter["topic"], letter["key"]
    if await _reached(*stream, connection) < letter["sequence"]:
        await _move(*stream, letter["sequence"], connection, halted=False)


async def _refuse_record(letter: Mapping[str, Any], connection: Connection) -> None:
    raise Refused(
        Refusal(
            code="dead_letter.no_place",
            detail="its key or its sequence cannot be read, so that it has no place in any stream",
            clears_with="a right copy of the event from its publisher; then park this letter",
        )
    )


async def _refuse_gap(letter: Mapping[str, Any], connection: Connection) -> None:
    raise Refused(
        Refusal(
            code="dead_letter.not_here",
            detail=f"event #{letter['sequence']} has not come, so there is nothing to decide",
            clears_with="its publisher's sending it again",
        )
    )


async def _park_gap(letter: Mapping[str, Any], connection: Connection) -> None:
    stream = letter["consumer"], letter["topic"], letter["key"]
    reached = await _reached(*stream, connection)
    if reached >= letter["sequence"]:
        return
    first_waiting = await connection.fetchval(
        "SELECT min(sequence) FROM parked_message WHERE consumer = $1 AND topic = $2 AND key = $3 AND sequence > $4",
        *stream,
        reached,
    )
    await _move(*stream, (first_waiting or letter["sequence"] + 1) - 1, connection, halted=False)


async def _redrive_deadline(letter: Mapping[str, Any], connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO deadline (kind, key, due_at, context) VALUES ($1, $2, now(), $3) ON CONFLICT DO NOTHING",
        letter["topic"],
        letter["key"],
        letter["headers"],
    )


async def _redrive_call(letter: Mapping[str, Any], connection: Connection) -> None:
    found = await connection.fetchval(
        "UPDATE outside_call SET done_at = NULL, next_at = now() WHERE id = $1 RETURNING id", letter["key"]
    )
    if found is None:
        raise Refused(
            Refusal(
                code="dead_letter.call_gone",
                detail=f"the call {letter['key']} was made long ago and is no longer kept",
                clears_with="park the letter, and do by hand what its answer would have done",
            )
        )


_RELEASE_STREAM = "UPDATE stream_head SET halted = false WHERE topic = $1 AND key = $2"
# The sequence must be had by every consumer, whatever release it runs, or they would wait for it for ever.
_REPLACE = """
UPDATE outbox SET type = $4, payload = '{}', published_at = CASE WHEN $5 THEN now() END
WHERE topic = $1 AND key = $2 AND sequence = $3 AND published_at IS NULL
"""


async def _release_stream(letter: Mapping[str, Any], connection: Connection) -> None:
    await connection.execute(_RELEASE_STREAM, letter["topic"], letter["key"])


async def _park_stream(letter: Mapping[str, Any], connection: Connection) -> None:
    # In a compacted topic the replacement would be the state: there the next version will do.
    unsent = BY_NAME[letter["topic"]].kind is TopicKind.STATE
    await connection.execute(_REPLACE, letter["topic"], letter["key"], letter["sequence"], SKIPPED, unsent)
    await _release_stream(letter, connection)


_REDRIVES = {
    "event": _redrive_event,
    "record": _refuse_record,
    "gap": _refuse_gap,
    "deadline": _redrive_deadline,
    "call": _redrive_call,
    "stream": _release_stream,
}
_PARKS = {"event": _park_event, "gap": _park_gap, "stream": _park_stream}


# ── Positions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _reached(consumer: str, topic: str, key: str, connection: Connection) -> int:
    """The last sequence that was applied; locks the position."""
    reached = await connection.fetchval(
        "SELECT sequence FROM stream_position WHERE consumer = $1 AND topic = $2 AND key = $3 FOR UPDATE",
        consumer,
        topic,
        key,
    )
    return reached or 0


_MOVE = """
WITH had AS (
    DELETE FROM parked_message WHERE consumer = $1 AND topic = $2 AND key = $3 AND sequence <= $6
), waiting AS (
    SELECT count(*)::int AS n FROM parked_message WHERE consumer = $1 AND topic = $2 AND key = $3 AND sequence > $6
)
INSERT INTO stream_position AS p (consumer, topic, key, version, sequence, parked, halted)
SELECT $1, $2, $3, 1, $4, n, $5 FROM waiting
ON CONFLICT (consumer, topic, key) DO UPDATE
SET halted = excluded.halted, sequence = greatest(p.sequence, excluded.sequence), parked = excluded.parked, version = p.version + 1
RETURNING sequence
"""


async def _move(consumer: str, topic: str, key: str, sequence: int, connection: Connection, *, halted: bool) -> int:
    """Halt or release a stream at a sequence; gives where it stands, which may be beyond.

    Copies of what is had or set aside by now do not go on waiting.
    """
    had = sequence + 1 if halted else sequence
    return await connection.fetchval(_MOVE, consumer, topic, key, sequence, halted, had)


# ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_LIST = """
SELECT l.id, l.source, l.consumer, l.topic, l.key, l.sequence, l.error, l.attempts, l.first_failed_at, l.failed_at, l.state,
    l.note, l.settled_at, l.headers, behind.waiting, behind.first_waiting, behind.last_waiting, {more}
    l.source = 'event' AND EXISTS (
        SELECT FROM parked_message m
        WHERE m.consumer = l.consumer AND m.topic = l.topic AND m.key = l.key AND m.sequence = l.sequence) AS copied,
    CASE WHEN l.state <> 'redriven' THEN false
        WHEN l.source IN ('event', 'gap') THEN EXISTS (
            SELECT FROM stream_position p
            WHERE p.consumer = l.consumer AND p.topic = l.topic AND p.key = l.key AND p.sequence >= l.sequence)
        WHEN l.source = 'deadline' THEN NOT EXISTS (SELECT FROM deadline d WHERE d.kind = l.topic AND d.key = l.key)
        WHEN l.source = 'call' THEN EXISTS (SELECT FROM outside_call c WHERE c.id = l.key AND c.done_at IS NOT NULL)
        ELSE EXISTS (
            SELECT FROM outbox o
            WHERE o.topic = l.topic AND o.key = l.key AND o.sequence = l.sequence AND o.published_at IS NOT NULL)
    END AS decided
FROM dead_letter l CROSS JOIN LATERAL (
    SELECT count(*) AS waiting, min(sequence) AS first_waiting, max(sequence) AS last_waiting FROM (
        SELECT m.sequence FROM parked_message m
        WHERE l.state = 'open' AND l.source IN ('event', 'gap')
            AND m.consumer = l.consumer AND m.topic = l.topic AND m.key = l.key AND m.sequence > l.sequence
        UNION ALL
        SELECT o.sequence FROM outbox o
        WHERE l.state = 'open' AND l.source = 'stream'
            AND o.topic = l.topic AND o.key = l.key AND o.sequence > l.sequence AND o.published_at IS NULL
    ) AS followers
) AS behind
"""
_PAGE = (
    _LIST.format(more="")
    + """
WHERE l.state = $1 AND ($2 = '' OR l.source = $2) AND ($3 = '' OR l.topic = $3) AND ($4 = '' OR l.key = $4)
    AND ($5::timestamptz IS NULL OR (l.failed_at, l.id) < ($5, $6))
ORDER BY l.failed_at DESC, l.id DESC LIMIT $7
"""
)
_ONE = _LIST.format(more="l.payload,") + "WHERE l.id = $1"


async def listed(
    database: Database,
    *,
    state: str = "open",
    source: str = "",
    topic: str = "",
    key: str = "",
    before: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> Sequence[Mapping[str, Any]]:
    """The dead letters in a state (`open`, `redriven`, `parked`), newest first, without their payloads."""
    at, letter_id = before or (None, "")
    return [dict(row) for row in await database.fetch(_PAGE, state, source, topic, key, at, letter_id, limit)]


async def found(database: Database, letter_id: str) -> Mapping[str, Any]:
    """One dead letter with its payload. Raises Refused."""
    row = await database.fetchrow(_ONE, letter_id)
    if row is None:
        raise not_found("dead_letter", letter_id)
    return dict(row)


_CHOSEN = """
SELECT id, failed_at FROM dead_letter
WHERE state = 'open' AND source NOT IN ('record', 'gap') AND failed_at <= $1 AND ($2 = '' OR topic = $2) AND ($3 = '' OR key = $3)
    AND ($4 = '' OR strpos(error, $4) > 0) AND ($5::timestamptz IS NULL OR failed_at >= $5)
    AND ($6::timestamptz IS NULL OR (failed_at, id) > ($6, $7))
ORDER BY failed_at, id LIMIT $8
"""


async def chosen(
    database: Database,
    *,
    until: datetime,
    topic: str,
    key: str,
    error_contains: str,
    since: datetime | None,
    behind: tuple[datetime, str] | None,
    limit: int,
) -> list[tuple[str, datetime]]:
    """Open letters that may be redriven, oldest first: id and since when. Only those that were open already at `until`."""
    at, letter_id = behind or (None, "")
    rows = await database.fetch(_CHOSEN, until, topic, key, error_contains, since, at, letter_id, limit)
    return [(row["id"], row["failed_at"]) for row in rows]


_ACTIONS = """
SELECT id, at, actor, operator, action, subject, reason, outcome FROM operator_action
WHERE ($1 = '' OR subject = $1) AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
ORDER BY at DESC, id DESC LIMIT $4
"""


async def actions(
    database: Database, *, subject: str = "", before: tuple[datetime, str] | None = None, limit: int = 100
) -> Sequence[Mapping[str, Any]]:
    """What people did, newest first."""
    at, action_id = before or (None, "")
    return [dict(row) for row in await database.fetch(_ACTIONS, subject, at, action_id, limit)]


async def measure(database: Database) -> None:
    """Set the metrics of what is open."""
    rows = await database.fetch(
        "SELECT source, count(*) AS open, extract(epoch FROM now() - min(failed_at)) AS age FROM dead_letter"
        " WHERE state = 'open' GROUP BY source"
    )
    open_by_source = {row["source"]: row["open"] for row in rows}
    for source in SOURCES:
        telemetry.DEAD_LETTERS.labels(source).set(open_by_source.get(source, 0))
    telemetry.DEAD_LETTER_AGE.set(max((float(row["age"]) for row in rows), default=0.0))


def _printable(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
