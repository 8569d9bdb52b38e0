"""A service as a process: it serves, it stops within its bound whatever is frozen, and its watchdog ends it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from freeport.embedded.kafka import EmbeddedKafka
from freeport.embedded.postgres import EmbeddedPostgres
from freeport.processes import base_environment, free_port
from freeport.topics import create_topics
from shared.contracts import topics
from shared.watchdog import EXIT_CODE
from tests.fixtures.bench import KEYS, STORE, migrated
from tests.fixtures.embedded import RunningPostgres, TestDatabase
from tests.kit.till.main import SERVICE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
SHUTDOWN_S = 9.0
ROOT = Path(__file__).parents[2]


@dataclass
class World:
    """A database server and a broker that a test may freeze."""

    postgres: RunningPostgres
    kafka: EmbeddedKafka

    @contextmanager
    def frozen(self, *pids: int | None) -> Generator[None]:
        roots = [psutil.Process(pid) for pid in pids]
        processes = [process for root in roots for process in (root, *root.children(recursive=True))]
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def world(embedded_directory: Path) -> Iterator[World]:
    settings = {"fsync": "off", "full_page_writes": "off"}
    postgres = EmbeddedPostgres(embedded_directory / "postgres-frozen", password="postgres", settings=settings)
    kafka = EmbeddedKafka(embedded_directory / "kafka-frozen", jvm=("-XX:TieredStopAtLevel=1",))
    postgres.start()
    kafka.start()
    asyncio.run(create_topics(kafka.bootstrap, topics.TOPICS, partitions=3))
    yield World(RunningPostgres(postgres), kafka)
    kafka.stop()
    postgres.stop()


@dataclass
class Till:
    """The running process."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def events(self) -> set[str]:
        return {line["event"] for line in self.lines}

    async def add(self, name: str, key: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            headers = {"authorization": f"Bearer {KEYS[STORE]}", "idempotency-key": key}
            return await client.post(f"{self.url}/v1/additions", json={"name": name, "units": 1}, headers=headers)

    async def ready(self) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return (await client.get(f"{self.url}/readyz")).json()

    async def ended(self, within_s: float) -> tuple[int, float]:
        """Its exit code, and how long that took."""
        began = time.monotonic()
        code = await asyncio.to_thread(self.process.wait, within_s)
        return code, time.monotonic() - began


@asynccontextmanager
async def till(world: World, directory: Path, **settings: str) -> AsyncGenerator[Till]:
    place: TestDatabase = await migrated(SERVICE, world.postgres)
    port = free_port()
    environment = {
        "FREEPORT_DATABASE_URL": place.app_url,
        "FREEPORT_KAFKA": world.kafka.bootstrap,
        "FREEPORT_PORT": str(port),
        "FREEPORT_SHUTDOWN_S": str(SHUTDOWN_S),
        **settings,
    }
    log = directory / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 (it starts in milliseconds)
            (sys.executable, "-m", "tests.kit.till", "all"),
            cwd=ROOT,
            env=base_environment() | environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    running = Till(process, f"http://127.0.0.1:{port}", log)
    try:
        await until(lambda: serves(running))
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def serves(running: Till) -> bool:
    assert running.process.poll() is None, running.log.read_text()[-2000:]
    try:
        return httpx.get(f"{running.url}/readyz", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


async def until(fact: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(fact):  # noqa: ASYNC110 (a fact of another process)
            await asyncio.sleep(0.1)


async def test_it_stops_in_order_within_its_bound(world: World, tmp_path: Path) -> None:
    async with till(world, tmp_path) as running:
        assert (await running.add("a", "k")).status_code == 201
        running.process.terminate()
        code, took = await running.ended(SHUTDOWN_S + 3)
    assert code == 0
    assert took < SHUTDOWN_S / 2
    assert "service.ended_by_force" not in running.events()


async def test_it_stops_within_its_bound_though_the_broker_is_frozen(world: World, tmp_path: Path) -> None:
    async with till(world, tmp_path) as running:
        assert (await running.add("a", "k")).status_code == 201
        with world.frozen(world.kafka.pid):
            assert (
                await running.add("a", "k2")
            ).status_code == 201  # the outbox has it; the relay is in the middle of it
            running.process.terminate()
            _, took = await running.ended(SHUTDOWN_S + 3)
    assert took < SHUTDOWN_S + 1


async def test_it_stops_within_its_bound_though_the_database_is_frozen(world: World, tmp_path: Path) -> None:
    async with till(world, tmp_path) as running:
        assert (await running.add("a", "k")).status_code == 201
        with world.frozen(world.postgres.server.pid):
            asking = asyncio.create_task(running.add("a", "k2"))
            await asyncio.wait({asking}, timeout=0.5)
            running.process.terminate()
            _, took = await running.ended(SHUTDOWN_S + 3)
            assert took < SHUTDOWN_S + 1
            await asyncio.wait({asking})
            assert asking.exception() is not None or asking.result().status_code == 503


async def test_without_a_broker_it_waits_says_so_and_catches_up(world: World, tmp_path: Path) -> None:
    async with till(world, tmp_path, FREEPORT_STUCK_AFTER_S="3") as running:
        with world.frozen(world.kafka.pid):
            assert (await running.add("a", "k")).status_code == 201
            await until(
                lambda: httpx.get(f"{running.url}/readyz", trust_env=False, timeout=5).json()["kafka"] == "unreachable"
            )
            found = await running.ready()
            assert (found["status"], found["database"]) == ("ready", "reachable")
            with pytest.raises(subprocess.TimeoutExpired):
                await running.ended(8)  # more than twice the watchdog's patience: waiting is right
        await until(
            lambda: httpx.get(f"{running.url}/readyz", trust_env=False, timeout=5).json()["kafka"] == "reachable"
        )
        assert "watchdog.stuck" not in running.events()


async def test_an_event_loop_that_stands_still_ends_the_process_and_shows_where(world: World, tmp_path: Path) -> None:
    point = "commands.uncommitted=pause:60"
    async with till(world, tmp_path, FREEPORT_LOOP_STUCK_AFTER_S="2", FREEPORT_FAILPOINTS=point) as running:
        asking = asyncio.create_task(running.add("a", "k"))
        code, took = await running.ended(20)
        await asyncio.wait({asking})
        assert asking.exception() is not None
    assert code == EXIT_CODE
    assert took < 15
    (told,) = [line for line in running.lines if line["event"] == "watchdog.stuck"]
    assert told["loop"] == "event loop"
    assert "failpoints.py" in running.log.read_text()  # the stack of the thread that stands


async def test_a_process_that_was_stopped_and_goes_on_is_not_ended_by_its_guard(world: World, tmp_path: Path) -> None:
    async with till(world, tmp_path, FREEPORT_LOOP_STUCK_AFTER_S="2") as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        await asyncio.sleep(4)  # the pause is the test
        os.kill(running.process.pid, signal.SIGCONT)
        assert (await running.add("a", "k")).status_code == 201
        with pytest.raises(subprocess.TimeoutExpired):
            await running.ended(3)
