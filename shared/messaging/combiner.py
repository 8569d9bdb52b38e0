"""Concurrent HTTP commands share a transaction.

Whatever waits when the previous commit ends goes into the next one: an idle service commits one at once, a busy one
commits hundreds. There is no timer.
"""

import asyncio
from collections import deque

from shared.database import Connection
from shared.messaging.desk import Desk
from shared.messaging.sources import Answer, CommandBatch, Pending

_BATCH = 200


class QueueFull(Exception):
    """More commands wait than may: nothing was done."""


class OutcomeUnknown(Exception):
    """The command was not answered in time. It may or may not take effect: ask again with the same idempotency key."""


class Combiner:
    """The queue before a desk. `run()` is one task a process."""

    def __init__(self, desk: "Desk[object]", *, capacity: int = 2000, patience_s: float = 10.0) -> None:
        self._desk = desk
        self._waiting: deque[Pending] = deque()
        self._arrived = asyncio.Event()
        self._capacity = capacity
        self._patience_s = patience_s
        self._closing = False
        self.batches = 0

    @property
    def depth(self) -> int:
        """How many commands wait for a transaction."""
        return len(self._waiting)

    async def waiting(self, _: Connection) -> str | None:
        """Commands that wait, for the watchdog."""
        return f"{len(self._waiting)} commands wait" if self._waiting else None

    async def submit(self, pending: Pending) -> Answer:
        """Queue a command and wait for its answer. Raises QueueFull, OutcomeUnknown, or what made it undecidable."""
        if len(self._waiting) >= self._capacity or self._closing:
            raise QueueFull
        self._waiting.append(pending)
        self._arrived.set()
        try:
            # A caller that is cancelled or gives up takes its command back, if it is not in a transaction yet.
            return await asyncio.wait_for(pending.future, self._patience_s)
        except TimeoutError as error:
            raise OutcomeUnknown from error

    async def run(self) -> None:
        """Settle what waits, until closed and empty."""
        while not (self._closing and not self._waiting):
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                await self._desk.settle(CommandBatch(batch))
                self.batches += 1

    def close(self) -> None:
        """Take no more; `run()` ends when what waits is settled."""
        self._closing = True
        self._arrived.set()
