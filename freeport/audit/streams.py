"""Invariants of the event streams, the same in every service: what the kit promises."""

from freeport.audit.books import Books
from freeport.audit.check import Check, Finding
from freeport.audit.stuck import HEADS, Stuck
from freeport.audit.subscriptions import SUBSCRIPTIONS

# Published rows are deleted after seven days from the oldest on, so what is there must be whole and reach to the head.
_GAPS = """
SELECT h.topic, h.key, h.sequence AS head, count(o.id) AS events, min(o.sequence) AS first, max(o.sequence) AS last
FROM stream_head h LEFT JOIN outbox o USING (topic, key) GROUP BY h.topic, h.key, h.sequence
"""
_HEADLESS = """
SELECT DISTINCT o.topic, o.key FROM outbox o LEFT JOIN stream_head h USING (topic, key) WHERE h.key IS NULL
"""
_UNPUBLISHED = "SELECT id, topic, key, sequence FROM outbox WHERE published_at IS NULL ORDER BY id"
_OUTBOX_SIZE = "SELECT count(*) AS n FROM outbox"
_PARKED = "SELECT consumer, topic, key, sequence FROM parked_message ORDER BY topic, key, sequence"
HALTED = """
SELECT topic, key, 'publishing' AS what FROM stream_head WHERE halted
UNION ALL SELECT topic, key, 'consuming' FROM stream_position WHERE halted
"""
_POSITIONS = "SELECT consumer, topic, key, sequence FROM stream_position"
_OVERDUE = """
SELECT id, kind, key FROM outside_call WHERE done_at IS NULL AND next_at < now() - interval '60 seconds'
"""
_CALLS_SIZE = "SELECT count(*) AS n FROM outside_call"
_STREAMS_SIZE = "SELECT count(*) AS n FROM stream_position"


async def gapless(books: Books) -> Finding:
    """Every stream's events in the outbox follow each other and end at the stream's head."""
    finding = Finding()
    for service in books.databases:
        streams = await books.read(service, _GAPS)
        broken = [
            f"{service}: {row['topic']} {row['key']}: head {row['head']}, {row['events']} events {row['first']} to {row['last']}"
            for row in streams
            if row["events"] and (row["last"] != row["head"] or row["last"] - row["first"] + 1 != row["events"])
        ]
        headless = [
            f"{service}: {row['topic']} {row['key']}: events without a head"
            for row in await books.read(service, _HEADLESS)
        ]
        finding.add(len(streams), [*broken, *headless])
    return finding


async def published(books: Books) -> Finding:
    """Every committed event is in Kafka, except behind one that Kafka will not take and a dead letter tells of."""
    finding, stuck = Finding(), await Stuck.of(books)
    for service in books.databases:
        [size] = await books.read(service, _OUTBOX_SIZE)
        waiting = await books.read(service, _UNPUBLISHED)
        finding.add(
            size["n"],
            (
                f"{service}: {row['topic']} {row['key']} #{row['sequence']} is not published"
                for row in waiting
                if (service, row["topic"], row["key"]) not in stuck.streams
            ),
        )
    return finding


async def nothing_parked(books: Books) -> Finding:
    """No event waits for a predecessor, and no stream is halted, unless an open dead letter tells why."""
    finding, stuck = Finding(), await Stuck.of(books)
    for service in books.databases:
        [size] = await books.read(service, _STREAMS_SIZE)
        parked = [
            f"{service}: {row['topic']} {row['key']} #{row['sequence']} is parked"
            for row in await books.read(service, _PARKED)
            if (service, row["topic"], row["key"]) not in stuck.streams
        ]
        halted = [
            f"{service}: {row['what']} {row['topic']} {row['key']} is halted, and no dead letter tells why"
            for row in await books.read(service, HALTED)
            if (service, row["topic"], row["key"]) not in stuck.streams
        ]
        finding.add(size["n"], [*parked, *halted])
    return finding


async def applied(books: Books) -> Finding:
    """Every consumer has applied every event of the topics it follows: its positions equal the publishers' heads.

    A stream that a dead letter holds may be behind, never ahead.
    """
    stuck = await Stuck.of(books)
    heads: dict[str, dict[str, int]] = {}
    for service in books.databases:
        for row in await books.read(service, HEADS):
            heads.setdefault(row["topic"], {})[row["key"]] = row["sequence"]
    finding = Finding()
    for service in books.databases:
        positions: dict[str, dict[str, int]] = {}
        for row in await books.read(service, _POSITIONS):
            positions.setdefault(row["topic"], {})[row["key"]] = row["sequence"]
        for topic in sorted(SUBSCRIPTIONS[service]):
            keys, published_there = positions.get(topic, {}), heads.get(topic, {})
            held = {key for holder, name, key in stuck.streams if (holder, name) == (service, topic)}
            finding.add(
                len(published_there.keys() | keys.keys()), _differences(service, topic, published_there, keys, held)
            )
    return finding


def _differences(
    service: str, topic: str, heads: dict[str, int], positions: dict[str, int], held: set[str]
) -> list[str]:
    return [
        f"{service} is at {positions.get(key, 0)} of {heads.get(key, 0)} in {topic} {key}"
        for key in sorted(heads.keys() | positions.keys())
        if positions.get(key, 0) != heads.get(key, 0)
        and not (key in held and positions.get(key, 0) < heads.get(key, 0))
    ]


async def calls_made(books: Books) -> Finding:
    """No call to the outside world is overdue by more than a minute: none was forgotten."""
    finding = Finding()
    for service in books.databases:
        [size] = await books.read(service, _CALLS_SIZE)
        overdue = await books.read(service, _OVERDUE)
        finding.add(
            size["n"], (f"{service}: call {row['id']} ({row['kind']} {row['key']}) is overdue" for row in overdue)
        )
    return finding


CHECKS = (
    Check("streams.gapless", "the sequences of every stream are gapless", (), gapless),
    Check("streams.published", "the outboxes are empty", (), published),
    Check("streams.nothing_parked", "no event is parked, no stream halted without a letter", (), nothing_parked),
    Check("streams.applied", "every consumer has applied every event it follows", (), applied),
    Check("calls.made", "no call to the outside world is overdue", (), calls_made),
)
