"""The proxy does to connections what it says it does, and counts it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import pytest_asyncio

from tests.chaos import waiting
from tests.chaos.proxy import Counts, Proxies, Proxy, ProxyError, Toxics

pytestmark = pytest.mark.integration
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(65536):
            echoed.append(chunk)
            writer.write(chunk)
            await writer.drain()
    writer.close()


echoed: list[bytes] = []
"""What the server behind the proxy has heard."""


@pytest_asyncio.fixture
async def proxy() -> AsyncGenerator[Proxy]:
    """A proxy before a server that says everything back."""
    echoed.clear()
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with server, Proxies.running() as proxies:
        opened = await proxies.open("echo", to_port=server.sockets[0].getsockname()[1])
        yield opened
        assert (await opened.counts()).errors == []


@asynccontextmanager
async def connected(proxy: Proxy) -> AsyncGenerator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said_back(ends: Ends, words: bytes) -> float:
    """Seconds until the words came back."""
    started = time.monotonic()
    ends[1].write(words)
    async with asyncio.timeout(10):
        assert await ends[0].readexactly(len(words)) == words
    return time.monotonic() - started


async def until(proxy: Proxy, fact: Callable[[Counts], bool]) -> Counts:
    return await waiting.until(proxy.counts, fact, "the proxy to count it", 10)


async def silent(read: Awaitable[bytes], for_s: float = 0.3) -> bool:
    try:
        async with asyncio.timeout(for_s):
            await read
    except TimeoutError:
        return True
    return False


async def test_without_toxics_everything_passes_and_is_counted(proxy: Proxy) -> None:
    words = bytes(range(256)) * 4096
    async with connected(proxy) as ends:
        await said_back(ends, words)
    counts = await until(proxy, lambda counts: counts.open == 0)
    assert (counts.connections, counts.up.bytes, counts.down.bytes) == (1, len(words), len(words))
    assert counts.up.late == counts.down.lost == counts.resets == 0


async def test_latency_delays_what_comes_and_costs_no_throughput(proxy: Proxy) -> None:
    await proxy.poison(up=Toxics(latency_s=0.2), down=Toxics(latency_s=0.2))
    async with connected(proxy) as ends:
        assert await said_back(ends, b"hello") >= 0.4
        # Sixteen chunks after one another, each late, are hardly later than one.
        assert await said_back(ends, b"x" * (1024 * 1024)) < 2.0
        assert (await proxy.counts()).down.late > 0
        await proxy.heal()
        assert await said_back(ends, b"hello") < 0.2


async def test_jitter_never_reorders(proxy: Proxy) -> None:
    await proxy.poison(down=Toxics(latency_s=0.02, jitter_s=0.02))
    async with connected(proxy) as (reader, writer):
        for number in range(100):
            writer.write(b"%03d" % number)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await reader.readexactly(300) == b"".join(b"%03d" % number for number in range(100))


async def test_what_a_black_hole_held_arrives_when_it_ends(proxy: Proxy) -> None:
    async with connected(proxy) as ends:
        await said_back(ends, b"before")
        await proxy.poison(up=Toxics(held=True), down=Toxics(held=True))
        ends[1].write(b"during")
        assert await silent(ends[0].read(6))
        assert (await proxy.counts()).up.held == len(b"during")
        await proxy.heal()
        async with asyncio.timeout(10):
            assert await ends[0].readexactly(6) == b"during"


async def test_a_cut_of_the_answers_lets_requests_through_and_the_connection_does_not_survive_it(proxy: Proxy) -> None:
    async with connected(proxy) as (reader, writer):
        await proxy.poison(down=Toxics(lost=True))
        writer.write(b"order")
        assert await silent(reader.read(5))
        assert echoed == [b"order"]
        assert (await proxy.counts()).down.lost == len(b"order")
        await proxy.heal()
        with pytest.raises(ConnectionResetError):
            await reader.read(5)
    async with connected(proxy) as ends:
        await said_back(ends, b"again")


async def test_a_cut_of_the_requests_is_not_heard_by_the_server(proxy: Proxy) -> None:
    async with connected(proxy) as (reader, writer):
        await proxy.poison(up=Toxics(lost=True))
        writer.write(b"order")
        assert await silent(reader.read(5))
        assert echoed == []
        assert (await proxy.counts()).up.lost == len(b"order")


async def test_a_reset_is_a_reset_and_not_an_end(proxy: Proxy) -> None:
    async with connected(proxy) as ends, connected(proxy) as others:
        await said_back(ends, b"hello")
        await said_back(others, b"hello")
        assert await proxy.reset() == 2
        for reader in (ends[0], others[0]):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
    assert (await until(proxy, lambda counts: counts.open == 0)).resets == 2


async def test_connections_that_come_are_reset_after_their_time_until_it_ends(proxy: Proxy) -> None:
    await proxy.poison(down=Toxics(reset_after_s=0.1))
    async with connected(proxy) as ends:
        await said_back(ends, b"hello")
        with pytest.raises(ConnectionResetError):
            await ends[0].read(1)
    async with connected(proxy) as ends:
        await proxy.heal()
        assert await silent(ends[0].read(1))
    assert (await proxy.counts()).resets == 1


async def test_slices_arrive_one_by_one_and_whole(proxy: Proxy) -> None:
    await proxy.poison(down=Toxics(slice_bytes=10, slice_gap_s=0.02))
    async with connected(proxy) as ends:
        assert await said_back(ends, b"x" * 100) >= 9 * 0.02
    assert (await proxy.counts()).down.slices == 9


async def test_bandwidth_is_bounded(proxy: Proxy) -> None:
    await proxy.poison(up=Toxics(bytes_per_s=100_000))
    async with connected(proxy) as ends:
        assert await said_back(ends, b"x" * 50_000) >= 0.45
    assert (await proxy.counts()).up.thinned == 50_000


async def test_a_connection_ends_at_its_limit(proxy: Proxy) -> None:
    await proxy.poison(down=Toxics(limit_bytes=10))
    async with connected(proxy) as (reader, writer):
        writer.write(b"x" * 25)
        heard = b""
        with suppress(ConnectionResetError):
            async with asyncio.timeout(10):
                while chunk := await reader.read(100):
                    heard += chunk
        assert len(heard) <= 10
    assert (await proxy.counts()).cut_short == 1


async def test_the_end_of_a_stream_can_be_slow(proxy: Proxy) -> None:
    await proxy.poison(down=Toxics(linger_s=0.3))
    async with connected(proxy) as (reader, writer):
        started = time.monotonic()
        writer.write_eof()
        async with asyncio.timeout(10):
            assert await reader.read(1) == b""
        assert time.monotonic() - started >= 0.3
    assert (await proxy.counts()).slow_ends == 1


async def test_a_server_that_is_down_is_not_silent_through_the_proxy() -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    async with Proxies.running() as proxies:
        proxy = await proxies.open("gone", to_port=port)
        with pytest.raises(ConnectionResetError):
            async with connected(proxy) as (reader, _), asyncio.timeout(10):
                await reader.read(1)


async def test_a_port_that_is_taken_is_an_error_and_the_others_go_on(proxy: Proxy) -> None:
    with pytest.raises(ProxyError):
        await proxy.proxies.open("second", to_port=1, port=proxy.port)
    async with connected(proxy) as ends:
        await said_back(ends, b"hello")


async def test_a_cancelled_command_does_not_disturb_the_next(proxy: Proxy) -> None:
    asking = asyncio.create_task(proxy.counts())
    await asyncio.sleep(0)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await proxy.poison(up=Toxics(latency_s=0.1))
    assert await proxy.reset() == 0
