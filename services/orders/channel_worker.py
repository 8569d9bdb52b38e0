"""The loops that read what connected channels have sold, one a channel: whoever of the replicas has its lease.

The cursor moves only after the orders of its page are committed, so a crash between reads a page again, which changes nothing. What
came late, behind the cursor, is found by reading again from an older one; what a lost notice did not bring is found by either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

import structlog

from services.orders.channel_repository import keep_undecidable
from services.orders.domain.fulfilled import FulfilledThere
from services.orders.usecases.take_channel_orders import CancelledThere, SoldOrder, TakeChannelOrders
from shared.database import Connection, Database, is_transient
from shared.effects import Decision, Moment
from shared.failpoints import Point
from shared.ids import new_id
from shared.messaging.desk import Desk, Source, database_time
from shared.messaging.message import Message

_log = structlog.get_logger()
LEASE_S = 60.0
POLL_S = 5.0
OVERLAP_S = 600.0
SWEEP_S = 60.0
_LONGEST_REST_S = 300.0


class Unreadable(Exception):
    """The channel is busy, refuses or does not answer. `retry_after_s`: when it wants to be asked again, if it said so."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One page of what a channel sold and cancelled, as far as it concerns us: a page of nothing for us is not the last.

    `next`: the cursor after it; the same cursor, or None, where nothing followed.
    """

    sold: tuple[SoldOrder, ...] = ()
    cancelled: tuple[CancelledThere, ...] = ()
    fulfilled_there: tuple[FulfilledThere, ...] = ()
    next: str | None = None

    @property
    def empty(self) -> bool:
        """None of it concerns us."""
        return not len(self)

    def __len__(self) -> int:
        return len(self.sold) + len(self.cancelled) + len(self.fulfilled_there)


class OrderSource(Protocol):
    """A channel's orders, as this service reads them."""

    @property
    def store_id(self) -> str: ...

    @property
    def channel(self) -> str: ...

    async def shown_after(self, cursor: str) -> Shown:
        """The page after a cursor; the empty one is the beginning. Raises Unreadable."""
        ...


_KNOW = """
INSERT INTO channel_intake (store_id, channel, cursor, anchor, next_anchor, anchored_at, swept_at, claim, next_at, failures)
VALUES ($1, $2, '', '', '', now(), now(), 0, now(), 0) ON CONFLICT DO NOTHING
"""
_CLAIM = """
UPDATE channel_intake SET claim = claim + 1, claimed_until = now() + make_interval(secs => $3)
WHERE store_id = $1 AND channel = $2 AND next_at <= now() AND coalesce(claimed_until <= now(), true)
RETURNING claim, cursor, anchor, swept_at <= now() - make_interval(secs => $4) AS sweeps
"""
_MOVE = """
UPDATE channel_intake SET cursor = $4, claimed_until = now() + make_interval(secs => $5)
WHERE store_id = $1 AND channel = $2 AND claim = $3 RETURNING true
"""
_RELEASE = """
UPDATE channel_intake SET claimed_until = NULL, read_at = now(), failures = 0, next_at = now() + make_interval(secs => $4),
    swept_at = CASE WHEN $5 THEN now() ELSE swept_at END,
    anchor = CASE WHEN $5 AND anchored_at <= now() - make_interval(secs => $6) THEN next_anchor ELSE anchor END,
    next_anchor = CASE WHEN $5 AND anchored_at <= now() - make_interval(secs => $6) THEN cursor ELSE next_anchor END,
    anchored_at = CASE WHEN $5 AND anchored_at <= now() - make_interval(secs => $6) THEN now() ELSE anchored_at END
WHERE store_id = $1 AND channel = $2 AND claim = $3
"""
_REST = """
UPDATE channel_intake SET claimed_until = NULL, failures = failures + 1,
    next_at = now() + make_interval(secs => coalesce($4, least($5, $6 * 2 ^ least(failures, 10))))
WHERE store_id = $1 AND channel = $2 AND claim = $3
"""
_REFUSED = """
SELECT cursor FROM channel_refusal WHERE store_id = $1 AND channel = $2 AND retry_at <= now() ORDER BY retry_at LIMIT 1
"""
_LATER = """
UPDATE channel_refusal SET retry_at = now() + make_interval(secs => $4)
WHERE store_id = $1 AND channel = $2 AND cursor = $3 AND retry_at <= now()
"""


@dataclass(slots=True)
class Intake:
    """One replica's way of reading one channel."""

    database: Database
    desk: "Desk[Any]"
    source: OrderSource
    _known: bool = False

    @property
    def _who(self) -> tuple[str, str]:
        return self.source.store_id, self.source.channel

    async def step(self) -> int:
        """Read what is new, if it is time and no other replica does. Returns how many orders were shown."""
        if not self._known:
            await self.database.execute(_KNOW, *self._who)
            self._known = True
        claimed = await self.database.fetchrow(_CLAIM, *self._who, LEASE_S, SWEEP_S)
        if claimed is None:
            return 0
        claim, sweeps = claimed["claim"], claimed["sweeps"]
        try:
            await self._read_refused_again()
            shown = await self._read(claim, claimed["anchor"] if sweeps else claimed["cursor"])
        except Unreadable as why:
            _log.warning("channel.unreadable", channel=self.source.channel, error=str(why))
            await self.database.execute(_REST, *self._who, claim, why.retry_after_s, _LONGEST_REST_S, POLL_S)
            return 0
        except Exception as error:
            if is_transient(error):
                raise
            # What one channel says may not stop orders for every other: it is told, and read again later.
            _log.exception("channel.undecidable", channel=self.source.channel)
            await self.database.execute(_REST, *self._who, claim, None, _LONGEST_REST_S, POLL_S)
            return 0
        await self.database.execute(_RELEASE, *self._who, claim, POLL_S, sweeps, OVERLAP_S)
        return shown

    async def _read(self, claim: int, cursor: str) -> int:
        # To the end, even over pages of nothing for us: a sweep that stopped among them would throw the cursor back for ever.
        shown = 0
        while True:
            page = await self._take(cursor)
            shown += len(page)
            if page.next is None or page.next == cursor:
                return shown
            cursor = page.next
            if not await self.database.fetchval(_MOVE, *self._who, claim, cursor, LEASE_S):
                _log.warning("channel.lease_lost", channel=self.source.channel)
                return shown

    async def _read_refused_again(self) -> None:
        cursor = await self.database.fetchval(_REFUSED, *self._who)
        if cursor is not None:
            try:
                await self._take(cursor)
            except Unreadable as why:  # a page that the channel gives no more holds up nothing that is new
                _log.warning("channel.refused_unreadable", channel=self.source.channel, error=str(why))
            await self.database.execute(_LATER, *self._who, cursor, SWEEP_S)  # what is not on that page any more

    async def _take(self, cursor: str) -> Shown:
        page = await self.source.shown_after(cursor)
        store_id, channel = self._who
        sold = [TakeChannelOrders(store_id=store_id, channel=channel, sold=(one,), cursor=cursor) for one in page.sold]
        ended = [
            TakeChannelOrders(store_id=store_id, channel=channel, cancelled=(one,), cursor=cursor)
            for one in page.cancelled
        ]
        theirs = [
            TakeChannelOrders(store_id=store_id, channel=channel, fulfilled_there=(one,), cursor=cursor)
            for one in page.fulfilled_there
        ]
        await self.desk.settle(ShownBatch([*sold, *ended, *theirs]))
        return page


@dataclass(slots=True)
class ShownBatch:
    """What a page shows, for the desk: each order on its own, so that one that cannot be decided spoils no other."""

    crash_points: ClassVar[tuple[Point, Point]] = (Point.ANSWERS_UNCOMMITTED, Point.ANSWERS_COMMITTED)

    commands: Sequence[TakeChannelOrders]

    def __len__(self) -> int:
        return len(self.commands)

    async def open(self, connection: Connection) -> Sequence[Message]:
        decided_at = await database_time(connection)
        return [Message(body=one, moment=_moment(one, decided_at)) for one in self.commands]

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        pass  # the orders' own ids tell whether they came before

    def committed(self) -> None:
        pass

    def halves(self) -> tuple[Source, Source]:
        middle = len(self.commands) // 2
        return ShownBatch(self.commands[:middle]), ShownBatch(self.commands[middle:])

    def narrow(self) -> None:
        pass

    def describe(self) -> dict[str, str]:
        return {"channel": self.commands[0].channel, "order": _external_id(self.commands[0])}

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        """It is kept among what was refused: shown, and read again."""
        await keep_undecidable(self.commands[0], _external_id(self.commands[0]), connection)


def _external_id(command: TakeChannelOrders) -> str:
    if command.sold:
        return command.sold[0].order.external_id
    return (*command.cancelled, *command.fulfilled_there)[0].external_id


def _moment(command: TakeChannelOrders, decided_at: datetime) -> Moment:
    market = command.sold[0].order.market if command.sold else ""
    return Moment(
        decided_at=decided_at,
        occurred_at=decided_at,
        message_id=new_id("cmd"),
        store_id=command.store_id,
        market=market,
        actor=f"channel {command.channel}",
    )
