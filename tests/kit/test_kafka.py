"""Outbox to Kafka to desk, with the real broker."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.contracts import topics
from shared.contracts.orders import OrderConfirmed
from shared.messaging import codec
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Fenced, Relay
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.embedded import RunningKafka
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture(scope="session")
async def bootstrap(kafka: RunningKafka) -> str:
    await kafka.create_topics(*(topic.name for topic in topics.TOPICS))
    return kafka.bootstrap


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110 (a fact in a database, which sets no event)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def consuming(bench: Bench, bootstrap: str) -> AsyncGenerator[Consumer]:
    consumer = Consumer(bench.kit.desk, bootstrap)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 20)


async def add(bench: Bench, name: str, times: int) -> None:
    async with bench.client as client:
        for answer in await asyncio.gather(
            *(client.post("/v1/additions", json={"name": name, "units": 1}) for _ in range(times))
        ):
            assert answer.status_code == 201


async def read_keys(bootstrap: str, topic: str, keys: set[str], count: int) -> list[tuple[str, int]]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    seen: list[tuple[str, int]] = []
    try:
        async with asyncio.timeout(20):
            while len(seen) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        envelope = codec.open_envelope(topic, record.key, record.value, record.headers)
                        if envelope.key in keys:
                            seen.append((envelope.key, envelope.sequence))
    finally:
        await consumer.stop()
    return seen


async def test_the_relay_publishes_each_stream_in_sequence_and_marks_it(
    service_bench: BenchFactory, bootstrap: str
) -> None:
    bench = await service_bench(SERVICE)
    await add(bench, "relay-a", 30)
    await add(bench, "relay-b", 30)
    relay = Relay("till", bench.database, bootstrap)
    assert await relay.step() == 60
    assert await relay.step() == 0
    await relay.close()
    seen = await read_keys(bootstrap, topics.RETURN.name, {"relay-a", "relay-b"}, 60)
    for key in ("relay-a", "relay-b"):
        assert [sequence for found, sequence in seen if found == key] == list(range(1, 31))


async def test_only_one_relay_owns_the_outbox_and_a_frozen_owner_is_fenced(
    service_bench: BenchFactory, bootstrap: str
) -> None:
    bench = await service_bench(SERVICE)
    await add(bench, "fence", 2)
    first, second = Relay("till", bench.database, bootstrap), Relay("till", bench.database, bootstrap)
    assert await first.step() == 2
    await add(bench, "fence", 1)
    assert await second.step() == 0
    await bench.database.execute(
        "UPDATE relay_lease SET expires_at = now() - interval '1 second'"
    )  # the first one froze
    await eventually(lambda: published(second, 1))
    await add(bench, "fence", 1)
    with pytest.raises(Fenced):
        await first.step()  # it has sent, but may not mark
    assert await bench.database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 1
    await first.close()
    await second.close()


async def test_a_relay_that_was_killed_and_started_again_under_its_name_publishes_at_once(
    service_bench: BenchFactory, bootstrap: str
) -> None:
    bench = await service_bench(SERVICE)
    await add(bench, "again", 1)
    killed = Relay("till", bench.database, bootstrap, instance="till-1")
    assert await killed.step() == 1
    await add(bench, "again", 1)
    started = Relay("till", bench.database, bootstrap, instance="till-1")
    assert await started.step() == 1  # it does not wait for the lease to run out
    await add(bench, "again", 1)
    with pytest.raises(Fenced):
        await killed.step()  # should it live after all
    await started.close()
    await killed._drop_producer()


async def test_an_event_has_its_effect_once_however_often_it_is_published(
    service_bench: BenchFactory, bootstrap: str
) -> None:
    bench = await service_bench(SERVICE)
    await publish(bench, bootstrap, "once", 5)
    async with consuming(bench, bootstrap):
        await eventually(lambda: counted(bench, "once", 5))
        await bench.database.execute("UPDATE outbox SET published_at = NULL WHERE topic = $1", topics.ORDER.name)
        await publish(bench, bootstrap, "once", 1)
        await eventually(lambda: counted(bench, "once", 6))
    assert await bench.database.fetchval("SELECT units FROM till WHERE name = 'once'") == 6


async def test_what_is_no_event_is_set_aside_and_the_rest_goes_on(service_bench: BenchFactory, bootstrap: str) -> None:
    bench = await service_bench(SERVICE)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    await producer.send_and_wait(topics.ORDER.name, value=b"\x00\xff", key=b"odd", headers=[("ce_id", b"\xff")])
    await producer.send_and_wait(topics.ORDER.name, value=None, key=b"o")
    await producer.stop()
    await publish(bench, bootstrap, "after", 1)
    async with consuming(bench, bootstrap):
        await eventually(lambda: counted(bench, "after", 1))
        await eventually(lambda: dead(bench, 2))
    errors = await bench.database.fetch("SELECT error FROM dead_letter")
    assert all("not an event" in row["error"] for row in errors)


async def publish(bench: Bench, bootstrap: str, order_id: str, times: int) -> None:
    """As orders would: write into an outbox and let the relay send it."""
    from datetime import UTC, datetime

    from shared.effects import Moment
    from shared.messaging import outbox

    now = datetime.now(UTC)
    moment = Moment(decided_at=now, occurred_at=now, message_id="cmd_test", store_id="str_demo")
    events = [OrderConfirmed(order_id=order_id, allocations=()) for _ in range(times)]
    async with bench.database.transaction() as connection:
        await outbox.write(outbox.collect([(events, moment)]), connection)
    relay = Relay("orders", bench.database, bootstrap)
    await relay.step()
    await relay.close()


async def published(relay: Relay, events: int) -> bool:
    return await relay.step() == events


async def counted(bench: Bench, name: str, units: int) -> bool:
    return await bench.database.fetchval("SELECT units FROM till WHERE name = $1", name) == units


async def dead(bench: Bench, letters: int) -> bool:
    return await bench.database.fetchval("SELECT count(*) FROM dead_letter") >= letters
