"""Kafka's topics lie: they repeat, invert, hold nonsense, forget where readers were, or are gone (rows 16, 17, 27, 28)."""

import asyncio
import contextlib
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from freeport.health import client
from freeport.layout import SERVICES
from shared.contracts.registry import TopicKind
from shared.contracts.topics import ORDER, TOPICS
from shared.database import Database
from shared.messaging import deadletters
from shared.messaging.logbook import COLUMNS
from shared.messaging.relay import Relay
from tests.chaos import servers
from tests.chaos.cluster import CONSUMING, Cluster, Process
from tests.chaos.fault import MADE_UP, Fault, Feature, Harmless
from tests.chaos.faults.brokers import leaders
from tests.chaos.waiting import until
from tests.fixtures import administration

STREAMS = [topic.name for topic in TOPICS if topic.kind is TopicKind.STREAM]
_REPEATED = 400  # records of each partition, its newest
_SEEN_WITHIN_S = 45.0
_LEASE_S = 75.0  # longer than anything below takes, and given back at its end
_GATHER_S = 10.0
_ENOUGH = 30
_READ_WITHIN_S = 30.0
Outcomes = dict[tuple[str, int], Counter[str]]
"""By process (name and id)."""


# ── Reading and writing past the proxies ──────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def reader(cluster: Cluster) -> AsyncGenerator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=cluster.direct, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def writer(cluster: Cluster) -> AsyncGenerator[AIOKafkaProducer]:
    """Idempotent, so that it sends every record once, and in its order."""
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.direct, acks="all", enable_idempotence=True, max_request_size=8 * 1024**2
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def places_of(cluster: Cluster, topics: Sequence[str]) -> list[TopicPartition]:
    """All partitions of the topics."""
    return sorted(place for place in await leaders(cluster) if place.topic in topics)


async def newest(consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], most: int) -> list[Any]:
    """The newest records of each partition, at most so many, oldest first."""
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    full = [place for place in places if ends[place] > begins[place]]
    if not full:
        return []
    consumer.assign(full)
    for place in full:
        consumer.seek(place, max(begins[place], ends[place] - most))
    records: list[Any] = []
    reached = dict.fromkeys(full, 0)
    async with asyncio.timeout(_READ_WITHIN_S):
        while any(reached[place] < ends[place] for place in full):
            for place, batch in (await consumer.getmany(timeout_ms=200)).items():
                records += batch
                reached[place] = batch[-1].offset + 1
    return records


async def send_again(producer: AIOKafkaProducer, records: Sequence[Any]) -> None:
    """Append records as they are, each to its own partition, in this order."""
    sent = [
        await producer.send(
            record.topic, value=record.value, key=record.key, partition=record.partition, headers=list(record.headers)
        )
        for record in records
    ]
    async with asyncio.timeout(_READ_WITHIN_S):
        await asyncio.gather(*sent)


_COUNTED = re.compile(r'^freeport_events_consumed_total\{outcome="(\w+)",topic="[^"]+"\} (\S+)$', re.MULTILINE)


async def outcomes(cluster: Cluster) -> Outcomes:
    """What every living consumer has counted, by process: duplicates, parked ones and so on."""
    async with client() as http:

        async def one(process: Process) -> tuple[tuple[str, int], Counter[str]] | None:
            who = process.name, process.pid or 0
            try:
                text = (await http.get(f"{process.url}/metrics", timeout=10)).text
            except httpx.HTTPError:
                return None  # it is down: its successor counts from nothing
            counted: Counter[str] = Counter()
            for outcome, count in _COUNTED.findall(text):
                counted[outcome] += int(float(count))
            return who, counted

        found = await asyncio.gather(*(one(process) for process in cluster.services))
    return dict(counted for counted in found if counted is not None)


def risen(before: Outcomes, now: Outcomes) -> Counter[str]:
    """By how much the counters rose, those of processes that were started meanwhile included."""
    total: Counter[str] = Counter()
    for who, counts in now.items():
        total += counts - before.get(who, Counter())
    return total


# ── Row 27 ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def repeated(cluster: Cluster, rng: Random) -> str:
    """What the streams hold is appended once more in its order, and once more in none."""
    before = await outcomes(cluster)
    async with reader(cluster) as consumer, writer(cluster) as producer:
        records = await newest(consumer, await places_of(cluster, STREAMS), _REPEATED)
        if not records:
            raise Harmless("the streams are empty")
        again = rng.sample(records, k=max(1, len(records) * 2 // 3))
        shuffled = rng.sample(records, k=len(records))
        await send_again(producer, sorted(again, key=lambda record: record.offset))
        await send_again(producer, shuffled)
    sent = len(again) + len(shuffled)
    seen = await until(
        lambda: outcomes(cluster),
        lambda now: risen(before, now)["duplicate"] >= sent,  # every topic has a reader, and most have several
        f"{sent} repeated records to be recognised",
        _SEEN_WITHIN_S,
    )
    recognised = risen(before, seen)["duplicate"]
    return f"{len(again)} records were repeated and {len(shuffled)} shuffled; {recognised} times one was recognised"


_TAKE_LEASE = """
UPDATE relay_lease SET owner = $1, epoch = epoch + 1, expires_at = now() + make_interval(secs => $2) WHERE name = 'outbox' RETURNING 1
"""
_GIVE_LEASE = (
    "UPDATE relay_lease SET expires_at = now() - interval '1 second' WHERE name = 'outbox' AND owner = $1 RETURNING 1"
)
_WAITING = f"SELECT {COLUMNS} FROM outbox o WHERE published_at IS NULL AND topic = ANY($1) ORDER BY id"


async def inverted(cluster: Cluster, rng: Random) -> str:
    """A relay that owns the outbox sends what waits last first, without the first of each stream, and marks nothing.

    Logistics' relay: parcels travel on meanwhile, so that many a shipment has several events waiting. Whoever owns the
    outbox next sends all of them again, in their order.
    """
    before, name = await outcomes(cluster), f"chaos-{rng.randrange(10**9)}"
    database = await Database.connect(cluster.database_url("logistics"), pool_size=1)
    try:
        await cluster.fetch("logistics", _TAKE_LEASE, name, _LEASE_S)
        with contextlib.suppress(TimeoutError):  # fewer will do
            await until(lambda: _successors(database), lambda rows: len(rows) >= _ENOUGH, "events to wait", _GATHER_S)
        later = await _successors(database)
        if not later:
            raise Harmless("no two events of one shipment came to wait")
        await _send_backwards(cluster, Relay("logistics", database, cluster.direct), later)
        seen = await until(
            lambda: outcomes(cluster),
            lambda now: risen(before, now)["parked"] >= len(later),  # every topic of logistics has a reader
            f"{len(later)} events to be parked until their predecessors come",
            _SEEN_WITHIN_S,
        )
    finally:
        await cluster.fetch("logistics", _GIVE_LEASE, name)
        await database.close()
    return f"{len(later)} events came before their predecessors; {risen(before, seen)['parked']} times one was parked"


async def _successors(database: Database) -> list[asyncpg.Record]:
    """What waits to be published behind the first event of its stream that does."""
    first: dict[tuple[str, str], int] = {}
    rows = await database.fetch(_WAITING, STREAMS)
    return [row for row in rows if first.setdefault((row["topic"], row["key"]), row["sequence"]) < row["sequence"]]


async def _send_backwards(cluster: Cluster, relay: Relay, rows: Sequence[asyncpg.Record]) -> None:
    async with writer(cluster) as producer, asyncio.timeout(_READ_WITHIN_S):
        for row in reversed(rows):
            value, key = row["payload"].encode(), row["key"].encode()
            await producer.send(row["topic"], value=value, key=key, headers=relay._headers(row))
        await producer.flush()


# ── Row 28 ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that nobody can take, in a stream that nobody needs."""

    what: str
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def poisons(marker: str, rng: Random) -> list[Poison]:
    """Each kind of nonsense; where there is a sequence it is the first of a stream of its own."""
    placed = "orders.order.placed.v1"
    huge = b'{"order_id": "' + b"x" * rng.randint(900_000, 1_040_000) + b'"}'
    return [
        Poison("no event", b"\xff\xfe garbage", ()),
        Poison("no data", None, _headers(placed, "1", marker)),
        Poison("no number for a sequence", b"{}", _headers(placed, "one", marker)),
        Poison("no JSON", b'{"order_id": ', _headers(placed, "1", marker)),
        Poison("another contract", b'{"order_id": 7}', _headers(placed, "1", marker)),
        Poison("a version of the future", b'{"order_id": "ord_1"}', _headers("orders.order.placed.v99", "1", marker)),
        Poison("near the broker's limit", huge, _headers(placed, "1", marker)),
        Poison("a NUL and half a character", b'{"order_id": "\x00\xc3"}', _headers(placed, "1", marker)),
    ]


def _headers(event_type: str, sequence: str, marker: str) -> list[tuple[str, bytes]]:
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": f"evt_{marker}",
        "ce_type": event_type,
        "ce_time": "2026-01-01T00:00:00Z",
        "ce_sequence": sequence,
    }
    return [(name, value.encode()) for name, value in attributes.items()]


@dataclass(frozen=True, slots=True)
class Letter:
    """An open dead letter of a service."""

    service: str
    id: str
    source: str
    topic: str
    key: str
    sequence: int


async def poisoned(cluster: Cluster, rng: Random) -> str:
    """Nonsense in the orders' topic: it is set aside, its key alone stands, and a person gives it up."""
    marker = f"{MADE_UP}{rng.randrange(10**9)}"
    kinds = poisons(marker, rng)
    flowed = await applied(cluster)
    async with writer(cluster) as producer:
        for number, poison in enumerate(kinds):
            async with asyncio.timeout(_READ_WITHIN_S):
                await producer.send_and_wait(
                    ORDER.name, value=poison.value, key=f"{marker}-{number}".encode(), headers=list(poison.headers)
                )
    readers = await readers_of(cluster, ORDER.name)
    try:
        letters = await until(
            lambda: letters_about(cluster, marker),
            lambda found: Counter(letter.service for letter in found) == dict.fromkeys(readers, len(kinds)),
            f"{len(kinds)} letters of each of {', '.join(readers)}",
            _SEEN_WITHIN_S,
        )
        others = await others_flow(cluster, flowed)
    finally:
        await settle(cluster, marker, deadletters.park)
    return (
        f"{len(kinds)} kinds of nonsense became {len(letters)} letters of {len(readers)} services, and were parked;"
        f" {others} events went past them"
    )


_VICTIMS = (("orders", "orders", "id"), ("payments", "payment", "order_id"))
_TRAP = """
CREATE TABLE {marker} (order_id text PRIMARY KEY);
CREATE FUNCTION {marker}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM {marker} WHERE order_id = NEW.{column}) THEN RAISE EXCEPTION 'a bug of {marker}'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER {marker} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {marker}();
"""
_MEND = "DROP FUNCTION IF EXISTS {marker}() CASCADE; DROP TABLE IF EXISTS {marker}"


async def key_halted(cluster: Cluster, rng: Random) -> str:
    """A service fails at one order that a buyer waits for, as by a bug: that order halts, the others do not.

    Then the bug is mended, its letters are decided again, and what waited behind them follows in its order.
    """
    assert cluster.load is not None
    service, table, column = rng.choice(_VICTIMS)
    marker = f"chaos_{rng.randrange(10**9)}"
    flowed = await applied(cluster)
    database = await Database.connect(cluster.database_url(service), pool_size=1)
    try:
        await database.execute(_TRAP.format(marker=marker, table=table, column=column))
        order = await cluster.load.place()
        await database.execute(f"INSERT INTO {marker} VALUES ($1)", order.order_id)
        letters = await until(
            lambda: letters_about(cluster, marker),
            lambda found: bool(found),
            "a letter about the order",
            _SEEN_WITHIN_S,
        )
        others = await others_flow(cluster, flowed)
    finally:
        await database.execute(_MEND.format(marker=marker))
        await database.close()
    redriven = await settle(cluster, marker, deadletters.redrive)
    await until(
        lambda: halted(cluster, service, order.order_id),
        lambda found: not found,
        f"{order.order_id} to go on",
        _SEEN_WITHIN_S,
    )
    return (
        f"{service} failed at {order.order_id} ({', '.join(sorted({letter.topic for letter in letters}))}) while {others}"
        f" events of others were applied; {redriven} letters were decided again"
    )


async def letters_about(cluster: Cluster, marker: str) -> list[Letter]:
    """Open letters whose key or error has the marker."""
    sql = (
        "SELECT id, source, topic, key, sequence FROM dead_letter"
        " WHERE state = 'open' AND (strpos(key, $1) > 0 OR strpos(error, $1) > 0)"
    )
    return [Letter(service, *row.values()) for service in SERVICES for row in await cluster.fetch(service, sql, marker)]


async def settle(
    cluster: Cluster, marker: str, act: Callable[[Database, str, deadletters.Act], Awaitable[None]]
) -> int:
    """Settle all open letters about it, those too that come meanwhile; how many that were."""
    person = deadletters.Act(actor="chaos", operator="chaos", reason=f"the fault {marker} is over")
    settled = 0
    while letters := await letters_about(cluster, marker):
        for letter in letters:
            database = await Database.connect(cluster.database_url(letter.service), pool_size=1)
            try:
                await act(database, letter.id, person)
            finally:
                await database.close()
        settled += len(letters)
    return settled


async def halted(cluster: Cluster, service: str, key: str) -> list[str]:
    """The topics in which the key stands still in this service."""
    sql = (
        "SELECT topic FROM stream_position WHERE key = $1 AND (halted OR parked > 0)"
        " UNION ALL SELECT topic FROM dead_letter WHERE key = $1 AND state = 'open'"
    )
    return [row["topic"] for row in await cluster.fetch(service, sql, key)]


async def readers_of(cluster: Cluster, topic: str) -> list[str]:
    """The services that have applied something of the topic."""
    sql = "SELECT count(*) FROM (SELECT FROM stream_position WHERE topic = $1 LIMIT 1) AS one"
    return [service for service, count in (await cluster.counts(sql, topic)).items() if count]


async def applied(cluster: Cluster) -> int:
    """How many events have been applied in all streams of all services."""
    return sum((await cluster.counts("SELECT sum(sequence) FROM stream_position")).values())


async def others_flow(cluster: Cluster, before: int) -> int:
    """Wait until other keys' events have been applied since; how many."""
    now = await until(lambda: applied(cluster), lambda found: found > before, "other keys to go on", _SEEN_WITHIN_S)
    return now - before


# ── Rows 16 and 17 ────────────────────────────────────────────────────────────────────────────────────────────────────


async def group_deleted(cluster: Cluster, rng: Random) -> str:
    """A service's consumer group is deleted: it reads everything again, to no effect."""
    service = rng.choice(CONSUMING)
    group, replicas = f"freeport.{service}", cluster.replicas(service)
    await asyncio.gather(*(replica.take_down(signal.SIGTERM) for replica in replicas))
    try:
        forgotten = sum(at > 0 for at in (await administration.committed(cluster.direct, group)).values())
        await _delete(cluster, group)
    finally:
        await asyncio.gather(*(replica.bring_up() for replica in replicas))
    await asyncio.gather(*(replica.until_serving() for replica in replicas))
    if not forgotten:
        raise Harmless(f"{group} had committed nothing")

    names = {replica.name for replica in replicas}

    async def read_again() -> int:
        return sum(counts["duplicate"] for (name, _), counts in (await outcomes(cluster)).items() if name in names)

    again = await until(read_again, lambda n: n > 0, f"{service} to read again what it had", _SEEN_WITHIN_S)
    return f"{group} forgot {forgotten} offsets; its {len(replicas)} members met {again} events again"


async def _delete(cluster: Cluster, group: str) -> None:
    """A member with a name of its own stays in its group until its session is over: so long it cannot be deleted."""

    async def deleted() -> bool:
        await administration.delete_group(cluster.direct, group)
        return True

    await until(deleted, bool, f"{group} to be deleted", _SEEN_WITHIN_S)


async def wiped(cluster: Cluster, rng: Random) -> str:
    """The only broker dies and its disk is empty: another cluster, without topics, groups or offsets."""
    [broker] = cluster.brokers
    old, kept = await administration.cluster_id(cluster.direct), await outbox_rows(cluster)
    await broker.take_down()
    try:
        await asyncio.to_thread(shutil.rmtree, servers.broker_home(cluster.home, 1) / "data")
    finally:
        await broker.bring_up()
    began = time.monotonic()
    await cluster.create_topics()
    new = await administration.cluster_id(cluster.direct)
    if new == old or not kept:
        raise Harmless(f"the cluster is {new} as before" if new == old else "nothing had been published")
    held = await until(
        lambda: records_held(cluster),
        lambda held: held >= kept,
        f"{kept} events to be in the new log",
        2 * _SEEN_WITHIN_S,
    )
    return f"cluster {old} became {new}; its log holds {held} records of {kept} in the outboxes after {time.monotonic() - began:.1f} s"


async def outbox_rows(cluster: Cluster) -> int:
    """Published events of streams that the outboxes keep."""
    sql = "SELECT count(*) FROM outbox WHERE published_at IS NOT NULL AND topic = ANY($1)"
    return sum((await cluster.counts(sql, STREAMS)).values())


async def records_held(cluster: Cluster) -> int:
    """Records in all streams."""
    async with reader(cluster) as consumer:
        return sum((await consumer.end_offsets(await places_of(cluster, STREAMS))).values())


LIES = frozenset({"topics", "kafka"})
"""What a fault occupies that writes into topics itself."""
SETTLED = LIES | {"postgres"}
"""And one that a person settles in the databases."""
FAULTS = (
    Fault(
        name="topics.repeated",
        row=27,
        says="the streams' records come once more, and shuffled once more",
        strike=repeated,
        lasts=8,
        occupies=LIES,
        always=True,
    ),
    Fault(
        name="topics.inverted",
        row=27,
        says="a relay sends what waits from its end to its beginning, and dies before it marks it",
        strike=inverted,
        lasts=16,
        occupies=LIES | {"logistics"},
        always=True,
    ),
    Fault(
        name="topics.poisoned",
        row=28,
        says="nonsense in a topic: malformed, of an unknown version, near the broker's limit",
        strike=poisoned,
        lasts=8,
        occupies=SETTLED,
    ),
    Fault(
        name="topics.key_halted",
        row=28,
        says="a service cannot decide one order's events; the others' flow",
        strike=key_halted,
        lasts=12,
        occupies=SETTLED | {"orders", "payments"},
    ),
    Fault(
        name="topics.group_deleted",
        row=16,
        says="a consumer group is deleted",
        strike=group_deleted,
        lasts=25,
        occupies=LIES | {*CONSUMING},
    ),
    Fault(
        name="topics.wiped",
        row=17,
        says="the broker's disk is wiped",
        strike=wiped,
        lasts=40,
        occupies=LIES,
        needs=frozenset({Feature.ONE_BROKER}),
    ),
)
