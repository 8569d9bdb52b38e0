"""What others write into a topic, and what Kafka will not take, with the real broker."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from shared.contracts import topics
from shared.contracts.orders import OrderConfirmed
from shared.contracts.support import ReturnRequested
from shared.contracts.values import ReturnLine
from shared.effects import Moment
from shared.ids import new_id
from shared.messaging import codec, deadletters, outbox
from shared.messaging.codec import SKIPPED
from shared.messaging.consumer import Consumer
from shared.messaging.deadletters import Act
from shared.messaging.relay import Relay
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.embedded import RunningKafka
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration
MARIA = Act(actor="sk_op_123456", operator="maria", reason="the limit is raised")
Headers = Sequence[tuple[str, bytes | None]]


@pytest_asyncio.fixture(scope="session")
async def bootstrap(kafka: RunningKafka) -> str:
    await kafka.create_topics(*(topic.name for topic in topics.TOPICS))
    return kafka.bootstrap


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110 (a fact in a database, which sets no event)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def consuming(bench: Bench, bootstrap: str) -> AsyncGenerator[None]:
    consumer = Consumer(bench.kit.desk, bootstrap)
    task = asyncio.create_task(consumer.run())
    try:
        yield
        assert not task.done(), "the consumer's loop has ended"
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 20)


@asynccontextmanager
async def limit(bootstrap: str, topic: str, max_bytes: int) -> AsyncGenerator[None]:
    """Let the broker take records of that size at most, or of that size even."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def take(size: int) -> None:
        configs = {"max.message.bytes": str(size)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])

    try:
        await take(max_bytes)
        yield
    finally:
        await take(1024 * 1024 + 12)
        await admin.close()


def headers(key: str, sequence: str = "1", more: Headers = ()) -> Headers:
    made = codec.headers_of(
        event_id=new_id("evt"),
        event_type=OrderConfirmed.event_type,
        source="orders",
        key=key,
        sequence=1,
        time=datetime.now(UTC),
        extensions={},
    )
    return [
        *((name, value) for name, value in made if name != "ce_sequence"),
        ("ce_sequence", sequence.encode()),
        *more,
    ]


def data(key: str) -> bytes:
    return codec.encode_data(OrderConfirmed(order_id=key, allocations=()))


async def test_whatever_is_in_a_topic_ends_no_consumer_and_each_of_it_is_a_letter_once(
    service_bench: BenchFactory, bootstrap: str
) -> None:
    bench = await service_bench(SERVICE)
    run = new_id("run")[-8:]
    huge = b'{"note": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    set_aside: list[tuple[bytes | None, bytes | None, Headers]] = [
        (None, b"{}", headers("nobody")),
        (b"\xff\xfe", data("x"), headers("x")),
        (b"k" * 5000, data("x"), headers("x")),
        (f"{run}-a".encode(), data("a"), []),
        (f"{run}-b".encode(), None, []),  # a tombstone, as compaction knows it
        (f"{run}-c".encode(), data("c"), headers("c", sequence="-1")),
        (f"{run}-d".encode(), data("d"), headers("d", sequence="9" * 5000)),
    ]
    halting: dict[str, tuple[bytes | None, Headers]] = {
        f"{run}-1": (b"\x00\xff", headers(f"{run}-1")),
        f"{run}-2": (None, headers(f"{run}-2")),
        f"{run}-3": (b'{"order_id": ', headers(f"{run}-3")),
        f"{run}-4": (huge, headers(f"{run}-4")),
        f"{run}-5": (data(f"{run}-5"), headers("another")),
    }
    fine = f"{run}-fine"
    async with limit(bootstrap, topics.ORDER.name, 4 * 1024 * 1024):
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4 * 1024 * 1024)
        await producer.start()
        for key, payload, attributes in set_aside:
            await producer.send_and_wait(topics.ORDER.name, key=key, value=payload, headers=attributes)
        for key, (payload, attributes) in halting.items():
            await producer.send_and_wait(topics.ORDER.name, key=key.encode(), value=payload, headers=attributes)
        odd = [("nul\0name", b"\xff\0"), ("nothing", None)]
        await producer.send_and_wait(
            topics.ORDER.name, key=fine.encode(), value=data(fine), headers=headers(fine, more=odd)
        )
        await producer.stop()
        async with consuming(bench, bootstrap):
            await eventually(lambda: counted(bench, fine))
            await eventually(lambda: buried(bench, run, len(halting)))
        first = await letters_of(bench, run)
        await rewind(bootstrap)
        async with consuming(bench, bootstrap):
            await eventually(lambda: has_read_all_again(bootstrap))
    assert await letters_of(bench, run) == first
    assert {key for source, key, _ in first if source == "event"} == set(halting)
    assert len([source for source, _, _ in first if source == "record"]) == len(set_aside)
    halted = await bench.database.fetch("SELECT key FROM stream_position WHERE halted AND key LIKE $1", f"{run}%")
    assert {row["key"] for row in halted} == set(halting)


async def letters_of(bench: Bench, run: str) -> list[tuple[str, str, str]]:
    rows = await bench.database.fetch(
        "SELECT source, key, id FROM dead_letter WHERE key LIKE $1 OR key = ANY($2) ORDER BY id",
        f"{run}%",
        ["", "\\xff\\xfe", "k" * 5000],
    )
    return [(row["source"], row["key"], row["id"]) for row in rows]


async def rewind(bootstrap: str) -> None:
    """As after a loss of the group's offsets: everything is read from the beginning again."""
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=f"freeport.{SERVICE.name}", enable_auto_commit=False
    )
    await client.start()
    try:
        await client.commit(dict.fromkeys(await partitions(client), 0))
    finally:
        await client.stop()


async def partitions(client: AIOKafkaConsumer) -> list[TopicPartition]:
    found = [TopicPartition(topics.ORDER.name, number) for number in range(3)]
    client.assign(found)
    return found


async def has_read_all_again(bootstrap: str) -> bool:
    client = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=f"freeport.{SERVICE.name}", enable_auto_commit=False
    )
    await client.start()
    try:
        places = await partitions(client)
        ends = await client.end_offsets(places)
        reached = [await client.committed(place) or 0 for place in places]
        return reached == [ends[place] for place in places]
    finally:
        await client.stop()


async def counted(bench: Bench, key: str) -> bool:
    return await bench.database.fetchval("SELECT units FROM till WHERE name = $1", key) == 1


async def buried(bench: Bench, run: str, number: int) -> bool:
    sql = "SELECT count(*) FROM dead_letter WHERE source = 'event' AND key LIKE $1"
    return await bench.database.fetchval(sql, f"{run}%") == number


def told(key: str, length: int) -> ReturnRequested:
    return ReturnRequested(
        order_id=key, return_id=new_id("rtn"), lines=(ReturnLine(sku="a", quantity=1, reason="x" * length),)
    )


async def write(bench: Bench, *events: ReturnRequested) -> None:
    now = datetime.now(UTC)
    moment = Moment(decided_at=now, occurred_at=now, message_id="cmd_test", store_id="str_demo")
    async with bench.database.transaction() as connection:
        await outbox.write(outbox.collect([(list(events), moment)]), connection)


@asynccontextmanager
async def relaying(bench: Bench, bootstrap: str) -> AsyncGenerator[None]:
    task = asyncio.create_task(Relay("till", bench.database, bootstrap).run())
    try:
        yield
        assert not task.done(), "the relay's loop has ended"
    finally:
        task.cancel()
        await asyncio.wait([task])


async def unpublished(bench: Bench) -> list[tuple[str, int]]:
    rows = await bench.database.fetch("SELECT key, sequence FROM outbox WHERE published_at IS NULL ORDER BY id")
    return [(row["key"], row["sequence"]) for row in rows]


async def open_letters(bench: Bench) -> list[dict[str, Any]]:
    return [dict(letter) for letter in await deadletters.listed(bench.database)]


@pytest.mark.parametrize("way", ["redrive", "park"])
async def test_an_event_that_the_broker_refuses_halts_its_stream_alone_until_it_is_released_or_given_up(
    service_bench: BenchFactory, bootstrap: str, way: str
) -> None:
    bench = await service_bench(SERVICE)
    # Small ones that are refused only because they travel in one batch with it, and some of its own stream behind it.
    events = [told(f"small-{number}", 10) for number in range(20)]
    await write(bench, *events[:10], told("large", 5000), *events[10:], told("large", 10))
    async with limit(bootstrap, topics.RETURN.name, 2000), relaying(bench, bootstrap):
        await eventually(lambda: is_unpublished(bench, [("large", 1), ("large", 2)]))
        await eventually(lambda: is_listed(bench, 1))
        (letter,) = await open_letters(bench)
        assert (letter["source"], letter["key"], letter["sequence"], letter["waiting"]) == ("stream", "large", 1, 1)
        assert "TooLarge" in letter["error"]
        if way == "park":
            await deadletters.park(bench.database, letter["id"], MARIA)
            await eventually(lambda: is_unpublished(bench, []))
            kind = await bench.database.fetchval("SELECT type FROM outbox WHERE key = 'large' AND sequence = 1")
            assert kind == SKIPPED
            return
        await deadletters.redrive(bench.database, letter["id"], MARIA)
        await eventually(lambda: has_attempts(bench, 2))  # it is refused again: the same letter, open again
    async with relaying(bench, bootstrap):
        await deadletters.redrive(bench.database, letter["id"], MARIA)
        await eventually(lambda: is_unpublished(bench, []))
    (settled,) = await deadletters.listed(bench.database, state="redriven")
    assert (settled["id"], settled["decided"]) == (letter["id"], True)


async def is_unpublished(bench: Bench, expected: list[tuple[str, int]]) -> bool:
    return await unpublished(bench) == expected


async def is_listed(bench: Bench, number: int) -> bool:
    return len(await open_letters(bench)) == number


async def has_attempts(bench: Bench, number: int) -> bool:
    return [letter["attempts"] for letter in await open_letters(bench)] == [number]


async def test_a_given_up_event_passes_through_a_consumer_that_waited_for_it(
    service_bench: BenchFactory, bootstrap: str
) -> None:
    bench = await service_bench(SERVICE)
    key = new_id("ord")
    now = datetime.now(UTC)
    moment = Moment(decided_at=now, occurred_at=now, message_id="cmd_test", store_id="str_demo")
    async with bench.database.transaction() as connection:
        events = [OrderConfirmed(order_id=key, allocations=()) for _ in range(3)]
        await outbox.write(outbox.collect([(events, moment)]), connection)
    row = await bench.database.fetchrow("SELECT * FROM outbox WHERE sequence = 2")
    assert row is not None
    await deadletters.halt_stream(dict(row), KafkaError("too large"), bench.database)
    (letter,) = await open_letters(bench)
    await deadletters.park(bench.database, letter["id"], MARIA)
    async with relaying(bench, bootstrap), consuming(bench, bootstrap):
        sql = "SELECT sequence FROM stream_position WHERE key = $1"

        async def reached() -> bool:
            return await bench.database.fetchval(sql, key) == 3

        await eventually(reached)
    assert await bench.database.fetchval("SELECT units FROM till WHERE name = $1", key) == 2
