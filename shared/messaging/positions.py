"""Where a consumer stands in each stream: duplicates are skipped, gaps are parked, halted keys wait.

The log's order is not trusted. An event takes effect when its sequence is the next of its stream, whatever came before it
on the wire, and its position commits with its effect.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared import failpoints
from shared.contracts.registry import TopicKind
from shared.contracts.topics import BY_NAME, TOPICS
from shared.database import Connection, Stale
from shared.failpoints import Point
from shared.messaging.codec import Envelope

Stream = tuple[str, str]
LONG_AGO = datetime.min.replace(tzinfo=UTC)
STATE_TOPICS = [topic.name for topic in TOPICS if topic.kind is TopicKind.STATE]


@dataclass(slots=True)
class Position:
    """The last sequence applied. `version` is that of the row as it was read, 0 where there is none."""

    version: int = 0
    sequence: int = 0
    parked: int = 0
    halted: bool = False


@dataclass(slots=True)
class Sifted:
    """A batch sorted out: `fresh` in the order in which it must be decided."""

    fresh: list[Envelope] = field(default_factory=list[Envelope])
    duplicates: list[Envelope] = field(default_factory=list[Envelope])
    to_park: dict[tuple[Stream, int], Envelope] = field(default_factory=dict[tuple[Stream, int], Envelope])
    drained: list[tuple[Stream, int]] = field(default_factory=list[tuple[Stream, int]])
    touched: dict[Stream, Position] = field(default_factory=dict[Stream, Position])
    decided_at: datetime = LONG_AGO


async def sift(batch: Sequence[Envelope], consumer: str, connection: Connection, *, drain: bool = True) -> Sifted:
    """Read the positions of the batch's streams and sort it out. Writes nothing.

    With `drain` false, parked events whose turn has come are left for a batch of their own.
    """
    streams = sorted({envelope.stream for envelope in batch})
    positions, decided_at = await _read(streams, consumer, connection)
    waiting = await _read_parked([stream for stream in streams if positions[stream].parked], consumer, connection)
    sifted = sort_out(batch, positions, waiting, drain=drain)
    sifted.decided_at = decided_at
    return sifted


def sort_out(
    batch: Iterable[Envelope],
    positions: dict[Stream, Position],
    parked: dict[Stream, dict[int, Envelope]],
    *,
    drain: bool = True,
) -> Sifted:
    """The pure part of `sift`: advances `positions` and says what is fresh, what waits, what has been had."""
    sifted = Sifted()
    for envelope in batch:
        stream = envelope.stream
        position = positions[stream]
        if envelope.sequence <= position.sequence:
            sifted.duplicates.append(envelope)
            continue
        sifted.touched[stream] = position
        if BY_NAME[envelope.topic].kind is TopicKind.STATE:
            position.sequence = envelope.sequence
            sifted.fresh.append(envelope)
            _drain(stream, position, parked[stream], sifted, drain)
        elif position.halted or envelope.sequence != position.sequence + 1:
            if envelope.sequence in parked[stream]:
                sifted.duplicates.append(envelope)
            else:
                parked[stream][envelope.sequence] = envelope
                sifted.to_park[stream, envelope.sequence] = envelope
                position.parked += 1
        else:
            position.sequence = envelope.sequence
            sifted.fresh.append(envelope)
            _drain(stream, position, parked[stream], sifted, drain)
    return sifted


def _drain(stream: Stream, position: Position, waiting: dict[int, Envelope], sifted: Sifted, followers: bool) -> None:
    # What was parked under this very sequence has been had by now as well.
    for stale in [sequence for sequence in waiting if sequence <= position.sequence]:
        _unpark(stream, stale, position, waiting, sifted)
    while followers and (follower := waiting.get(position.sequence + 1)) is not None:
        position.sequence = follower.sequence
        sifted.fresh.append(follower)
        _unpark(stream, follower.sequence, position, waiting, sifted)


def _unpark(stream: Stream, sequence: int, position: Position, waiting: dict[int, Envelope], sifted: Sifted) -> None:
    del waiting[sequence]
    position.parked -= 1
    if sifted.to_park.pop((stream, sequence), None) is None:
        sifted.drained.append((stream, sequence))


_ADVANCE = """
INSERT INTO stream_position AS p (consumer, topic, key, version, sequence, parked)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::int[])
ON CONFLICT (consumer, topic, key) DO UPDATE
SET version = excluded.version, sequence = excluded.sequence, parked = excluded.parked
WHERE p.version = excluded.version - 1
RETURNING 1
"""
_PARK = """
INSERT INTO parked_message (consumer, topic, key, sequence, headers, payload)
SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::jsonb[], $6::text[])
ON CONFLICT (consumer, topic, key, sequence) DO NOTHING
"""
_UNPARK = """
DELETE FROM parked_message m USING unnest($2::text[], $3::text[], $4::bigint[]) AS d(topic, key, sequence)
WHERE m.consumer = $1 AND m.topic = d.topic AND m.key = d.key AND m.sequence = d.sequence
"""


async def advance(sifted: Sifted, consumer: str, connection: Connection) -> None:
    """Write the new positions, conditional on those that `sift` read. Raises Stale when another replica was faster."""
    changed = sorted(sifted.touched.items(), key=lambda item: item[0])
    moved = [(topic, key, p.version + 1, p.sequence, p.parked) for (topic, key), p in changed]
    if moved:
        written = await connection.fetch(_ADVANCE, consumer, *map(list, zip(*moved, strict=True)))
        if len(written) != len(moved):
            raise Stale("another replica has advanced in one of these streams")
    if sifted.to_park:
        rows = [(e.topic, e.key, e.sequence, dict(e.attributes), e.payload.decode()) for e in sifted.to_park.values()]
        await connection.execute(_PARK, consumer, *map(list, zip(*rows, strict=True)))
    if sifted.drained:
        gone = [(topic, key, sequence) for (topic, key), sequence in sifted.drained]
        await connection.execute(_UNPARK, consumer, *map(list, zip(*gone, strict=True)))
        if failpoints.ARMED:
            failpoints.reach(Point.EVENTS_DRAINED)


async def drainable(consumer: str, limit: int, connection: Connection) -> list[Envelope]:
    """Parked events whose turn has come, because their key was released: they only wait for someone to look."""
    rows = await connection.fetch(
        """
        SELECT m.topic, m.key, m.sequence, m.headers, m.payload
        FROM stream_position p JOIN parked_message m USING (consumer, topic, key)
        WHERE p.consumer = $1 AND p.parked > 0 AND NOT p.halted
            AND (m.sequence = p.sequence + 1 OR m.topic = ANY($3) AND m.sequence > p.sequence)
        ORDER BY m.topic, m.key LIMIT $2
        """,
        consumer,
        limit,
        STATE_TOPICS,
    )
    return [Envelope(r["topic"], r["key"], r["sequence"], r["headers"], r["payload"].encode()) for r in rows]


async def _read(
    streams: Sequence[Stream], consumer: str, connection: Connection
) -> tuple[dict[Stream, Position], datetime]:
    rows = await connection.fetch(
        """
        SELECT s.topic, s.key, now() AS decided_at, p.version, p.sequence, p.parked, p.halted
        FROM unnest($2::text[], $3::text[]) AS s(topic, key)
        LEFT JOIN stream_position p ON p.consumer = $1 AND p.topic = s.topic AND p.key = s.key
        """,
        consumer,
        [topic for topic, _ in streams],
        [key for _, key in streams],
    )
    positions = {
        (row["topic"], row["key"]): Position()
        if row["version"] is None
        else Position(row["version"], row["sequence"], row["parked"], row["halted"])
        for row in rows
    }
    return positions, rows[0]["decided_at"]


async def _read_parked(
    streams: Sequence[Stream], consumer: str, connection: Connection
) -> dict[Stream, dict[int, Envelope]]:
    parked: dict[Stream, dict[int, Envelope]] = defaultdict(dict)
    if not streams:
        return parked
    rows = await connection.fetch(
        """
        SELECT m.topic, m.key, m.sequence, m.headers, m.payload
        FROM parked_message m JOIN unnest($2::text[], $3::text[]) AS s(topic, key) USING (topic, key) WHERE m.consumer = $1
        """,
        consumer,
        [topic for topic, _ in streams],
        [key for _, key in streams],
    )
    for row in rows:
        parked[row["topic"], row["key"]][row["sequence"]] = Envelope(
            row["topic"], row["key"], row["sequence"], row["headers"], row["payload"].encode()
        )
    return parked
