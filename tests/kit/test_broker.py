"""A broker that freezes, a producer that is beyond help, a partition that is refused: bounded, and rebuilt."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from shared.messaging import kafka
from shared.messaging.kafka import within
from shared.messaging.relay import Relay
from tests.fixtures.bench import BenchFactory
from tests.kit.test_lost_logs import (
    ORDER,
    Broker,
    all_published,
    commit,
    confirmed,
    consuming,
    counted,
    eventually,
    log_of,
    of,
    relaying,
)
from tests.kit.till.main import SERVICE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def running(embedded_directory: Path) -> Iterator[Broker]:
    broker = Broker(embedded_directory / "kafka-broken")
    broker.kafka.start()
    yield broker
    broker.kafka.stop()


@pytest.fixture
async def broker(running: Broker) -> Broker:
    await running.make_topics()
    return running


async def test_a_bound_is_one_though_what_is_awaited_swallows_its_cancellation() -> None:
    going = asyncio.Event()

    async def stubborn() -> None:
        while not going.is_set():
            try:
                await going.wait()
            except asyncio.CancelledError:
                continue  # as aiokafka's sender does while a request is under way

    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError):
        await within(0.2, stubborn())
    assert loop.time() - began < 2
    going.set()


@pytest.mark.parametrize(
    "trouble",
    [
        asyncio.CancelledError(),
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),
        AssertionError("Partition is not assigned"),
    ],
)
async def test_a_client_that_fails_in_itself_is_an_error_and_ends_no_loop(trouble: BaseException) -> None:
    async def failing() -> None:
        raise trouble

    with pytest.raises(kafka.Broken):
        await within(1, failing())


async def test_whoever_waits_can_still_be_cancelled() -> None:
    waiting = asyncio.create_task(within(60, asyncio.sleep(60)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_member_that_is_let_go_in_mid_fetch_ends_nobody_and_keeps_no_connection(broker: Broker) -> None:
    # aiokafka cancels the fetch, and lets the cancellation out of `stop()` before it has closed its connections.
    member: Any = await kafka.join(broker.bootstrap, [ORDER], group="freeport.mid_fetch", client="mid_fetch")
    fetching = asyncio.create_task(asyncio.sleep(60))
    member._fetcher._pending_tasks.add(fetching)
    await kafka.let_go(member)
    assert fetching.cancelled()
    assert not any(connection.connected() for connection in member._client._conns.values())


@pytest.mark.parametrize(
    "error",
    [
        OutOfOrderSequenceNumber(),
        KafkaError("whatever"),
        TimeoutError(),
        asyncio.CancelledError(),
        RuntimeError("closed"),
    ],
)
async def test_after_any_error_the_producer_is_another_one_and_nothing_is_lost(
    service_bench: BenchFactory, broker: Broker, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    bench = await service_bench(SERVICE)
    made: list[Any] = []
    produce = kafka.produce

    async def failing_once(bootstrap: str, *, client: str) -> Any:
        producer = await produce(bootstrap, client=client)
        made.append(producer)
        if len(made) == 1:
            send, sent = producer.send, 0

            async def fail(*args: Any, **kwargs: Any) -> Any:
                nonlocal sent
                sent += 1
                future = await send(*args, **kwargs)
                if sent <= 3:
                    return future
                refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                if isinstance(error, asyncio.CancelledError):
                    refused.cancel()
                else:
                    refused.set_exception(error)
                return refused

            monkeypatch.setattr(producer, "send", fail)
        return producer

    monkeypatch.setattr(kafka, "produce", failing_once)
    key = f"rebuilt-{type(error).__name__}"
    await commit(bench, *(confirmed(key) for _ in range(10)))
    async with relaying(bench, broker):
        await eventually(lambda: all_published(bench))
    assert len(made) == 2
    found = of(key, await log_of(broker, ORDER))
    assert found[-10:] == list(range(1, 11))  # from the beginning, behind what the first one had sent


async def test_a_frozen_broker_is_waited_for_and_then_everything_goes_on(
    service_bench: BenchFactory, broker: Broker
) -> None:
    bench = await service_bench(SERVICE)
    process = psutil.Process(broker.kafka.pid)
    async with relaying(bench, broker) as relay, consuming(bench, broker):
        await commit(bench, confirmed("ice"))
        await eventually(lambda: counted(bench, "ice", 1))
        process.send_signal(signal.SIGSTOP)
        try:
            await commit(bench, *(confirmed("ice") for _ in range(9)))
            await eventually(lambda: gave_up(relay), within_s=60)
            assert not await all_published(bench)
            await asyncio.sleep(
                20
            )  # past every time-out of the clients, and the members' session; the pause is the test
        finally:
            process.send_signal(signal.SIGCONT)
        await eventually(lambda: counted(bench, "ice", 10), within_s=60)
        await eventually(lambda: all_published(bench))


async def gave_up(relay: Relay) -> bool:
    return relay.out_of_reach


async def test_letting_go_of_a_client_of_a_frozen_broker_is_bounded(broker: Broker) -> None:
    producer = await kafka.produce(broker.bootstrap, client="frozen")
    member = await kafka.join(broker.bootstrap, [ORDER], group="freeport.frozen", client="frozen")
    await (await producer.send(ORDER, value=b"x", key=b"x", headers=[], timestamp_ms=0))
    process = psutil.Process(broker.kafka.pid)
    process.send_signal(signal.SIGSTOP)
    try:
        await producer.send(ORDER, value=b"y", key=b"y", headers=[], timestamp_ms=0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError):
            await kafka.commit(member, {kafka.Partition(ORDER, 0): (0, "")})
        await asyncio.gather(kafka.let_go(producer), kafka.let_go(member))
        assert loop.time() - began < 10
    finally:
        process.send_signal(signal.SIGCONT)
