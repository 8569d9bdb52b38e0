"""`Prefer: wait`: many callers wait for their orders, one poll asks the database for all of them.

The order is decided in other transactions, and perhaps in another process. So the database is asked, but once for everybody
who waits: the cost of waiting does not grow with the number of waiters. A commit in this process is the time to ask; that of
another process rings no bell here, so it is asked now and then as well.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg
import structlog

from services.orders.schemas import OrderOut
from shared.database import NoConnection

Settled: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
Views: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, OrderOut]]]

_log = structlog.get_logger()
_AT_MOST_EVERY_S = 0.004
_AT_LEAST_EVERY_S = 0.025
_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, NoConnection, OSError, TimeoutError)


@dataclass(slots=True, eq=False)
class _Waiter:
    order_id: str
    until: float  # by the loop's clock
    future: "asyncio.Future[OrderOut]"


class Waiting:
    """The callers of one process that wait.

    `settled` tells which of some orders are confirmed, held or refused, `views` shows orders by id; `committed` is set by every
    commit of this process.
    """

    def __init__(self, settled: Settled, views: Views, committed: asyncio.Event) -> None:
        self._settled = settled
        self._views = views
        self._committed = committed
        self._waiters: set[_Waiter] = set()
        self._poll: asyncio.Task[None] | None = None

    async def view(self, order_id: str, patience_s: float) -> OrderOut:
        """The order as soon as it is confirmed, held or refused, or as it is when the patience ends (at once for none).

        Raises what the database raised, where it did to the end.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(order_id, loop.time() + patience_s, loop.create_future())
        self._waiters.add(waiter)
        self._committed.set()  # who does not wait at all is answered in the next moment
        if self._poll is None or self._poll.done():
            self._poll = loop.create_task(self._run(), name="orders.waiting")
            self._poll.add_done_callback(self._ended)
        try:
            return await waiter.future
        finally:
            self._waiters.discard(waiter)

    async def _run(self) -> None:
        while self._waiters:
            self._committed.clear()
            try:
                await self._answer()
            except _DATABASE_ERRORS as error:
                self._bear(error)
            if self._waiters:
                await asyncio.sleep(_AT_MOST_EVERY_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._committed.wait(), _AT_LEAST_EVERY_S)

    async def _answer(self) -> None:
        now = asyncio.get_running_loop().time()
        impatient = {waiter.order_id for waiter in self._waiters if waiter.until <= now}
        patient = {waiter.order_id for waiter in self._waiters} - impatient
        ready = impatient | set(await self._settled(sorted(patient)) if patient else ())
        if not ready:
            return
        views = await self._views(sorted(ready))
        for waiter in list(self._waiters):
            view = views.get(waiter.order_id)
            if view is not None and not waiter.future.done():
                waiter.future.set_result(view)
                self._waiters.discard(waiter)

    def _bear(self, error: Exception) -> None:
        # The orders are placed all the same: a database that is away for a moment costs the waiters only their patience.
        _log.warning("waiting.failed", error=repr(error), waiters=len(self._waiters))
        now = asyncio.get_running_loop().time()
        self._disappoint([waiter for waiter in self._waiters if waiter.until <= now], error)

    def _disappoint(self, waiters: list[_Waiter], error: BaseException) -> None:
        for waiter in waiters:
            self._waiters.discard(waiter)
            if not waiter.future.done():
                waiter.future.set_exception(error)

    def _ended(self, poll: "asyncio.Task[None]") -> None:
        # Whatever ends the poll, nobody waits for ever.
        if poll.cancelled():
            for waiter in self._waiters:
                waiter.future.cancel()
        elif (error := poll.exception()) is not None:
            self._disappoint(list(self._waiters), error)
