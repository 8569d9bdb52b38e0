"""Decide one, commit many: the shell around a service's use cases.

A `Source` brings messages of one kind (events, commands, deadlines, answers) into a transaction and records that they were
had. The desk loads the working set once for all of them, lets each be decided in order of arrival, and saves once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, Protocol, TypeVar

import asyncpg
import structlog

from shared import failpoints
from shared.database import Connection, Database, is_transient
from shared.effects import Decision
from shared.failpoints import Point
from shared.messaging import outbox
from shared.messaging.message import Message
from shared.messaging.routing import Router

S = TypeVar("S")
Load = Callable[[Sequence[Message], Connection], Awaitable[S]]
Save = Callable[[S, Connection], Awaitable[None]]
Count = Callable[[S], None]
"""Counts for the metrics what a working set says was decided, once its transaction has committed."""

_log = structlog.get_logger()
_TRIES_ALONE = 3
_MAX_PAUSE_S = 5.0


class Source(Protocol):
    """A batch of one kind of message. It may be opened again and again until its transaction commits."""

    crash_points: ClassVar[tuple[Point, Point]]  # before and after its transaction commits

    def __len__(self) -> int: ...

    async def open(self, connection: Connection) -> Sequence[Message]:
        """Read, without locking, which of the batch is still to be decided."""
        ...

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        """Record that it was. The last thing in the transaction. Raises Stale when another replica was faster."""
        ...

    def committed(self) -> None:
        """The transaction is committed."""
        ...

    def halves(self) -> "tuple[Source, Source]":
        """The batch in two parts, in order."""
        ...

    def narrow(self) -> None:
        """The one message that is left failed: decide it alone, without anything that it would bring along."""
        ...

    def describe(self) -> dict[str, str]:
        """What the first message is, for the log."""
        ...

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        """Set the one message aside: it was tried alone and cannot be decided."""
        ...


def count_nothing(_: object) -> None:
    """For a service that counts no decisions."""


@dataclass(slots=True)
class Desk(Generic[S]):
    """One service's write path.

    `committed` is called after each transaction that may have published something, `count` after each in which something was
    decided: a transaction that is run again counts once, one whose commit was never answered not at all.
    """

    name: str
    database: Database
    router: Router[S]
    load: Load[S]
    save: Save[S]
    count: Count[S] = count_nothing
    committed: Callable[[], None] = lambda: None
    retries: int = 0  # signs of life for the watchdog: what fails and is tried again is not stuck

    async def settle(self, source: Source) -> None:
        """Decide and commit the batch. Returns when every message is decided or set aside.

        Infrastructure errors are no message's fault: they are retried for ever, so bound or cancel the call from outside.
        """
        if not len(source):
            return
        attempts = 0
        collisions = 0
        while True:
            try:
                await self._commit(source)
                return
            except Exception as error:  # noqa: BLE001 (the consumer loop: whatever it is, it becomes a retry or a dead letter)
                if is_transient(error):
                    collisions += 1
                    await self._pause(error, collisions)
                    continue
                attempts += 1
                if isinstance(error, asyncpg.UniqueViolationError) and attempts < _TRIES_ALONE:
                    continue  # two replicas created the same row: read again what the other made
                if len(source) > 1:
                    await self._settle_halves(source, error)
                    return
                if attempts >= _TRIES_ALONE:
                    await self._give_up(source, error, attempts)
                    return
                source.narrow()

    async def _commit(self, source: Source) -> None:
        decided: list[S] = []
        async with self.database.transaction() as connection:
            messages = await source.open(connection)
            decisions: list[Decision] = []
            if messages:
                state = await self.load(messages, connection)
                decisions = [self.router.decide(message.body, state, message.moment) for message in messages]
                await self.save(state, connection)
                moments = [message.moment for message in messages]
                await outbox.write(outbox.collect(zip(decisions, moments, strict=True)), connection)
                decided.append(state)
            await source.close(decisions, connection)
            if failpoints.ARMED:
                failpoints.reach(source.crash_points[0])
        if failpoints.ARMED:
            failpoints.reach(source.crash_points[1])
        source.committed()
        if failpoints.ARMED:
            failpoints.reach(Point.NOT_WOKEN)
        self.committed()
        for state in decided:
            self._count(state)

    def _count(self, state: S) -> None:
        # What is committed is committed: a metric with a bug must not have the batch decided again.
        try:
            self.count(state)
        except Exception:  # noqa: BLE001 (whatever a counter raises, the log says so)
            _log.exception("count.failed", desk=self.name)

    async def _settle_halves(self, source: Source, error: Exception) -> None:
        _log.warning("batch.split", desk=self.name, size=len(source), error=repr(error))
        first, second = source.halves()
        await self.settle(first)
        await self.settle(second)

    async def _give_up(self, source: Source, error: Exception, attempts: int) -> None:
        _log.error("message.undecidable", desk=self.name, error=repr(error), exc_info=error, **source.describe())
        collisions = 0
        while True:
            try:
                async with self.database.transaction() as connection:
                    await source.give_up(error, attempts, connection)
                    if failpoints.ARMED:
                        failpoints.reach(Point.LETTER_WRITTEN)
                return
            except Exception as trouble:
                if not is_transient(trouble):
                    raise
                collisions += 1
                await self._pause(trouble, collisions)

    async def _pause(self, error: Exception, collisions: int) -> None:
        self.retries += 1
        _log.warning("batch.retry", desk=self.name, error=repr(error), collisions=collisions)
        pause = min(_MAX_PAUSE_S, 0.01 * 2 ** min(collisions, 10))
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 (jitter, not a secret)


async def database_time(connection: Connection) -> datetime:
    """The instant of this transaction by the database's clock."""
    return await connection.fetchval("SELECT now()")
