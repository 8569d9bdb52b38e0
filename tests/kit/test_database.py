"""PostgreSQL that freezes, dies, fills up or has no connection left: retried, told with 503, and nothing leaks."""

import asyncio
import os
import random
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
import pytest_asyncio

from freeport.embedded.postgres import EmbeddedPostgres
from shared.database import Connection, NoConnection, is_transient
from tests.fixtures.bench import Bench, BenchFactory, migrated, start
from tests.fixtures.embedded import RunningPostgres
from tests.kit.test_desk import add, confirmed, counts
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "state",
    [
        "08006",
        "40001",
        "40P01",
        "53100",
        "53200",
        "53300",
        "55P03",
        "57014",
        "57P01",
        "57P03",
        "25P03",
        "25006",
        "58030",
    ],
)
def test_what_is_the_servers_fault_is_tried_again(state: str) -> None:
    assert is_transient(asyncpg.PostgresError.new({"C": state, "M": "told by the server", "S": "ERROR"}))


@pytest.mark.parametrize("state", ["22003", "22021", "23502", "23514", "42703", "25P02"])
def test_what_is_a_messages_fault_is_not(state: str) -> None:
    assert not is_transient(asyncpg.PostgresError.new({"C": state, "M": "told by the server", "S": "ERROR"}))


async def test_a_value_that_does_not_fit_is_the_messages_fault_also_when_the_client_finds_out(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    for value in (2**40, "text", object()):
        with pytest.raises(asyncpg.DataError) as caught:
            await bench.database.fetchval("SELECT $1::int", value)
        assert not is_transient(caught.value)


async def test_a_transaction_that_idled_too_long_is_run_again(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE)
    cuts = 0
    save = bench.kit.desk.save

    async def dawdle(state: Any, connection: Connection) -> None:
        nonlocal cuts
        cuts += 1
        if cuts == 1:  # as when the loop is held up in the middle of a transaction
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
            pid = connection.get_server_pid()
            await gone(bench.place.owner_url, pid)
        await save(state, connection)

    monkeypatch.setattr(bench.kit.desk, "save", dawdle)
    await bench.deliver(confirmed("o"))
    assert await counts(bench) == {"o": 1}
    assert await bench.database.fetchval("SELECT count(*) FROM dead_letter") == 0


async def gone(url: str, pid: int) -> None:
    """Return when the server has ended this session."""
    watcher = await asyncpg.connect(url)
    try:
        while await watcher.fetchval(  # noqa: ASYNC110 (a fact in the server)
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid
        ):
            await asyncio.sleep(0.02)
    finally:
        await watcher.close()


@pytest.fixture(scope="module")
def private(embedded_directory: Any) -> Any:
    """A server of one's own, for what would hurt the other tests."""
    settings = {"fsync": "off", "full_page_writes": "off", "max_connections": "20"}
    server = EmbeddedPostgres(embedded_directory / "postgres-hurt", password="postgres", settings=settings)
    server.start()
    yield RunningPostgres(server)
    server.stop()


BenchOn = Callable[[], Awaitable[Bench]]


@pytest_asyncio.fixture
async def hurt_bench(private: RunningPostgres, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[BenchOn]:
    """A till over the private server, with short patience, so that a test need not wait as long as an operator would."""
    monkeypatch.setattr("shared.database._COMMAND_TIMEOUT_S", 2.0)
    monkeypatch.setattr("shared.database._CONNECT_TIMEOUT_S", 3.0)
    monkeypatch.setattr("shared.database._ACQUIRE_TIMEOUT_S", 3.0)
    closing: list[Callable[[], Awaitable[None]]] = []

    async def make() -> Bench:
        place = await migrated(SERVICE, private)
        kit = await start(SERVICE, place, {"pool_size": 4}, closing)
        kit.combiner._patience_s = 3.0
        return Bench(SERVICE, kit, place, {}, closing)

    yield make
    for close in reversed(closing):
        await close()


async def persist(client: httpx.AsyncClient, key: str) -> httpx.Response:
    """As a client that knows its trade: again with the same key until it is told."""
    async with asyncio.timeout(40):
        while (answer := await add(client, "a", 1, key)).status_code == 503:
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["retryable"] is True
            await asyncio.sleep(0.05)
    return answer


async def one_by_one(client: httpx.AsyncClient, name: str, times: int) -> None:
    for n in range(times):
        assert (await persist(client, f"{name}-{n}")).status_code == 201


async def rests(bench: Bench) -> None:
    """The pool is as it was: nothing in use, no transaction left open on the server."""
    async with asyncio.timeout(20):
        while True:
            size, idle = bench.database.pool_state()
            open_transactions = await bench.database.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            )
            if size == idle and not open_transactions:
                return
            await asyncio.sleep(0.05)


async def test_a_frozen_server_is_told_with_503_and_after_it_everything_is_there_once(
    hurt_bench: BenchOn, private: RunningPostgres
) -> None:
    bench = await hurt_bench()
    async with bench.client as client:
        await add(client, "a", 1, "first")
        tell(private, signal.SIGSTOP)
        try:
            began = asyncio.get_running_loop().time()
            during = await asyncio.gather(*(add(client, "a", 1, f"k{n}") for n in range(30)))
            waited = asyncio.get_running_loop().time() - began
            with pytest.raises((NoConnection, TimeoutError, OSError)):
                await bench.database.fetchval("SELECT 1")
            event = asyncio.create_task(bench.deliver(confirmed("o")))
        finally:
            tell(private, signal.SIGCONT)
        assert {answer.status_code for answer in during} == {503}
        assert waited < 15
        after = await asyncio.gather(*(persist(client, f"k{n}") for n in range(30)))
        await event
    assert {answer.status_code for answer in after} == {201}
    assert await counts(bench) == {"a": 31, "o": 1}
    await rests(bench)


def tell(private: RunningPostgres, number: signal.Signals) -> None:
    """Every process of the server: each session is one, in a group of its own."""
    postmaster = psutil.Process(private.server.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        process.send_signal(number)


async def test_sessions_that_are_ended_at_random_cost_no_effect_and_make_none_twice(
    hurt_bench: BenchOn, private: RunningPostgres
) -> None:
    bench = await hurt_bench()
    admin = await asyncpg.connect(private.admin_url)
    ended = waves = 0
    try:
        async with bench.client as client, asyncio.timeout(90):
            while ended <= 5:  # a fast machine has done a wave before many are ended
                load = asyncio.gather(*(one_by_one(client, f"w{waves}.{n}", 20) for n in range(20)))
                waves += 1
                while not load.done():
                    ended += await admin.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE datname = $1 AND pid <> pg_backend_pid() AND random() < 0.7",
                        bench.place.name,
                    )
                    await asyncio.wait({load}, timeout=0.3)
                await load
    finally:
        await admin.close()
    assert await counts(bench) == {"a": waves * 400}
    await rests(bench)


async def test_a_server_that_stops_at_once_leaves_no_commit_in_doubt(
    hurt_bench: BenchOn, private: RunningPostgres
) -> None:
    bench = await hurt_bench()
    async with bench.client as client:
        load = asyncio.gather(*(one_by_one(client, f"w{n}", 10) for n in range(20)))
        while not bench.kit.combiner.batches:  # noqa: ASYNC110 (a counter)
            await asyncio.sleep(0.005)
        await asyncio.to_thread(stop_at_once, private)
        await asyncio.to_thread(private.server.start)
        await load
    assert await counts(bench) == {"a": 200}
    await rests(bench)


def stop_at_once(private: RunningPostgres) -> None:
    assert private.server.pid is not None
    os.kill(private.server.pid, signal.SIGQUIT)
    while private.server.exit_code() is None:
        time.sleep(0.02)


async def test_without_a_connection_left_callers_are_asked_to_come_again(
    hurt_bench: BenchOn, private: RunningPostgres
) -> None:
    bench = await hurt_bench()
    admin = await asyncpg.connect(private.admin_url)
    try:
        async with bench.client as client:
            # The role's limit gives the same 53300 as the server's, and keeps the tests' own way in.
            await admin.execute("ALTER ROLE till_app CONNECTION LIMIT 0")
            await admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND usename = 'till_app'",
                bench.place.name,
            )
            answers = await asyncio.gather(*(add(client, "a", 1, f"k{n}") for n in range(20)))
            assert {answer.status_code for answer in answers} == {503}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["database"]) == (503, "unreachable")
            await admin.execute("ALTER ROLE till_app CONNECTION LIMIT -1")
            after = await asyncio.gather(*(persist(client, f"k{n}") for n in range(20)))
        assert {answer.status_code for answer in after} == {201}
        assert await counts(bench) == {"a": 20}
        await rests(bench)
    finally:
        await admin.execute("ALTER ROLE till_app CONNECTION LIMIT -1")
        await admin.close()


async def test_a_full_disk_is_nobodys_fault(hurt_bench: BenchOn) -> None:
    bench = await hurt_bench()
    await full_disk(bench, full=True)
    async with bench.client as client:
        answer = await add(client, "a", 1, "k")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        event = asyncio.create_task(bench.deliver(confirmed("o")))
        await full_disk(bench, full=False)
        assert (await persist(client, "k")).status_code == 201
        await event
    assert await counts(bench) == {"a": 1, "o": 1}
    assert await bench.database.fetchval("SELECT count(*) FROM dead_letter") == 0


async def full_disk(bench: Bench, *, full: bool) -> None:
    """PostgreSQL says 53100 when a file cannot grow; so does this trigger."""
    owner = await asyncpg.connect(bench.place.owner_url)
    try:
        if full:
            await owner.execute(
                "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;"
                " CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON till FOR EACH ROW EXECUTE FUNCTION no_space()"
            )
        else:
            await owner.execute("DROP TRIGGER no_space ON till; DROP FUNCTION no_space")
    finally:
        await owner.close()


async def test_a_thousand_callers_who_go_away_in_the_middle_leave_nothing_behind(
    service_bench: BenchFactory,
) -> None:
    bench = await service_bench(SERVICE)
    random_ = random.Random(29)
    async with bench.client as client:
        for _ in range(10):
            calls = [asyncio.create_task(add(client, "a", 1, f"k{n}")) for n in range(100)]
            for call in random_.sample(calls, 100):
                for _ in range(random_.randint(0, 3)):
                    await asyncio.sleep(0)
                if random_.random() < 0.1:
                    await asyncio.sleep(0.002)
                call.cancel()
            await asyncio.wait(calls)
        assert bench.kit.combiner.depth == 0
        await rests(bench)
        answers = await asyncio.gather(*(persist(client, f"k{n}") for n in range(100)))
    assert {answer.status_code for answer in answers} == {201}
    assert await counts(bench) == {"a": 100}
    await rests(bench)
