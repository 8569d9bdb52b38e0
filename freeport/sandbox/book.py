"""A sandbox's durable book: a SQLite file that outlives kill -9, with one commit for all that waits.

Every answer a sandbox gives is committed and synced first, as a real provider's would be; otherwise a double charge could
hide in a crash. A sync takes a millisecond or more, so that works which arrive during one share the next.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class _Waiting:
    work: Work[Any]
    done: "asyncio.Future[Any]"


class Book:
    """Open it with `opened`. Writes are functions of the connection; one that raises leaves no trace and spoils no other."""

    def __init__(self, path: Path, schema: str) -> None:
        self._writer = _connect(path)
        self._writer.executescript(schema)
        self._reader = _connect(path)
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: Path, schema: str) -> "AsyncGenerator[Book]":
        """Open or create the file, its directory too, and write until the block ends."""
        path.parent.mkdir(parents=True, exist_ok=True)
        book = cls(path, schema)
        writing = asyncio.create_task(book._write_for_ever())
        try:
            yield book
        finally:
            await book._waiting.join()
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            book._reader.close()
            book._writer.close()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; returns its result once that is on disk, raises what it raised."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(work, done))
        return await done

    def read(self, sql: str, *args: Any) -> list[sqlite3.Row]:
        """The rows of a query over what is committed."""
        return self._reader.execute(sql, args).fetchall()

    async def _write_for_ever(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._commit(batch)
            for _ in batch:
                self._waiting.task_done()

    async def _commit(self, batch: list[_Waiting]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            outcomes = [(waiting, *self._attempt(waiting.work)) for waiting in batch]
            await asyncio.to_thread(self._writer.execute, "COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            outcomes = [(waiting, None, error) for waiting in batch]
        for waiting, result, error in outcomes:
            if waiting.done.cancelled():  # the caller went away; the work counts all the same
                continue
            if error is None:
                waiting.done.set_result(result)
            else:
                waiting.done.set_exception(error)

    def _attempt(self, work: Work[Any]) -> tuple[Any, Exception | None]:
        self._writer.execute("SAVEPOINT work")
        try:
            result = work(self._writer)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is the caller's, who gets it back)
            self._writer.execute("ROLLBACK TO work")
            self._writer.execute("RELEASE work")
            return None, error
        self._writer.execute("RELEASE work")
        return result, None


def _connect(path: Path) -> sqlite3.Connection:
    # Commits run in a thread while the loop waits for them, so the two never use the connection at once.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
