"""A TCP proxy that makes a network bad: late, thin, torn, silent in one direction or in both.

    async with Proxies.running() as proxies:
        proxy = await proxies.open("postgres", port=25001, to_port=25055)
        await proxy.poison(down=Toxics(lost=True))        # requests arrive, answers do not
        …
        (await proxy.counts()).down.lost                  # bytes: whether it bit
        await proxy.heal()

It runs as a process of its own, so that busy tests do not slow what passes through it, and ends when its starter does.
The toxics are Toxiproxy's (docs/decisions/0041-a-proxy-of-our-own.md).
"""

import asyncio
import contextlib
import random
import socket
import struct
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import orjson

from freeport.layout import ROOT
from freeport.processes import LOOPBACK

_CHUNK = 64 * 1024
_WAITING_CHUNKS = 16  # a direction that is held takes this many, then TCP itself slows the sender
_ANSWER_WITHIN_S = 20.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST and forgets what was unsent


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """What happens to one direction of every connection. The plain value does nothing."""

    latency_s: float = 0.0
    """Every byte comes so much later; throughput stays."""
    jitter_s: float = 0.0
    """Up to so much earlier or later than `latency_s`, never out of order."""
    bytes_per_s: int = 0
    """Bandwidth; 0 has no bound."""
    slice_bytes: int = 0
    """Data goes on in pieces of at most so many bytes, `slice_gap_s` apart."""
    slice_gap_s: float = 0.0
    held: bool = False
    """A black hole that heals: nothing goes on, nothing is closed, and all of it arrives when this ends."""
    lost: bool = False
    """A cut: what comes is thrown away. A stream with a hole is no stream, so such a connection is reset when this ends."""
    limit_bytes: int = 0
    """The connection is closed after so many bytes in this direction; 0 has no bound."""
    linger_s: float = 0.0
    """The end of the stream is told so much later."""
    reset_after_s: float | None = None
    """Connections, those that are there and those that come, are reset (RST) after so long."""


CLEAN = Toxics()


@dataclass(slots=True)
class Flow:
    """Bytes that took this direction, and how many of them were held up, thrown away and so on."""

    bytes: int = 0
    late: int = 0
    held: int = 0
    lost: int = 0
    thinned: int = 0
    """Bytes that waited for bandwidth."""
    slices: int = 0
    """Pieces beyond the first of what was sent at once."""


@dataclass(slots=True)
class Counts:
    """What a proxy has done since it was opened."""

    connections: int = 0
    open: int = 0
    resets: int = 0
    """Connections that were ended by RST on purpose."""
    cut_short: int = 0
    """Connections that reached `limit_bytes`."""
    slow_ends: int = 0
    errors: list[str] = field(default_factory=list[str])
    """What went wrong in the proxy itself."""
    up: Flow = field(default_factory=Flow)
    down: Flow = field(default_factory=Flow)

    @classmethod
    def read(cls, stored: dict[str, Any]) -> "Counts":
        up, down = Flow(**stored.pop("up")), Flow(**stored.pop("down"))
        return cls(**stored, up=up, down=down)


class Gate:
    """A listener whose connections go on to another port; `up` is towards that server, `down` is back to the client."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.up, self.down = CLEAN, CLEAN
        self.counts = Counts()
        self._changed = asyncio.Event()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def open(self, port: int) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, port, backlog=1024)
        return self

    def poison(self, *, up: Toxics = CLEAN, down: Toxics = CLEAN) -> None:
        """From now on these toxics and no others."""
        self.up, self.down = up, down
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        torn = {connection for connection in self._connections if connection.torn}
        _reset_all({connection for connection in torn if not connection.losing()})
        for connection in self._connections:
            connection.plan_reset()

    def reset(self) -> int:
        """RST to both ends of every connection there is; how many."""
        return _reset_all(self._connections)

    async def changed(self, within: float | None = None) -> None:
        """Wait until the toxics change, or until the time has passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changed.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        self.counts.open += 1
        try:
            upstream = await asyncio.open_connection(LOOPBACK, self._to_port)
        except OSError:
            _send_reset(writer)  # the server is down: the client must not take silence for an answer
        else:
            connection = _Connection(self, (reader, writer), upstream)
            self._connections.add(connection)
            try:
                await connection.run()
            except Exception as error:  # noqa: BLE001 (the tests of the proxy ask for it, and it is no connection's end)
                self.counts.errors.append(repr(error))
            finally:
                self._connections.discard(connection)
        finally:
            self.counts.open -= 1


_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """Two pumps; it ends when both streams have ended, or at once when one breaks."""

    def __init__(self, gate: Gate, client: _Ends, server: _Ends) -> None:
        self.gate = gate
        self.torn = False
        self._writers = (client[1], server[1])
        self._up = _Pump(self, client[0], server[1], upward=True)
        self._down = _Pump(self, server[0], client[1], upward=False)
        self._task: asyncio.Future[Any] | None = None
        self._planned: asyncio.TimerHandle | None = None
        self.plan_reset()

    async def run(self) -> None:
        self._task = asyncio.gather(self._up.run(), self._down.run())
        try:
            await self._task
        except (asyncio.CancelledError, OSError):
            self._abort()
        else:
            for writer in self._writers:
                writer.close()
        finally:
            if self._planned is not None:
                self._planned.cancel()

    def losing(self) -> bool:
        return self.gate.up.lost or self.gate.down.lost

    def plan_reset(self) -> None:
        if self._planned is not None:
            self._planned.cancel()
        times = [toxics.reset_after_s for toxics in (self.gate.up, self.gate.down) if toxics.reset_after_s is not None]
        self._planned = asyncio.get_running_loop().call_later(min(times), self.reset) if times else None

    def reset(self) -> None:
        """RST to both ends."""
        self.gate.counts.resets += 1
        self.end()

    def end(self) -> None:
        self._abort()
        if self._task is not None:
            self._task.cancel()

    def _abort(self) -> None:
        for writer in self._writers:
            _send_reset(writer)


class _Pump:
    """One direction: what is read waits its time in a queue, so that latency costs no throughput."""

    def __init__(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool
    ) -> None:
        self._connection = connection
        self._gate = connection.gate
        self._reader = reader
        self._writer = writer
        self._upward = upward
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WAITING_CHUNKS)
        self._passed = 0
        self._now = asyncio.get_running_loop().time

    @property
    def _toxics(self) -> Toxics:
        return self._gate.up if self._upward else self._gate.down

    @property
    def _flow(self) -> Flow:
        return self._gate.counts.up if self._upward else self._gate.counts.down

    async def run(self) -> None:
        receiving = asyncio.ensure_future(self._receive())
        try:
            await self._deliver()
            await receiving
        finally:
            receiving.cancel()

    async def _receive(self) -> None:
        try:
            while chunk := await self._reader.read(_CHUNK):
                await self._queue.put((self._now(), chunk))
        except OSError:
            self._connection.end()  # one end is gone, and not in order: neither is the other
            return
        await self._queue.put((self._now(), b""))

    async def _deliver(self) -> None:
        while True:
            came, chunk = await self._queue.get()
            await self._wait_for_its_time(came, len(chunk))
            if not chunk:
                await self._tell_the_end()
                return
            if self._toxics.lost or self._connection.torn:
                self._connection.torn = True
                self._flow.lost += len(chunk)
            else:
                await self._pass_on(chunk)

    async def _wait_for_its_time(self, came: float, size: int) -> None:
        shift, counted_late, counted_held = random.uniform(-1, 1), False, False
        while True:
            toxics = self._toxics
            if toxics.held:
                self._flow.held += 0 if counted_held else size
                counted_held = True
                await self._gate.changed()
                continue
            wait = came + max(0.0, toxics.latency_s + shift * toxics.jitter_s) - self._now()
            if wait <= 0:
                return
            self._flow.late += 0 if counted_late else size
            counted_late = True
            await self._gate.changed(wait)

    async def _pass_on(self, chunk: bytes) -> None:
        toxics = self._toxics
        if toxics.limit_bytes:
            chunk = chunk[: max(0, toxics.limit_bytes - self._passed)]
        size = toxics.slice_bytes or len(chunk)
        for start in range(0, len(chunk), size or 1):
            if start:
                self._flow.slices += 1
                await asyncio.sleep(toxics.slice_gap_s)
            await self._write(chunk[start : start + size], toxics)
        if toxics.limit_bytes and self._passed >= toxics.limit_bytes:
            self._gate.counts.cut_short += 1
            self._connection.end()

    async def _write(self, piece: bytes, toxics: Toxics) -> None:
        if toxics.bytes_per_s:
            self._flow.thinned += len(piece)
            await asyncio.sleep(len(piece) / toxics.bytes_per_s)
        if self._writer.is_closing():
            raise ConnectionResetError("the other end is gone")
        self._writer.write(piece)
        await self._writer.drain()
        self._passed += len(piece)
        self._flow.bytes += len(piece)

    async def _tell_the_end(self) -> None:
        if self._toxics.linger_s:
            self._gate.counts.slow_ends += 1
            await asyncio.sleep(self._toxics.linger_s)
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()


def _reset_all(connections: set[_Connection]) -> int:
    ending = tuple(connections)
    for connection in ending:
        connection.reset()
    return len(ending)


def _send_reset(writer: asyncio.StreamWriter) -> None:
    open_socket = writer.get_extra_info("socket")  # uvloop has none for a transport that is closed already
    if open_socket is not None:
        with contextlib.suppress(OSError, ValueError):  # a ValueError: it is being closed
            open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


# ── A process of its own ──────────────────────────────────────────────────────────────────────────────────────────────


class ProxyError(Exception):
    """The proxy's process answered with an error, or has ended."""


class Proxies:
    """The process in which proxies run, spoken to in lines of JSON over its standard streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> "AsyncGenerator[Proxies]":
        """Start the process; it ends with the block, and also when this process dies."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.proxy", cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True
        )
        try:
            yield cls(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(5):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def open(self, name: str, *, to_port: int, port: int = 0) -> "Proxy":
        """Listen on the port (a free one unless given) of 127.0.0.1 and pass on to `to_port`. ProxyError when it is taken."""
        opened = await self.ask("open", name, port=port, to_port=to_port)
        return Proxy(self, name, opened["port"])

    async def ask(self, do: str, name: str, **details: Any) -> dict[str, Any]:
        """One command and its answer."""
        # Whoever gives up on this wait must not leave an answer behind for the next.
        asked = asyncio.ensure_future(self._exchange({"do": do, "name": name, **details}))
        answer = await asyncio.shield(asked)
        if "error" in answer:
            raise ProxyError(f"{do} {name}: {answer['error']}")
        return answer

    async def _exchange(self, command: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._turn, asyncio.timeout(_ANSWER_WITHIN_S):
            stdin.write(orjson.dumps(command) + b"\n")
            await stdin.drain()
            line = await stdout.readline()
        if not line:
            raise ProxyError(f"the proxies' process has ended (code {self._process.returncode})")
        return orjson.loads(line)


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy, from outside its process."""

    proxies: Proxies
    name: str
    port: int

    async def poison(self, *, up: Toxics = CLEAN, down: Toxics = CLEAN) -> None:
        """From now on these toxics and no others; `up` is towards the server."""
        await self.proxies.ask("poison", self.name, up=asdict(up), down=asdict(down))

    async def heal(self) -> None:
        """No toxics any more."""
        await self.poison()

    async def reset(self) -> int:
        """RST to both ends of every connection there is; how many."""
        return int((await self.proxies.ask("reset", self.name))["reset"])

    async def counts(self) -> Counts:
        return Counts.read((await self.proxies.ask("counts", self.name))["counts"])


async def _obey(gates: dict[str, Gate], command: dict[str, Any]) -> dict[str, Any]:
    match command:
        case {"do": "open", "name": name, "port": port, "to_port": to_port}:
            gates[name] = await Gate(to_port).open(port)
            return {"port": gates[name].port}
        case {"do": "poison", "name": name, "up": up, "down": down}:
            gates[name].poison(up=Toxics(**up), down=Toxics(**down))
            return {}
        case {"do": "reset", "name": name}:
            return {"reset": gates[name].reset()}
        case {"do": "counts", "name": name}:
            return {"counts": asdict(gates[name].counts)}
        case _:
            return {"error": f"unknown command {command}"}


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    gates: dict[str, Gate] = {}
    while line := await commands.readline():
        try:
            answer = await _obey(gates, orjson.loads(line))
        except (OSError, KeyError, TypeError) as error:
            answer = {"error": repr(error)}
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
