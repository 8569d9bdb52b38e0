"""Too many, too slow, too large: refused with 503, 408, 431 or 413, and nobody else notices."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn

from freeport.processes import free_port
from shared import http as http_
from shared import patience
from shared.messaging.sources import EventBatch
from shared.patience import PatientProtocol
from shared.runtime import _Server, create_app, for_workers
from tests.fixtures.bench import KEYS, STORE, Bench, BenchFactory
from tests.kit.test_database import rests
from tests.kit.test_desk import add, confirmed, counts
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration


@asynccontextmanager
async def served(bench: Bench) -> AsyncGenerator[int]:
    """The bench's API behind a real socket, as the runtime serves it; gives the port."""
    port = free_port()
    config = uvicorn.Config(
        create_app(bench.service, bench.kit),
        host="127.0.0.1",
        port=port,
        http=PatientProtocol,
        lifespan="off",
        log_level=logging.CRITICAL,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 (uvicorn sets no event)
            await asyncio.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def connection(port: int) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_who_never_ends_a_header_is_sent_away_and_others_are_served(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEAD_S", 0.5)
    bench = await service_bench(SERVICE)
    async with served(bench) as port, contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connection(port)) for _ in range(50)]
        for _, writer in slow[:25]:  # the others send nothing at all
            writer.write(b"GET /healthz HTTP/1.1\r\nhost: slow\r\nx-drip: ")
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        async with asyncio.timeout(15):
            answers = [await reader.read() for reader, _ in slow]
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


async def test_who_drips_a_body_is_cut_off(service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "BODY_S", 0.5)
    bench = await service_bench(SERVICE)
    async with served(bench) as port, connection(port) as (reader, writer):
        writer.write(
            b"POST /v1/additions HTTP/1.1\r\nhost: slow\r\ncontent-length: 1000\r\nidempotency-key: k\r\n"
            b"content-type: application/json\r\nauthorization: Bearer " + KEYS[STORE].encode() + b"\r\n\r\n{"
        )
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionError):
                assert b" 201 " not in await reader.read()
    await rests(bench)
    assert await counts(bench) == {}


async def test_an_endless_header_is_not_remembered(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with served(bench) as port, connection(port) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nx-long: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                writer.write(b"a" * 4096)
                await writer.drain()
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionError):
                assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_a_kept_connection_serves_many_requests_however_patient_we_are_not(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HEAD_S", 0.3)
    bench = await service_bench(SERVICE)
    async with served(bench) as port, httpx.AsyncClient(trust_env=False) as client:
        for _ in range(3):
            assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            await asyncio.sleep(1.5)  # between requests nothing is owed; the pause is the test
        assert len(client._transport._pool.connections) == 1  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]


async def test_more_requests_than_may_be_answered_at_once_are_asked_to_come_again(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE, request_capacity=5)
    blocker = await asyncpg.connect(bench.place.owner_url)
    async with bench.client as client:
        await add(client, "a", 1, "first")
        holding = blocker.transaction()
        await holding.start()
        await blocker.execute("SELECT * FROM till FOR UPDATE")
        calls = [asyncio.create_task(add(client, "a", 1, f"k{n}")) for n in range(30)]
        done, waiting = await asyncio.wait(calls, timeout=1)
        assert (await client.get("/healthz")).status_code == 200
        await holding.rollback()
        answers = [call.result() for call in done]
        assert {(answer.status_code, answer.json()["code"], answer.headers["retry-after"]) for answer in answers} == {
            (503, "service.busy", "1")
        }
        assert len(waiting) == 5
        assert {(await call).status_code for call in waiting} == {201}
    await blocker.close()


async def test_the_bodies_of_all_requests_together_are_bounded(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_, "_MAX_BODIES", 50_000)
    bench = await service_bench(SERVICE)
    let_in, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncGenerator[bytes]:
        yield b" " * 40_000
        let_in.set()
        await go_on.wait()
        yield b'{"name": "a", "units": 1}'

    async with served(bench) as port:
        headers = {"authorization": f"Bearer {KEYS[STORE]}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{port}/v1/additions"
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            first = asyncio.create_task(client.post(url, content=slowly(), headers={"idempotency-key": "1"}))
            await let_in.wait()
            body = b" " * 20_000 + b'{"name": "a", "units": 1}'
            async with asyncio.timeout(20):
                again = {"idempotency-key": "2"}
                while (second := await client.post(url, content=body, headers=again)).is_success:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # the first part of the first body is still on its way
            assert (second.status_code, second.json()["code"]) == (503, "service.busy")
            go_on.set()
            assert (await first).status_code == 201
            assert (await client.post(url, content=body, headers={"idempotency-key": "3"})).status_code == 201


async def test_a_thousand_requests_of_one_key_ask_the_database_once_who_that_is(
    service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await service_bench(SERVICE, pool_size=2)
    asked = 0
    fetchrow = bench.database.fetchrow

    async def counting(sql: str, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        return await fetchrow(sql, *args)

    monkeypatch.setattr(bench.database, "fetchrow", counting)
    finding = [asyncio.create_task(bench.kit.keys.find(KEYS[STORE])) for _ in range(1000)]
    await asyncio.sleep(0)
    finding.pop(0).cancel()  # who asked first goes away: the others are answered all the same
    found = await asyncio.gather(*finding)
    assert {principal.store_id for principal in found if principal} == {STORE}
    assert asked == 1


async def test_loops_that_are_stuck_on_locks_take_no_connection_from_the_requests(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE, pool_size=2, worker_pool_size=3)
    workers = await for_workers(SERVICE, bench.kit)
    blocker = await asyncpg.connect(bench.place.owner_url)
    stuck: list[asyncio.Task[Any]] = []
    try:
        await bench.deliver(*(confirmed(f"o{n}") for n in range(8)))
        holding = blocker.transaction()
        await holding.start()
        await blocker.execute("SELECT * FROM till FOR UPDATE")
        for n in range(8):  # more than the loops' pool has connections
            batch = EventBatch([bench.envelope(confirmed(f"o{n}"))], SERVICE.name)
            stuck.append(asyncio.create_task(workers.desk.settle(batch)))
        async with asyncio.timeout(20):
            while workers.database.pool_state()[0] < 3:  # noqa: ASYNC110 (the pool sets no event)
                await asyncio.sleep(0.02)
        async with bench.client as client, asyncio.timeout(1):
            for n in range(10):
                assert (await add(client, "new", 1) if n == 0 else await client.get("/readyz")).is_success
        await holding.rollback()
        await asyncio.wait_for(asyncio.gather(*stuck), 30)
        assert (await counts(bench))["o7"] == 2
    finally:
        await blocker.close()
        await workers.database.close()
