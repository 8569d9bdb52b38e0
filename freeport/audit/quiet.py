"""Waiting until the platform is at rest: an invariant across services holds between events, not in the middle of one."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

from freeport.audit.books import Books, CarrierBook, ProviderBook, open_books
from freeport.audit.stuck import HEADS, Stuck
from freeport.audit.subscriptions import SUBSCRIPTIONS

_LOOK_EVERY_S = 0.25

# What a service still has to do by itself. Deadlines of the future are rest: nothing happens until then. A call of the future is not:
# somebody makes it now (a claim is a later time), or it is made or asked about again, and others wait for the answer.
_BUSY = """
SELECT (
        SELECT count(*) FROM outbox o WHERE published_at IS NULL
            AND NOT EXISTS (SELECT FROM stream_head h WHERE h.topic = o.topic AND h.key = o.key AND h.halted)
    ) AS unpublished,
    (SELECT count(*) FROM outside_call WHERE done_at IS NULL) AS calls,
    (SELECT count(*) FROM deadline WHERE due_at <= now()) AS deadlines
"""
_POSITIONS = "SELECT topic, key, sequence, halted FROM stream_position"
_WEBHOOKS = "SELECT count(*) FROM webhook WHERE due_at <= ?"
_SOON_S = 1.0  # a webhook that is due in a second is under way, too


@dataclass(frozen=True, slots=True)
class Work:
    """What is still under way, summed over the services. All zero is rest."""

    unpublished: int = 0
    calls: int = 0
    deadlines: int = 0
    unread: int = 0
    webhooks: int = 0

    @property
    def any(self) -> bool:
        return bool(self.unpublished or self.calls or self.deadlines or self.unread or self.webhooks)

    def __str__(self) -> str:
        return (
            f"{self.unpublished} events to publish, {self.unread} to consume,"
            f" {self.calls} calls to make, {self.deadlines} deadlines due, {self.webhooks} webhooks to hear"
        )


async def work_left(books: Books) -> Work:
    """How much is under way in the moment that the books show."""
    unpublished = calls = deadlines = unread = 0
    heads: dict[tuple[str, str], int] = {}
    for service in books.databases:
        [busy] = await books.read(service, _BUSY)
        unpublished += busy["unpublished"]
        calls += busy["calls"]
        deadlines += busy["deadlines"]
        heads |= {(row["topic"], row["key"]): row["sequence"] for row in await books.read(service, HEADS)}
    stuck = await Stuck.of(books)
    for service in books.databases:
        rows = await books.read(service, _POSITIONS)
        positions = {(row["topic"], row["key"]): row["sequence"] for row in rows}
        # A halted stream waits for a person, not for time, and so does one whose missing event a dead letter tells of.
        halted = {(row["topic"], row["key"]) for row in rows if row["halted"]}
        halted |= {(topic, key) for holder, topic, key in stuck.streams if holder == service}
        # Also when a position is ahead of its head: then the two databases were seen at different moments.
        unread += sum(
            abs(head - positions.get(stream, 0))
            for stream, head in heads.items()
            if stream[0] in SUBSCRIPTIONS[service] and stream not in halted
        )
    return Work(unpublished, calls, deadlines, unread)


@dataclass(frozen=True, slots=True)
class Outside:
    """The sandboxes' own books, as SQLite files; those that exist."""

    provider: Path | None = None
    carrier: Path | None = None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The sandboxes whose books are read."""
        return tuple(book.name for book in fields(cls))

    def books(self) -> tuple[ProviderBook | None, CarrierBook | None]:
        """What the provider and the carrier have written down."""
        return (
            None if self.provider is None else ProviderBook.read(self.provider),
            None if self.carrier is None else CarrierBook.read(self.carrier),
        )

    def webhooks(self) -> int:
        """How many webhooks are still to be heard."""
        return sum(_webhooks(file) for file in (self.provider, self.carrier) if file is not None)


@asynccontextmanager
async def books_at_rest(urls: Mapping[str, str], outside: Outside, within: float) -> AsyncGenerator[tuple[Books, Work]]:
    """The books as they are at rest, looked for during `within` seconds; and what was under way, when no rest was found.

    The databases are seen one after the other, so it is in what was seen that nothing may be under way.
    """
    deadline = time.monotonic() + within
    while True:
        async with open_books(urls) as books:
            webhooks = await asyncio.to_thread(outside.webhooks)
            work = replace(await work_left(books), webhooks=webhooks)
            if not work.any or time.monotonic() > deadline:
                provider, carrier = await asyncio.to_thread(outside.books)
                yield replace(books, provider=provider, carrier=carrier), work
                return
        await asyncio.sleep(_LOOK_EVERY_S)


def _webhooks(file: Path) -> int:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return int(connection.execute(_WEBHOOKS, (time.time() + _SOON_S,)).fetchone()[0])
    finally:
        connection.close()
