"""A broker that lost its data, a topic that was made anew, a group that was forgotten: filled again, read again, no second effect."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DeleteGroupsRequest

from freeport.embedded.kafka import EmbeddedKafka
from freeport.topics import create_topics
from shared import telemetry
from shared.contracts import topics
from shared.contracts.inventory import StockChanged
from shared.contracts.orders import OrderConfirmed
from shared.contracts.registry import Event
from shared.effects import Moment
from shared.messaging import codec, outbox, survey
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from tests.fixtures.bench import Bench, BenchFactory
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration
ORDER, STOCK = topics.ORDER.name, topics.STOCK.name


class Broker:
    """A broker of one's own, which can be stopped, wiped and robbed of its topics."""

    def __init__(self, directory: Path) -> None:
        self.kafka = EmbeddedKafka(directory, jvm=("-XX:TieredStopAtLevel=1",))

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    async def start(self) -> None:
        await asyncio.to_thread(self.kafka.start)

    async def stop(self) -> None:
        await asyncio.to_thread(self.kafka.stop)

    async def wipe(self) -> None:
        await self.stop()
        await asyncio.to_thread(shutil.rmtree, self.kafka.directory / "data")
        await self.start()

    async def make_topics(self) -> None:
        await create_topics(self.bootstrap, topics.TOPICS, partitions=3)

    async def delete_topic(self, name: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            answer: Any = await admin.delete_topics([name])
            assert [code for _, code in answer.topic_error_codes] == [0]
            while name in await admin.list_topics():  # noqa: ASYNC110 (a fact in the broker, which sets no event)
                await asyncio.sleep(0.05)
        finally:
            await admin.close()


@pytest.fixture(scope="module")
def kafka_directory(embedded_directory: Path) -> Path:
    return embedded_directory / "kafka-lost"


@pytest.fixture(scope="module")
def running(kafka_directory: Path) -> Iterator[Broker]:
    broker = Broker(kafka_directory)
    broker.kafka.start()
    yield broker
    broker.kafka.stop()


@pytest.fixture
async def broker(running: Broker) -> Broker:
    await running.make_topics()
    return running


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 40.0) -> None:
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110 (a fact in a database, which sets no event)
            await asyncio.sleep(0.05)


async def commit(bench: Bench, *events: Event) -> None:
    """As a service would: into the outbox, in one transaction."""
    now = datetime.now(UTC)
    moment = Moment(decided_at=now, occurred_at=now, message_id="cmd_test", store_id="str_demo")
    async with bench.database.transaction() as connection:
        await outbox.write(outbox.collect([(list(events), moment)]), connection)


def confirmed(order_id: str) -> OrderConfirmed:
    return OrderConfirmed(order_id=order_id, allocations=())


def stock(sku: str, units: int) -> StockChanged:
    return StockChanged(
        sku=sku, version=units, on_hand=units, reserved=0, available=units, channels=(), as_of=datetime.now(UTC)
    )


async def drain(relay: Relay) -> int:
    published = 0
    while found := await relay.step():
        published += found
    return published


@asynccontextmanager
async def relaying(bench: Bench, broker: Broker) -> AsyncGenerator[Relay]:
    relay = Relay("orders", bench.database, broker.bootstrap)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.wait({task})


@asynccontextmanager
async def consuming(bench: Bench, broker: Broker) -> AsyncGenerator[Consumer]:
    consumer = Consumer(bench.kit.desk, broker.bootstrap)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 30)


async def log_of(broker: Broker, topic: str) -> list[tuple[str, int]]:
    """All records of a topic as (key, sequence), by partition and offset."""
    reader = AIOKafkaConsumer(topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await reader.start()
    try:
        ends = await reader.end_offsets(list(reader.assignment()))
        seen: dict[tuple[int, int], tuple[str, int]] = {}
        async with asyncio.timeout(20):
            while len(seen) < sum(ends.values()):
                for place, records in (await reader.getmany(timeout_ms=200)).items():
                    for record in records:
                        found = codec.open_envelope(topic, record.key, record.value, record.headers)
                        seen[place.partition, record.offset] = (found.key, found.sequence)
    finally:
        await reader.stop()
    return [seen[place] for place in sorted(seen)]


async def units(bench: Bench, name: str) -> int:
    return await bench.database.fetchval("SELECT units FROM till WHERE name = $1", name) or 0


def of(key: str, found: list[tuple[str, int]]) -> list[int]:
    return [sequence for name, sequence in found if name == key]


async def test_an_idle_owner_keeps_its_lease(service_bench: BenchFactory, broker: Broker) -> None:
    bench = await service_bench(SERVICE)
    owner, other = (Relay("orders", bench.database, broker.bootstrap) for _ in range(2))
    assert await owner.step() == 0
    clock = asyncio.get_running_loop().time
    until = clock() + 5
    while clock() < until:  # as `run` does when nothing comes: a step every quarter of a second
        await owner.step()
        await asyncio.sleep(0.25)
    left = await bench.database.fetchval("SELECT extract(epoch FROM expires_at - now()) FROM relay_lease")
    assert left > 6
    assert await other.step() == 0
    await owner.close()


async def test_a_wiped_broker_is_filled_again_in_the_order_of_the_outbox(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    keys = [f"o{n}" for n in range(5)]
    await commit(bench, *(confirmed(key) for _ in range(300) for key in keys))
    relay = Relay("orders", bench.database, broker.bootstrap)
    assert await drain(relay) == 1500
    before = await log_of(broker, ORDER)

    await broker.wipe()
    await broker.make_topics()
    await commit(bench, confirmed("new"))
    await relay.close()
    relay = Relay("orders", bench.database, broker.bootstrap)
    assert await drain(relay) == 1501
    assert await drain(relay) == 0
    await relay.close()

    found = await log_of(broker, ORDER)
    assert all(of(key, found) == of(key, before) == list(range(1, 301)) for key in keys)
    assert of("new", found) == [1]
    assert await bench.database.fetchval("SELECT count(*) FROM republication") == 0


async def test_a_relay_with_nothing_to_do_notices_the_loss_by_itself(
    service_bench: BenchFactory, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.relay._LOOK_EVERY_S", 0.5)
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("quiet") for _ in range(20)))
    async with relaying(bench, broker):
        await eventually(lambda: all_published(bench))
        await broker.wipe()
        await broker.make_topics()
        await eventually(lambda: has(broker, "quiet", 20))


async def test_a_topic_that_was_made_anew_is_filled_again_though_others_are_whole(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("a") for _ in range(10)), *(stock("s", n) for n in range(1, 4)))
    relay = Relay("orders", bench.database, broker.bootstrap)
    await drain(relay)
    whole = await log_of(broker, STOCK)
    await broker.delete_topic(ORDER)
    await broker.make_topics()
    # The first record of the new log has an offset that was had before: that alone tells.
    await commit(bench, confirmed("a"))
    assert await drain(relay) >= 11
    await relay.close()
    found = await log_of(broker, ORDER)
    assert set(of("a", found)) == set(range(1, 12))
    assert await log_of(broker, STOCK) == whole


async def test_a_new_log_that_has_grown_past_the_old_one_is_still_another_log(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("long") for _ in range(5)))
    relay = Relay("orders", bench.database, broker.bootstrap)
    await drain(relay)
    await relay.close()
    await broker.delete_topic(ORDER)
    await broker.make_topics()
    # A relay that died between acknowledgement and mark has put more there than there was before.
    other = await service_bench(SERVICE)
    await commit(other, *(confirmed("long") for _ in range(50)))
    foreign = Relay("orders", other.database, broker.bootstrap)
    await drain(foreign)
    await foreign.close()

    relay = Relay("orders", bench.database, broker.bootstrap)
    assert await drain(relay) == 5
    await relay.close()
    assert of("long", await log_of(broker, ORDER)) == [*range(1, 51), *range(1, 6)]


async def test_filling_again_goes_on_where_a_killed_relay_stopped(service_bench: BenchFactory, broker: Broker) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("mid") for _ in range(1200)))
    first = Relay("orders", bench.database, broker.bootstrap)
    await drain(first)
    await broker.delete_topic(ORDER)
    await broker.make_topics()
    await first.close()
    first = Relay("orders", bench.database, broker.bootstrap)
    assert await first.step() == 500
    # It dies here; its lease runs out.
    await bench.database.execute("UPDATE relay_lease SET expires_at = now() - interval '1 second'")
    second = Relay("orders", bench.database, broker.bootstrap)
    assert await drain(second) == 700
    await second.close()
    await first._drop_producer()
    assert of("mid", await log_of(broker, ORDER)) == list(range(1, 1201))


async def test_a_state_topic_gets_the_newest_of_each_key_and_nothing_older_behind_it(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    for n in range(1, 4):
        await commit(bench, stock("s", n), stock("t", n))
    relay = Relay("inventory", bench.database, broker.bootstrap)
    await drain(relay)
    await broker.delete_topic(STOCK)
    await broker.make_topics()
    await relay.close()
    await commit(bench, stock("s", 4))
    relay = Relay("inventory", bench.database, broker.bootstrap)
    await drain(relay)
    await relay.close()
    found = await log_of(broker, STOCK)
    assert of("s", found) == [4]
    assert of("t", found) == [3]


async def test_after_years_a_lost_state_topic_is_whole_again_and_streams_are_forgotten_after_a_week(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    for n in range(1, 4):
        await commit(bench, stock("old", n), confirmed("old"))
    relay = Relay("inventory", bench.database, broker.bootstrap)
    await drain(relay)
    long_ago = "now() - interval '2 years'"
    await bench.database.execute(f"UPDATE outbox SET created_at = {long_ago}, published_at = {long_ago}")
    await commit(bench, stock("young", 1), confirmed("young"), stock("old", 4))
    await relay.clean()
    kept = await bench.database.fetch("SELECT topic, key, sequence FROM outbox ORDER BY id")
    assert [tuple(row) for row in kept] == [
        (STOCK, "young", 1),
        (ORDER, "young", 1),
        (STOCK, "old", 4),
    ]
    await drain(relay)
    await bench.database.execute(f"UPDATE outbox SET created_at = {long_ago}, published_at = {long_ago}")
    await relay.clean()
    await broker.delete_topic(STOCK)
    await broker.make_topics()
    await relay.close()
    relay = Relay("inventory", bench.database, broker.bootstrap)
    await drain(relay)
    await relay.close()
    found = await log_of(broker, STOCK)
    assert (of("young", found), of("old", found)) == ([1], [4])


async def test_a_topic_that_is_missing_holds_up_no_other(service_bench: BenchFactory, broker: Broker) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, confirmed("first"), stock("s", 1))
    async with relaying(bench, broker):
        await eventually(lambda: all_published(bench))
        await broker.delete_topic(ORDER)
        await commit(bench, confirmed("first"))
        await commit(bench, stock("s", 2))
        await eventually(lambda: has_stock(broker, "s", 2))
        await broker.make_topics()
        await eventually(lambda: has(broker, "first", 2))


async def all_published(bench: Bench) -> bool:
    return not await bench.database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")


async def has(broker: Broker, key: str, sequences: int) -> bool:
    return set(of(key, await log_of(broker, ORDER))) == set(range(1, sequences + 1))


async def has_stock(broker: Broker, key: str, sequence: int) -> bool:
    return sequence in of(key, await log_of(broker, STOCK))


async def test_what_a_consumer_had_not_read_of_a_wiped_broker_takes_effect_once_and_the_rest_not_again(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("had") for _ in range(10)))
    async with relaying(bench, broker), consuming(bench, broker):
        await eventually(lambda: counted(bench, "had", 10))
    await commit(bench, *(confirmed("had") for _ in range(3)), *(confirmed("unread") for _ in range(4)))
    relay = Relay("orders", bench.database, broker.bootstrap)
    await drain(relay)
    await relay.close()
    await broker.wipe()
    await broker.make_topics()
    async with relaying(bench, broker), consuming(bench, broker):
        await eventually(lambda: counted(bench, "unread", 4))
        await eventually(lambda: counted(bench, "had", 13))
        await eventually(lambda: settled(bench, broker))
    assert (await units(bench, "had"), await units(bench, "unread")) == (13, 4)


async def test_relay_and_consumer_live_through_a_wipe_without_being_started_anew(
    service_bench: BenchFactory, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.relay._LOOK_EVERY_S", 0.5)
    monkeypatch.setattr("shared.messaging.consumer._LOOK_EVERY_S", 0.5)
    bench = await service_bench(SERVICE)
    async with relaying(bench, broker), consuming(bench, broker):
        await commit(bench, *(confirmed("through") for _ in range(10)))
        await eventually(lambda: counted(bench, "through", 10))
        await broker.wipe()
        await commit(bench, *(confirmed("through") for _ in range(5)))
        await broker.make_topics()
        await eventually(lambda: counted(bench, "through", 15), within_s=60)
    assert await units(bench, "through") == 15


async def test_an_offset_from_before_a_topic_was_made_anew_points_into_the_new_log_and_loses_nothing(
    service_bench: BenchFactory, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.consumer._LOOK_EVERY_S", 0.5)
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("past") for _ in range(5)))
    async with relaying(bench, broker), consuming(bench, broker):
        await eventually(lambda: counted(bench, "past", 5))
    old = await committed(bench, broker)
    await broker.delete_topic(ORDER)
    await broker.make_topics()
    # Another database's relay fills the new log with other orders, of which the same partition gets more than five.
    other = await service_bench(SERVICE)
    await commit(other, *(confirmed(f"n{n}") for n in range(60)))
    relay = Relay("orders", other.database, broker.bootstrap)
    await drain(relay)
    await relay.close()
    await commit_offsets(bench, broker, old)  # a member that was frozen commits what it had read of the old log
    async with consuming(bench, broker):
        await eventually(lambda: counted(bench, "n0", 1))
        await eventually(lambda: all_counted(bench, 60))


async def test_a_deleted_group_reads_everything_again_without_a_second_effect(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("group") for _ in range(10)))
    async with relaying(bench, broker), consuming(bench, broker):
        await eventually(lambda: counted(bench, "group", 10))
    await delete_group(bench, broker)
    before = duplicates()
    async with relaying(bench, broker), consuming(bench, broker):
        await commit(bench, confirmed("group"))
        await eventually(lambda: counted(bench, "group", 11))
    assert await units(bench, "group") == 11
    assert duplicates() - before >= 10  # they were read again


async def test_without_the_topic_of_offsets_everything_is_read_again_without_a_second_effect(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    await commit(bench, *(confirmed("offsets") for _ in range(10)))
    before = duplicates()
    async with relaying(bench, broker), consuming(bench, broker):
        await eventually(lambda: counted(bench, "offsets", 10))
        await eventually(lambda: settled(bench, broker))
        await broker.delete_topic("__consumer_offsets")
        await commit(bench, confirmed("offsets"))
        await eventually(lambda: counted(bench, "offsets", 11), within_s=90)
    await broker.delete_topic("__consumer_offsets")
    async with relaying(bench, broker), consuming(bench, broker):
        await commit(bench, confirmed("offsets"))
        await eventually(lambda: counted(bench, "offsets", 12))
    assert await units(bench, "offsets") == 12
    assert duplicates() - before >= 10


async def counted(bench: Bench, name: str, expected: int) -> bool:
    return await units(bench, name) == expected


async def all_counted(bench: Bench, names: int) -> bool:
    return await bench.database.fetchval("SELECT count(*) FROM till WHERE name LIKE 'n%' AND units = 1") == names


def duplicates() -> float:
    return telemetry.EVENTS_CONSUMED.labels(ORDER, "duplicate")._value.get()


def group_of(bench: Bench) -> str:
    return f"freeport.{bench.service.name}"


async def committed(bench: Bench, broker: Broker) -> dict[Any, Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        return dict(await admin.list_consumer_group_offsets(group_of(bench)))
    finally:
        await admin.close()


async def settled(bench: Bench, broker: Broker) -> bool:
    """The group has committed the end of every partition."""
    found = await survey.look(
        broker.bootstrap, [topic.name for topic in topics.TOPICS], {}, client="test", group=group_of(bench)
    )
    mine = {place for place in found.ends if place.topic == ORDER}
    return all(found.ends[p] == (found.committed[p].offset if p in found.committed else 0) for p in mine)


async def commit_offsets(bench: Bench, broker: Broker, offsets: dict[Any, Any]) -> None:
    client = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, group_id=group_of(bench), enable_auto_commit=False)
    await client.start()
    try:
        client.assign(list(offsets))
        await client.commit(offsets)
    finally:
        await client.stop()


async def delete_group(bench: Bench, broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        node = await admin.find_coordinator(group_of(bench))
        answer: Any = await admin._send_request(DeleteGroupsRequest([group_of(bench)]), node)
        assert [code for _, code in answer.results] == [0]
    finally:
        await admin.close()
    assert await committed(bench, broker) == {}
