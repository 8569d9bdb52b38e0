"""Three embedded brokers are one cluster, which goes on without any one of them."""

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer

from freeport.embedded.kafka import EmbeddedKafka, quorum
from freeport.processes import free_port
from freeport.topics import create_topics
from shared.contracts.topics import ORDER, TOPICS
from shared.messaging import kafka
from shared.messaging.relay import Relay
from tests.chaos.proxy import Proxies, Toxics
from tests.chaos.waiting import until, until_true
from tests.fixtures.administration import Leadership, leaders
from tests.fixtures.bench import BenchFactory
from tests.kit.till.main import SERVICE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
WITHIN_S = 90.0
JVM = ("-XX:TieredStopAtLevel=1",)


@pytest_asyncio.fixture
async def brokers(embedded_directory: Path) -> AsyncGenerator[list[EmbeddedKafka]]:
    cluster = quorum([free_port() for _ in range(3)])
    nodes = [
        EmbeddedKafka(embedded_directory / f"three-{node}", quorum=cluster, node=node, jvm=JVM)
        for node in cluster.controllers
    ]
    try:
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in nodes))
        yield nodes
    finally:
        await asyncio.gather(*(asyncio.to_thread(node.stop, patience=5) for node in nodes))


async def send(producer: kafka.ProducerClient, word: bytes) -> None:
    async with asyncio.timeout(60):
        await (
            await producer.send(ORDER.name, value=word, key=b"one", headers=[], timestamp_ms=int(time.time() * 1000))
        )


async def read_all(bootstrap: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(ORDER.name, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_every_topic_has_three_replicas_and_the_leaders_death_loses_nothing(
    brokers: list[EmbeddedKafka],
) -> None:
    bootstrap = ",".join(broker.bootstrap for broker in brokers)
    await create_topics(bootstrap, [ORDER], partitions=1, replicas=3)

    async def led() -> Leadership:
        [leadership] = (await leaders(bootstrap, [ORDER.name])).values()
        return leadership

    # The last of them may have joined a moment ago.
    leader = (await until(led, lambda now: len(now.in_sync) == 3, "all three to be in sync", WITHIN_S)).leader
    producer = await kafka.produce(bootstrap, client="three")
    try:
        await send(producer, b"before")
        await asyncio.to_thread(brokers[leader - 1].stop, patience=0)
        await send(producer, b"after")
    finally:
        await kafka.let_go(producer)
    assert (await led()).leader != leader
    assert await read_all(bootstrap, 2) == [b"before", b"after"]


async def test_a_relay_outlives_the_loss_of_the_majority_with_another_producer(
    brokers: list[EmbeddedKafka], service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bootstrap = ",".join(broker.bootstrap for broker in brokers)
    await create_topics(bootstrap, TOPICS, partitions=1, replicas=3)
    bench = await service_bench(SERVICE)
    thrown_away: list[object] = []
    let_go = kafka.let_go

    async def seen(client: kafka.ProducerClient) -> None:
        thrown_away.append(client)
        await let_go(client)

    monkeypatch.setattr(kafka, "let_go", seen)
    relay = asyncio.create_task(Relay("till", bench.database, bootstrap).run())

    async def sold(times: int) -> None:
        async with bench.client as client:
            for _ in range(times):
                assert (await client.post("/v1/additions", json={"name": "majority", "units": 1})).status_code == 201

    async def unpublished() -> int:
        return await bench.database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")

    async def published() -> None:
        await until(unpublished, lambda waiting: waiting == 0, "everything to be published", WITHIN_S)

    try:
        await sold(3)
        await published()
        await asyncio.gather(*(asyncio.to_thread(broker.stop, patience=0) for broker in brokers[:2]))
        await sold(3)
        await until_true(lambda: bool(thrown_away), "the producer to be thrown away", WITHIN_S)
        assert await unpublished() == 3
        await asyncio.gather(*(asyncio.to_thread(broker.start) for broker in brokers[:2]))
        await published()
        assert await bench.database.fetchval("SELECT count(*) FROM outbox") == 6
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)


async def test_clients_find_a_broker_by_what_it_advertises(embedded_directory: Path) -> None:
    direct, port = free_port(), free_port()
    async with Proxies.running() as proxies:
        proxy = await proxies.open("kafka", to_port=port)
        broker = EmbeddedKafka(
            embedded_directory / "advertised", port=port, advertised_port=proxy.port, direct_port=direct, jvm=JVM
        )
        try:
            await asyncio.to_thread(broker.start)
            await create_topics(broker.direct, [ORDER], partitions=1)
            assert (await proxy.counts()).connections == 0
            # Bootstrapped past the proxy, a client of the plain listener is still sent to the proxy.
            producer = await kafka.produce(f"127.0.0.1:{port}", client="advertised")
            try:
                await proxy.poison(down=Toxics(latency_s=0.2))
                await send(producer, b"late")
            finally:
                await kafka.let_go(producer)
            assert (await proxy.counts()).down.late > 0
            assert await read_all(broker.direct, 1) == [b"late"]
        finally:
            await asyncio.to_thread(broker.stop, patience=5)
