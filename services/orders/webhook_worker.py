"""The loops that tell endpoints: claim what is due, send it outside of any transaction, let the outcome be decided.

It is not the kit's loop for calls, for there one slow stranger could hold up what others wait for. Here a process sends to many
endpoints at once and to one endpoint only a few at once, one that fails rests, and nothing else of the service waits for any.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import structlog

from services.orders.domain.webhook import REST_AFTER_FAILURES
from services.orders.gateways.webhooks import TRY_S, Postman
from services.orders.settings import Settings
from services.orders.usecases.settle_webhook import WebhookTried
from services.orders.webhook_letters import TOLD, Letter, body_of_row
from services.orders.webhook_metrics import measure_webhooks
from services.orders.webhook_repository import endpoint_of_row
from shared.database import Connection, Database, Row, is_transient
from shared.effects import Decision, Moment
from shared.failpoints import Point
from shared.ids import derive_id
from shared.messaging.desk import Desk, Source, database_time
from shared.messaging.message import Message
from shared.messaging.workers import repeat
from shared.outbound import GuardedTransport, Outbound, Rules
from shared.runtime import Kit

_log = structlog.get_logger()
AT_ONCE = 400
AT_ONCE_EACH = 10
LEASE_S = 3 * TRY_S
_IDLE_S = 0.5
_AT_MOST_EVERY_S = 0.1
_FAREWELL_S = 0.5  # for what is under way, and again for giving it back: the runtime leaves a loop 1.35 s to end
_SWEEP_EVERY_S = 2.0
_MEASURE_EVERY = 5  # sweeps
_CLEAN_EVERY = 150
_BATCH = 5000
_CLEAN_AT_MOST = 20  # batches at a time
KEPT = "30 days"

# The endpoints that something waits for, one step down the index each, however many rows wait.
_WAITING = """
WITH RECURSIVE steps(endpoint_id) AS (
    (SELECT endpoint_id FROM webhook_delivery WHERE status = 'pending' ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.endpoint_id FROM webhook_delivery d WHERE d.status = 'pending' AND d.endpoint_id > s.endpoint_id
            ORDER BY d.endpoint_id LIMIT 1)
    FROM steps s WHERE s.endpoint_id IS NOT NULL
), waiting AS (SELECT endpoint_id FROM steps WHERE endpoint_id IS NOT NULL)
"""
_MAY_BE_TRIED = "p.status = 'pending' AND p.next_at <= now() AND coalesce(p.claimed_until <= now(), true)"

# The endpoints that have waited longest, each with what it may be sent beside what is under way to it, from any replica: an
# endpoint that fails gets one message at a time, others a few.
_CLAIM = f"""
{_WAITING}, chosen AS (
    SELECT e.id, room.free FROM waiting w
    JOIN webhook_endpoint e ON e.id = w.endpoint_id AND e.state = 'enabled' AND coalesce(e.resting_until <= now(), true)
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.failures >= {REST_AFTER_FAILURES} THEN 1 ELSE {AT_ONCE_EACH} END - count(*) AS free
        FROM webhook_delivery c WHERE c.endpoint_id = e.id AND c.claimed_until > now()
    ) AS room
    CROSS JOIN LATERAL (
        SELECT p.next_at FROM webhook_delivery p WHERE p.endpoint_id = e.id AND {_MAY_BE_TRIED} ORDER BY p.next_at, p.id LIMIT 1
    ) AS first
    WHERE room.free > 0 ORDER BY first.next_at, e.id LIMIT $1
), due AS (
    SELECT d.id, d.order_id, d.event_id, c.id AS endpoint_id FROM chosen c
    CROSS JOIN LATERAL (
        SELECT p.id, p.order_id, p.event_id, p.next_at FROM webhook_delivery p
        WHERE p.endpoint_id = c.id AND {_MAY_BE_TRIED} ORDER BY p.next_at, p.id LIMIT c.free FOR UPDATE SKIP LOCKED
    ) AS d ORDER BY d.next_at, d.id LIMIT $1
)
UPDATE webhook_delivery d SET tries = d.tries + 1, attempts = d.attempts + 1, claimed_until = now() + make_interval(secs => $2)
FROM due JOIN webhook_endpoint e ON e.id = due.endpoint_id
    LEFT JOIN timeline_event t ON t.order_id = due.order_id AND t.event_id = due.event_id
WHERE d.id = due.id
RETURNING d.id AS delivery_id, d.attempts, d.endpoint_id, d.event_id, d.event_type, d.order_id, d.created_at AS made_at,
    now() AS claimed_at, e.*, {TOLD}
"""  # noqa: S608 (constants)

_RELEASE = """
UPDATE webhook_delivery d SET claimed_until = NULL, tries = greatest(0, d.tries - 1), attempts = d.attempts - 1
FROM unnest($1::text[], $2::int[]) AS r(id, number) WHERE d.id = r.id AND d.attempts = r.number AND d.claimed_until IS NOT NULL
"""

_SWEEP = f"""
{_WAITING}
UPDATE webhook_delivery SET status = 'skipped', settled_at = now(), claimed_until = NULL WHERE id IN (
    SELECT d.id FROM waiting w LEFT JOIN webhook_endpoint e ON e.id = w.endpoint_id
    CROSS JOIN LATERAL (
        SELECT p.id FROM webhook_delivery p
        WHERE p.endpoint_id = w.endpoint_id AND p.status = 'pending' AND coalesce(p.claimed_until <= now(), true)
        ORDER BY p.next_at, p.id LIMIT $1 FOR UPDATE SKIP LOCKED
    ) AS d WHERE e.id IS NULL OR e.state = 'disabled' LIMIT $1
)
"""  # noqa: S608 (constants)

_CLEAN = f"""
WITH old AS (
    DELETE FROM webhook_delivery WHERE ctid IN
        (SELECT ctid FROM webhook_delivery WHERE created_at < now() - interval '{KEPT}' LIMIT $1)
    RETURNING id
), tries AS (DELETE FROM webhook_attempt a USING old WHERE a.delivery_id = old.id)
SELECT count(*) FROM old
"""  # noqa: S608 (constants)


async def send_webhooks(kit: Kit[Settings]) -> None:
    """The service's worker for webhooks."""
    rules = Rules(allow_local=kit.settings.orders_webhooks_allow_local)
    key = kit.settings.pii_hash_key.get_secret_value().encode()
    async with Outbound(GuardedTransport(rules, connections=AT_ONCE)) as out:
        await Round(kit.database, kit.desk, Postman(out, key)).run(kit.committed.event())


async def keep_webhooks(kit: Kit[Settings]) -> None:
    """Skip what disabled and deleted endpoints were to be told, forget what is old, and measure."""
    rounds = 0
    while True:
        try:
            await sweep(kit.database)
            if rounds % _MEASURE_EVERY == 0:
                await measure_webhooks(kit.database)
            if rounds % _CLEAN_EVERY == 0:
                await clean(kit.database)
            rounds += 1
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("webhooks.housekeeping.retry", error=repr(error))
        await asyncio.sleep(_SWEEP_EVERY_S)


async def sweep(database: Database) -> None:
    """Skip a bounded number of deliveries whose endpoint is disabled or deleted."""
    await database.execute(_SWEEP, _BATCH)


async def clean(database: Database) -> None:
    """Delete deliveries that are 30 days old with their attempts, in transactions of a bounded size and for a bounded time."""
    for _ in range(_CLEAN_AT_MOST):
        if await database.fetchval(_CLEAN, _BATCH) < _BATCH:
            return


@dataclass(slots=True, eq=False)
class Round:
    """One process's way around the endpoints."""

    database: Database
    desk: "Desk[Any]"
    postman: Postman
    at_once: int = AT_ONCE
    _under_way: dict["asyncio.Task[None]", Letter] = field(default_factory=dict["asyncio.Task[None]", Letter])
    _ended: list[WebhookTried] = field(default_factory=list[WebhookTried])
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _something_ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, committed: asyncio.Event) -> None:
        """Tell for ever. When cancelled, what is under way may end for a moment, and is given back if it does not."""
        try:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self._listen(committed))
                loops.create_task(repeat("webhooks", self._claim, self._woken, _IDLE_S))
                loops.create_task(repeat("webhook outcomes", self.settle, self._something_ended, _IDLE_S))
        finally:
            await self._leave()

    async def claim(self, room: int) -> list[Letter]:
        """Take what is due, at most `room`: for a while nobody else takes it."""
        rows = await self.database.fetch_in_turn("webhook claims", _CLAIM, room, LEASE_S)
        return [_letter(row) for row in rows]

    async def settle(self) -> int:
        """Let what has ended be decided, all of it in one transaction."""
        ended, self._ended = self._ended, []
        if ended:
            try:
                await self.desk.settle(TriedBatch(ended))
            except BaseException:
                self._ended = ended + self._ended
                raise
            self._woken.set()  # their endpoints may be sent more
        return len(ended)

    async def send(self, letter: Letter) -> None:
        """One try; its outcome waits to be settled."""
        outcome = await self.postman.send(letter)
        self._ended.append(outcome)  # only now: the list is another one after each settlement
        self._something_ended.set()

    async def _claim(self) -> int:
        room = self.at_once - len(self._under_way)
        letters = await self.claim(room) if room > 0 else []
        for letter in letters:
            task = asyncio.create_task(self.send(letter), name=f"webhook {letter.delivery_id}")
            self._under_way[task] = letter
            task.add_done_callback(self._over)
        return len(letters)

    async def _listen(self, committed: asyncio.Event) -> None:
        # Every commit of the process may have brought something; a busy one commits hundreds of times a second.
        while True:
            await committed.wait()
            committed.clear()
            self._woken.set()
            await asyncio.sleep(_AT_MOST_EVERY_S)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            # It stays claimed for a while, and is tried again.
            _log.error("webhook.failed", error=repr(error), exc_info=error)

    async def _leave(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=_FAREWELL_S)
        given_back = list(self._under_way.items())
        for task, _ in given_back:
            task.cancel()
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self.settle()
                if given_back:
                    letters = [letter for _, letter in given_back]
                    ids, numbers = [letter.delivery_id for letter in letters], [letter.number for letter in letters]
                    await self.database.execute(_RELEASE, ids, numbers)
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("webhooks.not_given_back", error=repr(error), letters=len(given_back))  # the lease ends it


def _letter(row: Row) -> Letter:
    endpoint = endpoint_of_row(row)
    return Letter(
        delivery_id=row["delivery_id"],
        number=row["attempts"],
        endpoint_id=endpoint.id,
        url=endpoint.url,
        secret_versions=endpoint.secrets_at(row["claimed_at"]),
        body=body_of_row(row),
    )


@dataclass(slots=True)
class TriedBatch:
    """Tries that have ended, for the desk: answers from outside, with their crash points."""

    crash_points: ClassVar[tuple[Point, Point]] = (Point.ANSWERS_UNCOMMITTED, Point.ANSWERS_COMMITTED)

    tried: Sequence[WebhookTried]

    def __len__(self) -> int:
        return len(self.tried)

    async def open(self, connection: Connection) -> Sequence[Message]:
        decided_at = await database_time(connection)
        return [Message(body=tried, moment=_moment(tried, decided_at)) for tried in self.tried]

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        pass  # the delivery's own number tells whether a try still counts

    def committed(self) -> None:
        pass

    def halves(self) -> tuple[Source, Source]:
        middle = len(self.tried) // 2
        return TriedBatch(self.tried[:middle]), TriedBatch(self.tried[middle:])

    def narrow(self) -> None:
        pass

    def describe(self) -> dict[str, str]:
        attempt = self.tried[0].attempt
        return {"webhook": attempt.delivery_id, "attempt": str(attempt.number)}

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        """Nothing is lost: its claim ends, and it is sent again."""


def _moment(tried: WebhookTried, decided_at: datetime) -> Moment:
    attempt = tried.attempt
    return Moment(
        decided_at=decided_at,
        occurred_at=attempt.at,
        message_id=derive_id("wht", attempt.delivery_id, str(attempt.number)),
        store_id="",
    )
