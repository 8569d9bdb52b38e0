"""From the outbox to Kafka: in order within each stream, by one owner at a time, at least once.

Unpublished rows are read by id and never through a cursor: a row that commits late simply appears later. No transaction is
open while Kafka is talked to. After any error the producer is thrown away, because an idempotent producer that has lost
a batch may refuse every later one. A log that was lost is filled again: see `logbook`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError, UnknownTopicOrPartitionError

from shared import failpoints, telemetry
from shared.database import Connection, Database, Row, is_transient
from shared.failpoints import Point
from shared.ids import new_id
from shared.messaging import deadletters, kafka, survey
from shared.messaging.codec import headers_of
from shared.messaging.logbook import COLUMNS, STATE_TOPICS, Logbook

_log = structlog.get_logger()
_LEASE_S = 10.0
_TAKE_OVER_EVERY_S = 0.5
_LOOK_EVERY_S = 15.0
_BATCH = 500
# A first event goes at once. While few follow one another closely, a short wait lets them share a batch everywhere downstream.
_FEW = 100
_GATHER_S = 0.005
_SEND_PATIENCE_S = 15.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_EXTENSIONS = {
    "store": "store",
    "market": "market",
    "correlation": "correlationid",
    "causation": "causationid",
    "traceparent": "traceparent",
}


class Fenced(Exception):
    """Another relay owns the outbox now."""


_ACQUIRE = """
INSERT INTO relay_lease AS l (name, owner, epoch, expires_at) VALUES ('outbox', $1, 1, now() + make_interval(secs => $2))
ON CONFLICT (name) DO UPDATE SET owner = $1, epoch = l.epoch + 1, expires_at = now() + make_interval(secs => $2)
WHERE l.expires_at < now() OR l.owner = $1
RETURNING epoch
"""
_RENEW = """
UPDATE relay_lease SET expires_at = now() + make_interval(secs => $3) WHERE name = 'outbox' AND owner = $1 AND epoch = $2 RETURNING 1
"""
_READ = f"""
SELECT {COLUMNS} FROM outbox o WHERE o.published_at IS NULL AND NOT o.topic = ANY($2)
    AND NOT EXISTS (SELECT FROM stream_head h WHERE h.topic = o.topic AND h.key = o.key AND h.halted)
ORDER BY o.id LIMIT $1
"""  # noqa: S608 (constants of ours)
_WAITING = """
SELECT o.id, o.topic FROM outbox o WHERE o.published_at IS NULL AND NOT o.topic = ANY($2)
    AND o.created_at < now() - interval '5 seconds'
    AND NOT EXISTS (SELECT FROM stream_head h WHERE h.topic = o.topic AND h.key = o.key AND h.halted)
    AND NOT EXISTS (SELECT FROM relay_lease WHERE owner <> $1 AND expires_at > now())
ORDER BY o.id LIMIT 1
"""
_RELEASE = "UPDATE relay_lease SET expires_at = now() - interval '1 second' WHERE name = 'outbox' AND owner = $1 AND epoch = $2"
# In windows over the id, which rises with time: what is young is never looked at. The newest row of a state stream stays, for
# with it a lost log is whole again, however long ago it was written.
_CLEAN = """
WITH old AS (
    SELECT id, topic, key, sequence, created_at, published_at FROM outbox WHERE id > $1 ORDER BY id LIMIT 2000
), gone AS (
    DELETE FROM outbox o USING old WHERE o.id = old.id AND old.published_at < now() - interval '7 days'
    AND NOT (old.topic = ANY($2) AND EXISTS (
        SELECT FROM stream_head h WHERE h.topic = old.topic AND h.key = old.key AND h.sequence = old.sequence
    ))
)
SELECT max(id) FROM old HAVING min(created_at) < now() - interval '7 days'
"""


class Relay:
    """One service's relay. Any number may run; the lease lets one work.

    With an `instance` name (unique among them) one that was killed and started again takes its lease back at once, in a new
    epoch; without one the lease has to run out.
    """

    def __init__(self, service: str, database: Database, bootstrap: str, *, instance: str = "") -> None:
        self._service = service
        self._database = database
        self._bootstrap = bootstrap
        self._owner = instance or new_id("rly")
        self._logbook = Logbook(service, database)
        self._epoch: int | None = None
        self._own_at = 0.0
        self._look_at = 0.0
        self._singly_until = 0
        self._producer: kafka.ProducerClient | None = None
        self._wake = asyncio.Event()
        self.signs = 0  # what was published or failed, for the watchdog
        self.out_of_reach = False  # Kafka, at the last try

    def wake(self) -> None:
        """Something was committed: do not wait for the next poll."""
        self._wake.set()

    async def run(self, *, idle_s: float = 0.25) -> None:
        """Publish for ever; ends only by cancellation."""
        failures = 0
        try:
            while True:
                self._wake.clear()
                try:
                    published = await self.step()
                    failures = 0
                except Exception as error:
                    if not (is_transient(error) or isinstance(error, KafkaError | Fenced)):
                        raise
                    failures += 1
                    self.signs += 1
                    self.out_of_reach = isinstance(error, KafkaError | TimeoutError)
                    _log.warning("relay.retry", service=self._service, error=repr(error))
                    await self._drop_producer()
                    await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)))
                    continue
                self.signs += published
                self.out_of_reach = False
                if not published:
                    await self._idle(idle_s)
                elif published < _FEW:
                    await asyncio.sleep(_GATHER_S)
        finally:
            await self.close()

    async def step(self) -> int:
        """Publish one batch. Returns how many events it was, 0 also where another relay is the owner."""
        if not await self._own():
            return 0
        await self._look()
        return await self._publish() + await self._publish_again()

    async def clean(self) -> None:
        """Delete rows that were published more than seven days ago, but of each state stream the newest."""
        place = 0
        while place is not None:
            place = await self._database.fetchval(_CLEAN, place, STATE_TOPICS)

    async def close(self) -> None:
        """Give the lease back and let the producer go."""
        await self._drop_producer()
        if self._epoch is not None:
            epoch, self._epoch = self._epoch, None
            try:
                await self._database.execute(_RELEASE, self._owner, epoch)
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("relay.lease_left", service=self._service, error=repr(error))  # it expires by itself

    async def waiting(self, connection: Connection) -> str | None:
        """An event that should have been published and that nobody else will publish, for the watchdog."""
        row = await connection.fetchrow(_WAITING, self._owner, sorted(self._logbook.missing))
        if row is None:
            return None
        found = await survey.look(self._bootstrap, {row["topic"]}, {}, client=f"{self._service}-watchdog")
        return None if found.missing else f"event {row['id']} waits for the topic {row['topic']}"

    async def _idle(self, idle_s: float) -> None:
        try:
            async with asyncio.timeout(idle_s):  # wait_for may swallow a cancellation in Python 3.11
                await self._wake.wait()
        except TimeoutError:
            return

    async def _own(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._own_at:
            return self._epoch is not None
        if self._epoch is None:
            self._own_at = now + _TAKE_OVER_EVERY_S
            epoch = await self._database.fetchval(_ACQUIRE, self._owner, _LEASE_S)
            if epoch is None:
                return False
            await self._logbook.open()
            self._epoch, self._look_at = epoch, 0.0
            _log.info("relay.owner", service=self._service, epoch=epoch)
        elif await self._database.fetchval(_RENEW, self._owner, self._epoch, _LEASE_S) is None:
            self._lose_lease()
        self._own_at = now + _LEASE_S / 3
        return True

    def _lose_lease(self) -> NoReturn:
        self._epoch = None
        raise Fenced

    async def _look(self) -> None:
        """Now and then, and after every error: are the logs still those that we wrote?"""
        now = asyncio.get_running_loop().time()
        if now < self._look_at or not self._logbook.topics:
            return
        found = await survey.look(
            self._bootstrap, self._logbook.topics, self._logbook.landmarks, client=f"{self._service}-relay"
        )
        self._look_at = now + _LOOK_EVERY_S
        lost = self._logbook.compare(found)
        if lost:
            await self._begin_again(lost)

    async def _begin_again(self, topics: set[str]) -> None:
        if not await self._logbook.begin_again(topics, self._owner, self._epoch):
            self._lose_lease()

    async def _publish(self) -> int:
        limit = 1 if self._singly_until else _BATCH
        rows = await self._database.fetch(_READ, limit, sorted(self._logbook.missing))
        if not rows or rows[0]["id"] > self._singly_until:
            self._singly_until = 0
        if not rows:
            return 0
        if failpoints.ARMED:
            failpoints.reach(Point.RELAY_READ)
        acknowledged = await self._send(rows)
        if failpoints.ARMED:
            failpoints.reach(Point.RELAY_ACKED)
        if lost := self._logbook.behind(acknowledged):
            await self._begin_again(lost)
        if not await self._logbook.mark(acknowledged, self._owner, self._epoch, _LEASE_S):
            self._lose_lease()
        if failpoints.ARMED:
            failpoints.reach(Point.RELAY_MARKED)
        for row in rows:
            telemetry.EVENTS_PUBLISHED.labels(row["type"]).inc()
        return len(rows)

    async def _publish_again(self) -> int:
        """What a lost log had. New events do not wait for it: who had the old ones goes on at once, who had not parks them."""
        rows = await self._logbook.read_again(_BATCH)
        if not rows:
            await self._logbook.end_again(self._owner, self._epoch)
            return 0
        acknowledged = await self._send(rows)
        if lost := self._logbook.behind(acknowledged):
            await self._begin_again(lost)  # lost once more: the cursor is at its beginning
        elif not await self._logbook.advance(acknowledged, self._owner, self._epoch, _LEASE_S):
            self._lose_lease()
        return len(rows)

    async def _send(self, rows: Sequence[Row]) -> list[tuple[Row, Any]]:
        """Send and wait for all acknowledgements. Gives each row with what Kafka says of its record."""
        producer = await self._ready_producer()
        async with asyncio.timeout(_SEND_PATIENCE_S):
            futures: list[Any] = []
            stamp = int(time.time() * 1000)  # one for all: aiokafka tells of a batch only its first record's
            for row in rows:
                try:
                    futures.append(
                        await producer.send(
                            row["topic"],
                            value=row["payload"].encode(),
                            key=row["key"].encode(),
                            headers=self._headers(row),
                            timestamp_ms=stamp,
                        )
                    )
                except MessageSizeTooLargeError as error:  # more than the producer's own bound
                    await self._halt(row, error)
                    raise
                except UnknownTopicOrPartitionError:
                    self._logbook.missing.add(row["topic"])  # the others go on; a look finds out when it is there
                    raise
                except (RuntimeError, AssertionError) as error:
                    raise kafka.cause_of(error) from error
            if failpoints.armed(Point.RELAY_SENT):
                await asyncio.sleep(
                    0.01
                )  # longer than the producer lingers, which tells of nothing but acknowledgements
                failpoints.reach(Point.RELAY_SENT)
            answers = await asyncio.gather(*futures, return_exceptions=True)
        await self._find_too_large(list(zip(rows, answers, strict=True)))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise kafka.cause_of(answer)
        return list(zip(rows, answers, strict=True))

    async def _find_too_large(self, answers: Sequence[tuple[Row, Any]]) -> None:
        # The broker refuses a whole batch of records and does not say for which of them. Alone it is known.
        refused = [pair for pair in answers if isinstance(pair[1], _TOO_LARGE)]
        if refused and len(answers) == 1:
            await self._halt(*refused[0])
        elif refused:
            self._singly_until = max(row["id"] for row, _ in refused)

    async def _halt(self, row: Row, error: Exception) -> None:
        # Never skipped: an event that Kafka will not take stops its own stream, with an alarm, and lets the others go on.
        _log.error(
            "relay.stream_halted", topic=row["topic"], key=row["key"], sequence=row["sequence"], error=repr(error)
        )
        await deadletters.halt_stream(dict(row), error, self._database)

    def _headers(self, row: Row) -> list[tuple[str, bytes]]:
        stored: Mapping[str, str] = row["headers"]
        return headers_of(
            event_id=row["event_id"],
            event_type=row["type"],
            source=self._service,
            key=row["key"],
            sequence=row["sequence"],
            time=row["created_at"],
            extensions={wire: stored.get(name, "") for name, wire in _EXTENSIONS.items()},
        )

    async def _ready_producer(self) -> kafka.ProducerClient:
        if self._producer is None:
            self._producer = await kafka.produce(self._bootstrap, client=f"{self._service}-relay")
        return self._producer

    async def _drop_producer(self) -> None:
        self._look_at = 0.0
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await kafka.let_go(producer)
