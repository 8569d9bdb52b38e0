"""The watchdog ends what is silent though it has work; what fails, waits or rests it leaves alone."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.errors import KafkaConnectionError

from shared.contracts import topics
from shared.database import Connection, single_connection
from shared.effects import Call
from shared.messaging.consumer import Consumer
from shared.messaging.relay import Relay
from shared.messaging.workers import Beat, call_loops, repeat, settle_deadlines, unclaimed_call, unclaimed_deadline
from shared.watchdog import LoopGuard, Watchdog
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.embedded import RunningKafka
from tests.kit.test_desk import confirmed
from tests.kit.test_kafka import publish
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration
PATIENCE_S = 0.6


@pytest_asyncio.fixture(scope="session")
async def bootstrap(kafka: RunningKafka) -> str:
    await kafka.create_topics(*(topic.name for topic in topics.TOPICS))
    return kafka.bootstrap


class Ended(list[str]):
    """Whom the watchdog ended."""

    def __call__(self, name: str, seen: str) -> None:
        self.append(f"{name}: {seen}")


@asynccontextmanager
async def no_database() -> AsyncGenerator[Connection]:
    raise ConnectionRefusedError
    yield


def watchdog_of(bench: Bench, ended: Ended) -> Watchdog:
    return Watchdog(lambda: single_connection(bench.place.app_url, "watchdog"), patience_s=PATIENCE_S, end=ended)


async def watched_for(watchdog: Watchdog, seconds: float = 3 * PATIENCE_S) -> None:
    """Let it look as often as it does."""
    task = asyncio.create_task(watchdog.run())
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def hang(*_: Any, **__: Any) -> Any:
    await asyncio.Event().wait()


@asynccontextmanager
async def running(*loops: Any) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@asynccontextmanager
async def consuming(consumer: Consumer) -> AsyncGenerator[None]:
    """It runs, and has left its group in the end, whatever came of the test: else it would be a member of the next one's."""
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 20)


async def until_ended(watchdog: Watchdog, ended: Ended) -> None:
    async with running(watchdog.run()), asyncio.timeout(30):
        while not ended:  # noqa: ASYNC110 (what it sees is told by a call)
            await asyncio.sleep(0.05)


async def test_a_loop_that_moves_fails_or_has_nothing_to_do_is_left_alone(service_bench: BenchFactory) -> None:
    bench, ended, moves = await service_bench(SERVICE), Ended(), Beat()
    watchdog = watchdog_of(bench, ended)

    async def work(_: Connection) -> str | None:
        moves()
        return "work"

    async def none(_: Connection) -> str | None:
        return None

    async def no_broker(_: Connection) -> str | None:
        raise KafkaConnectionError

    watchdog.watch("busy", lambda: moves.count, work)
    watchdog.watch("idle", lambda: 0, none)
    watchdog.watch("waits for the broker", lambda: 0, no_broker)
    await watched_for(watchdog)
    assert ended == []


async def test_without_its_database_nothing_is_stuck() -> None:
    ended = Ended()

    async def work(_: Connection) -> str | None:
        return "work"

    watchdog = Watchdog(no_database, patience_s=PATIENCE_S, end=ended)
    watchdog.watch("waits for the database", lambda: 0, work)
    await watched_for(watchdog)
    assert ended == []


async def test_a_relay_that_hangs_is_ended(
    service_bench: BenchFactory, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, ended = await service_bench(SERVICE), Ended()
    await bench.deliver(confirmed("o"))
    await bench.database.execute("UPDATE outbox SET created_at = now() - interval '1 minute'")
    relay = Relay("till", bench.database, bootstrap)
    monkeypatch.setattr(relay, "_publish", hang)
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("relay", lambda: relay.signs, relay.waiting)
    async with running(relay.run()):
        await until_ended(watchdog, ended)
    assert f"waits for the topic {topics.RETURN.name}" in ended[0]


async def test_a_relay_that_is_not_the_owner_is_left_alone(service_bench: BenchFactory, bootstrap: str) -> None:
    bench, ended = await service_bench(SERVICE), Ended()
    owner, standby = (Relay("till", bench.database, bootstrap) for _ in range(2))
    assert await owner.step() == 0
    await bench.deliver(confirmed("o"))
    await bench.database.execute("UPDATE outbox SET created_at = now() - interval '1 minute'")
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("relay", lambda: standby.signs, standby.waiting)
    async with running(standby.run()):
        await watched_for(watchdog)
    assert ended == []
    await owner.close()


async def test_a_consumer_whose_client_brings_nothing_though_there_is_something_is_ended(
    service_bench: BenchFactory, bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, ended = await service_bench(SERVICE), Ended()
    consumer = Consumer(bench.kit.desk, bootstrap)
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("consumer", lambda: consumer.signs, consumer.waiting)

    stuck = asyncio.Event()

    async def nothing(_: object) -> int:
        stuck.set()
        await asyncio.sleep(0.05)
        return 0

    async with consuming(consumer):
        await publish(bench, bootstrap, "moves", 1)
        await eventually(lambda: counted(bench, "moves"))
        monkeypatch.setattr(consumer, "_step", nothing)
        await stuck.wait()  # a poll under way would still bring what is published now, and nothing would be left lying
        await publish(bench, bootstrap, "moves", 1)  # into a partition that it has
        await until_ended(watchdog, ended)
        assert await bench.database.fetchval("SELECT units FROM till WHERE name = 'moves'") == 1
    assert topics.ORDER.name in ended[0]


async def test_a_consumer_that_has_read_all_is_left_alone(service_bench: BenchFactory, bootstrap: str) -> None:
    bench, ended = await service_bench(SERVICE), Ended()
    consumer = Consumer(bench.kit.desk, bootstrap)
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("consumer", lambda: consumer.signs, consumer.waiting)
    async with consuming(consumer):
        await publish(bench, bootstrap, "all", 3)
        await eventually(lambda: counted(bench, "all"))
        await watched_for(watchdog)
    assert ended == []


async def test_a_deadline_loop_that_hangs_is_ended(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, ended, beat = await service_bench(SERVICE), Ended(), Beat()
    await bench.deliver(confirmed("o"))
    await bench.database.execute("UPDATE deadline SET due_at = now() - interval '1 minute'")
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("deadlines", lambda: beat.count, unclaimed_deadline)
    async with running(repeat("deadlines", hang, asyncio.Event(), 0.1, beat)):
        await until_ended(watchdog, ended)
    assert "till.close of o is due" in ended[0]
    desk = bench.kit.desk
    async with running(repeat("deadlines", lambda: settle_deadlines(desk), asyncio.Event(), 0.1, beat)):
        await watched_for(watchdog)
    assert len(ended) == 1


async def test_call_loops_that_hang_are_ended(service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, ended, beat = await service_bench(SERVICE), Ended(), Beat()
    await bench.deliver(confirmed("o"))
    await bench.due()
    await bench.database.execute("UPDATE outside_call SET next_at = now() - interval '1 minute'")
    monkeypatch.setattr("shared.messaging.workers.make_calls", hang)
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("calls", lambda: beat.count, unclaimed_call)
    loops = call_loops(bench.kit.desk, {"till.ring": ring}, asyncio.Event(), beat)
    async with running(*loops.values()):
        await until_ended(watchdog, ended)
    assert "till.ring" in ended[0]


async def ring(call: Call) -> dict[str, Any] | None:
    return {"ok": True}


async def test_a_combiner_that_hangs_is_ended(service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, ended = await service_bench(SERVICE), Ended()
    begun, hanging, kit = asyncio.Event(), asyncio.Event(), bench.kit

    class Desk:
        async def settle(self, source: object) -> None:
            begun.set()
            await hanging.wait()

    kit.combiner._desk = Desk()  # pyright: ignore[reportAttributeAccessIssue] (a desk that hangs)
    watchdog = watchdog_of(bench, ended)
    watchdog.watch("combiner", lambda: kit.combiner.batches, kit.combiner.waiting)
    async with bench.client as client:
        body = {"name": "a", "units": 1}
        calls = [asyncio.create_task(client.post("/v1/additions", json=body))]
        try:
            async with asyncio.timeout(10):
                await begun.wait()  # the first is in a transaction that does not end; the next one waits
            calls.append(asyncio.create_task(client.post("/v1/additions", json=body)))
            await until_ended(watchdog, ended)
        finally:
            hanging.set()
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
    assert "1 commands wait" in ended[0]


def test_a_thread_sees_that_the_loop_stands_still() -> None:
    ended, told = Ended(), threading.Event()

    def end(name: str, seen: str) -> None:
        ended(name, seen)
        told.set()

    async def stand_still() -> None:
        guard = LoopGuard(asyncio.get_running_loop(), patience_s=0.5, end=end)
        guard.start()
        await asyncio.sleep(1)  # it turns
        assert not ended
        assert told.wait(10)  # it stands
        guard.stop()

    asyncio.run(stand_still())
    assert ended[0].startswith("event loop: it has not turned")


async def eventually(check: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    # A group whose members were killed by an earlier test takes a new one in when their sessions have ended.
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110 (a fact in a database, which sets no event)
            await asyncio.sleep(0.02)


async def counted(bench: Bench, name: str) -> bool:
    return bool(await bench.database.fetchval("SELECT units FROM till WHERE name = $1", name))
