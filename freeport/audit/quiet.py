"""Waiting until the platform is at rest: an invariant across services holds between events, not in the middle of one."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from freeport.audit.books import Books, open_books

_LOOK_EVERY_S = 0.25

# What a service still has to do by itself. Deadlines and calls of the future are rest: nothing happens until then.
_BUSY = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS unpublished,
    (SELECT count(*) FROM outside_call WHERE done_at IS NULL AND next_at <= now()) AS calls,
    (SELECT count(*) FROM deadline WHERE due_at <= now()) AS deadlines
"""
_HEADS = "SELECT topic, key, sequence FROM stream_head"
_BEHIND = """
SELECT topic, key, sequence FROM stream_position WHERE NOT halted
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What is still under way, summed over the services. All zero is rest."""

    unpublished: int = 0
    calls: int = 0
    deadlines: int = 0
    unread: int = 0

    @property
    def any(self) -> bool:
        return bool(self.unpublished or self.calls or self.deadlines or self.unread)

    def __str__(self) -> str:
        return (
            f"{self.unpublished} events to publish, {self.unread} to consume,"
            f" {self.calls} calls to make, {self.deadlines} deadlines due"
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
        heads |= {(row["topic"], row["key"]): row["sequence"] for row in await books.read(service, _HEADS)}
    for service in books.databases:
        positions = {(row["topic"], row["key"]): row["sequence"] for row in await books.read(service, _BEHIND)}
        followed = {topic for topic, _ in positions}
        unread += sum(
            max(0, head - positions.get(stream, 0)) for stream, head in heads.items() if stream[0] in followed
        )
    return Work(unpublished, calls, deadlines, unread)


async def wait_until_quiet(urls: Mapping[str, str], within: float) -> Work:
    """Look until nothing is under way, at most `within` seconds; what was still under way in the last look."""
    deadline = time.monotonic() + within
    while True:
        async with open_books(urls, None) as books:
            work = await work_left(books)
        if not work.any or time.monotonic() > deadline:
            return work
        await asyncio.sleep(_LOOK_EVERY_S)
