"""Ends a process that has work, could do it, and does not: whoever keeps it running starts it anew.

A loop that fails and tries again is not stuck, and neither is one whose database or broker cannot be reached: a new
process would wait as well. Stuck is silence. What is committed is safe, so the end is abrupt.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog
from aiokafka.errors import KafkaError

from shared.database import Connection, is_transient
from shared.messaging.kafka import within

_log = structlog.get_logger()
EXIT_CODE = os.EX_SOFTWARE
_LOOK_PATIENCE_S = 20.0

End = Callable[[str, str], None]


@dataclass(slots=True)
class Watched:
    """A loop. `moved` counts what it did or saw fail; `waiting` says what it should be doing, None when there is nothing."""

    name: str
    moved: Callable[[], int]
    waiting: Callable[[Connection], Awaitable[str | None]]
    count: int = 0
    since: float | None = None


class Watchdog:
    """Looks after loops. `probe` opens a connection of its own: the pool may be what is stuck."""

    def __init__(
        self, probe: Callable[[], AbstractAsyncContextManager[Connection]], *, patience_s: float, end: End | None = None
    ) -> None:
        self._probe = probe
        self._patience_s = patience_s
        self._end: End = end_process if end is None else end
        self._watched: list[Watched] = []

    def watch(
        self, name: str, moved: Callable[[], int], waiting: Callable[[Connection], Awaitable[str | None]]
    ) -> None:
        """Look after one more loop."""
        self._watched.append(Watched(name, moved, waiting))

    async def run(self) -> None:
        """Look for ever, six times within the patience."""
        while True:
            await asyncio.sleep(self._patience_s / 6)
            await self.look()

    async def look(self) -> None:
        """One look at all that has not moved since the last."""
        quiet = [watched for watched in self._watched if not _has_moved(watched)]
        if not quiet:
            return
        try:
            async with self._probe() as connection:
                for watched in quiet:
                    await self._judge(watched, connection)
        except Exception as error:
            if not is_transient(error):
                raise
            for watched in quiet:
                watched.since = None  # without a database there is nothing that it could do

    async def _judge(self, watched: Watched, connection: Connection) -> None:
        try:
            seen = await within(_LOOK_PATIENCE_S, _asked(watched, connection))
        except Exception as error:
            if not (is_transient(error) or isinstance(error, KafkaError)):
                raise
            seen = None
        now = time.monotonic()
        if seen is None:
            watched.since = None
        elif watched.since is None:
            watched.since = now
        elif now - watched.since >= self._patience_s and not _has_moved(watched):
            self._end(watched.name, f"{seen}; nothing has moved for {now - watched.since:.0f} s")


async def _asked(watched: Watched, connection: Connection) -> str | None:
    return await watched.waiting(connection)


def _has_moved(watched: Watched) -> bool:
    count = watched.moved()
    if count == watched.count:
        return False
    watched.count, watched.since = count, None
    return True


class LoopGuard(threading.Thread):
    """Sees from a thread that the event loop does not turn, and ends the process with every thread's stack."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, patience_s: float, end: End | None = None) -> None:
        super().__init__(name="loop-guard", daemon=True)
        self._loop = loop
        self._patience_s = patience_s
        self._end: End = end_process if end is None else end
        self._every_s = min(1.0, patience_s / 10)
        self._turned = time.monotonic()
        self._over = threading.Event()

    def stop(self) -> None:
        """Guard no longer."""
        self._over.set()

    def run(self) -> None:
        """Until stopped, or until the loop stands still."""
        looked = time.monotonic()
        while not self._over.wait(self._every_s):
            now = time.monotonic()
            if now - looked > 5 * self._every_s:
                self._turned = now  # the whole process was stopped, as by SIGSTOP: the loop is not to blame
            looked = now
            if now - self._turned > self._patience_s:
                self._end("event loop", f"it has not turned for {now - self._turned:.0f} s")
                return
            try:
                self._loop.call_soon_threadsafe(self._turn)
            except RuntimeError:  # it is closed
                return

    def _turn(self) -> None:
        self._turned = time.monotonic()


def end_process(name: str, seen: str) -> None:
    """Say what was seen, show where everything stands, and end at once."""
    _log.critical("watchdog.stuck", loop=name, seen=seen)
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    try:
        for task in asyncio.all_tasks():
            task.print_stack(file=sys.stderr)
    except RuntimeError:
        pass  # in a thread there is no loop to ask
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_CODE)
