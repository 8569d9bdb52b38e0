"""From the outbox to Kafka: in order within each stream, by one owner at a time, at least once.

Unpublished rows are read by id and never through a cursor: a row that commits late simply appears later. No transaction is
open while Kafka is talked to. After any error the producer is thrown away, because an idempotent producer that has lost
a batch may refuse every later one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from shared import failpoints, telemetry
from shared.database import Database, Row, is_transient
from shared.failpoints import Point
from shared.ids import new_id
from shared.messaging import deadletters, kafka
from shared.messaging.codec import headers_of

_log = structlog.get_logger()
_LEASE_S = 10.0
_BATCH = 500
# A first event goes at once. While few follow one another closely, a short wait lets them share a batch everywhere downstream.
_FEW = 100
_GATHER_S = 0.005
_SEND_PATIENCE_S = 15.0
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
_READ = """
SELECT o.id, o.event_id, o.topic, o.key, o.sequence, o.type, o.headers, o.payload, o.created_at
FROM outbox o WHERE o.published_at IS NULL
    AND NOT EXISTS (SELECT FROM stream_head h WHERE h.topic = o.topic AND h.key = o.key AND h.halted)
ORDER BY o.id LIMIT $1
"""
_MARK = """
WITH lease AS (
    UPDATE relay_lease SET expires_at = now() + make_interval(secs => $4)
    WHERE name = 'outbox' AND owner = $2 AND epoch = $3 RETURNING 1
)
UPDATE outbox SET published_at = now() WHERE id = ANY($1) AND EXISTS (SELECT FROM lease)
"""
_RELEASE = "UPDATE relay_lease SET expires_at = now() - interval '1 second' WHERE name = 'outbox' AND owner = $1 AND epoch = $2"
_CLEAN = """
DELETE FROM outbox WHERE id IN (
    SELECT id FROM outbox WHERE published_at < now() - interval '7 days' ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
)
"""


class Relay:
    """One service's relay. Any number may run; the lease lets one work."""

    def __init__(self, service: str, database: Database, bootstrap: str) -> None:
        self._service = service
        self._database = database
        self._bootstrap = bootstrap
        self._owner = new_id("rly")
        self._epoch: int | None = None
        self._renew_at = 0.0
        self._producer: kafka.ProducerClient | None = None
        self._wake = asyncio.Event()

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
                    _log.warning("relay.retry", service=self._service, error=repr(error))
                    await self._drop_producer()
                    await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)))
                    continue
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
        rows = await self._database.fetch(_READ, _BATCH)
        if not rows:
            return 0
        if failpoints.ARMED:
            failpoints.reach(Point.RELAY_READ)
        await self._send(rows)
        if failpoints.ARMED:
            failpoints.reach(Point.RELAY_ACKED)
        await self._mark([row["id"] for row in rows])
        if failpoints.ARMED:
            failpoints.reach(Point.RELAY_MARKED)
        for row in rows:
            telemetry.EVENTS_PUBLISHED.labels(row["type"]).inc()
        return len(rows)

    async def clean(self) -> None:
        """Delete rows that were published more than seven days ago, a batch at a time."""
        while await self._database.execute(_CLEAN) != "DELETE 0":
            pass

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

    async def _idle(self, idle_s: float) -> None:
        try:
            async with asyncio.timeout(idle_s):  # wait_for may swallow a cancellation in Python 3.11
                await self._wake.wait()
        except TimeoutError:
            return

    async def _own(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._epoch is None:
            self._epoch = await self._database.fetchval(_ACQUIRE, self._owner, _LEASE_S)
            if self._epoch is not None:
                _log.info("relay.owner", service=self._service, epoch=self._epoch)
        elif (
            now >= self._renew_at and await self._database.fetchval(_RENEW, self._owner, self._epoch, _LEASE_S) is None
        ):
            self._epoch = None
            raise Fenced
        self._renew_at = now + _LEASE_S / 3
        return self._epoch is not None

    async def _send(self, rows: Sequence[Row]) -> None:
        producer = await self._ready_producer()
        async with asyncio.timeout(_SEND_PATIENCE_S):
            futures: list[Any] = []
            for row in rows:
                try:
                    futures.append(
                        await producer.send(
                            row["topic"],
                            value=row["payload"].encode(),
                            key=row["key"].encode(),
                            headers=self._headers(row),
                        )
                    )
                except MessageSizeTooLargeError as error:
                    await self._halt(row, error)
                    raise
            if failpoints.ARMED:
                await asyncio.sleep(0.01)  # longer than the producer lingers: they are on the wire
                failpoints.reach(Point.RELAY_SENT)
            await asyncio.gather(*futures)

    async def _mark(self, ids: Sequence[int]) -> None:
        tag = await self._database.execute(_MARK, list(ids), self._owner, self._epoch, _LEASE_S)
        if tag == "UPDATE 0":
            self._epoch = None
            raise Fenced

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
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await kafka.let_go(producer)
