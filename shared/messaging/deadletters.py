"""What cannot be decided is set aside with its reason, halts its own key, and waits for a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.database import Connection, Database
from shared.errors import Kind, Refusal, Refused, not_found
from shared.ids import new_id
from shared.messaging.codec import Envelope
from shared.messaging.positions import STATE_TOPICS

_INSERT = """
INSERT INTO dead_letter (id, source, consumer, topic, key, sequence, headers, payload, error, attempts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING
"""


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
    """Write one dead letter and return its id. With an id of one's own, writing it again changes nothing."""
    letter_id = letter_id or new_id("dlt")
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
    """Set an event aside. Its stream is halted, so that what follows parks; of a state topic the next version will do."""
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
    if envelope.topic in STATE_TOPICS:
        return
    await connection.execute(
        """
        INSERT INTO stream_position AS p (consumer, topic, key, version, sequence, parked, halted)
        VALUES ($1, $2, $3, 1, $4, 0, true)
        ON CONFLICT (consumer, topic, key) DO UPDATE SET halted = true, version = p.version + 1
        """,
        consumer,
        envelope.topic,
        envelope.key,
        envelope.sequence - 1,
    )


async def listed(database: Database, *, state: str = "open", limit: int = 100) -> Sequence[Mapping[str, Any]]:
    """The dead letters in a state (`open`, `redriven`, `skipped`), newest first."""
    rows = await database.fetch(
        "SELECT id, source, consumer, topic, key, sequence, error, attempts, failed_at, state, note FROM dead_letter"
        " WHERE state = $1 ORDER BY failed_at DESC LIMIT $2",
        state,
        limit,
    )
    return [dict(row) for row in rows]


async def redrive(database: Database, letter_id: str) -> None:
    """Let the letter be decided again, before everything that waits behind it. Raises Refused."""
    async with database.transaction() as connection:
        letter = await _open_letter(letter_id, connection)
        if letter["source"] == "event":
            await connection.execute(
                "INSERT INTO parked_message (consumer, topic, key, sequence, headers, payload) SELECT $1, $2, $3, $4, $5, $6"
                " WHERE NOT EXISTS (SELECT FROM stream_position WHERE consumer = $1 AND topic = $2 AND key = $3 AND sequence >= $4)"
                " ON CONFLICT DO NOTHING",
                letter["consumer"],
                letter["topic"],
                letter["key"],
                letter["sequence"],
                letter["headers"],
                letter["payload"],
            )
            await _release(letter, letter["sequence"] - 1, connection)
        elif letter["source"] == "deadline":
            await connection.execute(
                "INSERT INTO deadline (kind, key, due_at, context) VALUES ($1, $2, now(), $3) ON CONFLICT DO NOTHING",
                letter["topic"],
                letter["key"],
                letter["headers"],
            )
        else:
            await connection.execute(
                "UPDATE outside_call SET done_at = NULL, next_at = now() WHERE id = $1", letter["key"]
            )
        await _settle(letter_id, "redriven", "", connection)


async def skip(database: Database, letter_id: str, reason: str) -> None:
    """Give the letter up, with a reason, and let its key go on without it. Raises Refused."""
    async with database.transaction() as connection:
        letter = await _open_letter(letter_id, connection)
        if letter["source"] == "event":
            await _release(letter, letter["sequence"], connection)
        await _settle(letter_id, "skipped", reason, connection)


async def _release(letter: Mapping[str, Any], sequence: int, connection: Connection) -> None:
    await connection.execute(
        """
        INSERT INTO stream_position AS p (consumer, topic, key, version, sequence, parked)
        VALUES ($1, $2, $3, 1, $4, (SELECT count(*) FROM parked_message WHERE consumer = $1 AND topic = $2 AND key = $3))
        ON CONFLICT (consumer, topic, key) DO UPDATE SET halted = false, sequence = greatest(p.sequence, excluded.sequence),
            parked = excluded.parked, version = p.version + 1
        """,
        letter["consumer"],
        letter["topic"],
        letter["key"],
        sequence,
    )


async def _open_letter(letter_id: str, connection: Connection) -> Mapping[str, Any]:
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


async def _settle(letter_id: str, state: str, note: str, connection: Connection) -> None:
    await connection.execute(
        "UPDATE dead_letter SET state = $2, note = $3, settled_at = now() WHERE id = $1", letter_id, state, note
    )
