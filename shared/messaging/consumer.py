"""From Kafka to the desk, a batch at a time.

Offsets are committed after the transaction and are only a hint: the truth is the position that committed with the effect.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from shared import failpoints, telemetry
from shared.contracts.registry import EVENTS
from shared.database import is_transient
from shared.failpoints import Point
from shared.messaging import deadletters, kafka
from shared.messaging.codec import Envelope, Malformed, open_envelope
from shared.messaging.desk import Desk
from shared.messaging.kafka import ConsumerClient, Partition, Record
from shared.messaging.positions import Sifted
from shared.messaging.sources import EventBatch

_log = structlog.get_logger()
_BATCH = 500
_POLL_MS = 500
_COMMIT_EVERY_S = 1.0
# While few records follow one another closely, a short wait lets them share a transaction. The first is not kept waiting.
_FEW = 100
_GATHER_S = 0.005


class Consumer:
    """One member of a service's consumer group."""

    def __init__(
        self, desk: "Desk[Any]", bootstrap: str, *, instance: str = "", joined: Callable[[], None] = lambda: None
    ) -> None:
        self._desk = desk
        self._bootstrap = bootstrap
        self._instance = instance
        self._joined = joined
        self._stopping = False
        self._reached: dict[Partition, int] = {}
        self._commit_at = 0.0

    async def run(self) -> None:
        """Consume until `stop()`; after an error of Kafka's with a new client."""
        failures = 0
        while not self._stopping:
            try:
                await self._consume()
            except (KafkaError, OSError, TimeoutError) as error:
                failures += 1
                _log.warning("consumer.retry", service=self._desk.name, error=repr(error))
                await asyncio.sleep(min(5.0, 0.2 * 2 ** min(failures, 5)))

    def stop(self) -> None:
        """Take no more; `run()` ends after the batch in hand."""
        self._stopping = True

    async def _consume(self) -> None:
        topics = [topic.name for topic in self._desk.router.topics]
        name = self._desk.name
        client = await kafka.join(
            self._bootstrap, topics, group=f"freeport.{name}", client=name, instance=self._instance
        )
        self._reached = {}
        try:
            self._joined()
            while not self._stopping:
                settled = await self._step(client)
                if time.monotonic() >= self._commit_at or not settled:
                    await self._commit(client)
                if 0 < settled < _FEW:
                    await asyncio.sleep(_GATHER_S)
            await self._commit(client)
        finally:
            await kafka.let_go(client)

    async def _step(self, client: ConsumerClient) -> int:
        fetched = await client.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
        if not fetched:
            return 0
        if failpoints.ARMED:
            failpoints.reach(Point.CONSUMER_FETCHED)
        started = time.perf_counter()
        envelopes: list[Envelope] = []
        for partition, records in fetched.items():
            for record in records:
                try:
                    envelopes.append(open_envelope(partition.topic, record.key, record.value, record.headers))
                except Malformed as error:
                    await self._bury(partition, record, error)
        if envelopes:
            await self._desk.settle(EventBatch(envelopes, self._desk.name, self._count))
        telemetry.BATCH_SECONDS.observe(time.perf_counter() - started)
        self._reached.update((partition, records[-1].offset + 1) for partition, records in fetched.items())
        for partition, records in fetched.items():
            highwater = client.highwater(partition)
            if highwater is not None:
                lag = max(0, highwater - records[-1].offset - 1)
                telemetry.CONSUMER_LAG.labels(partition.topic, partition.partition).set(lag)

        return len(envelopes)

    async def _commit(self, client: ConsumerClient) -> None:
        # Now and then is enough: what is read again after a crash is found had, because the positions are the truth.
        if self._reached:
            if failpoints.ARMED:
                failpoints.reach(Point.CONSUMER_COMMITTING)
            try:
                await kafka.commit(client, self._reached)
                self._reached = {}
            except (KafkaError, TimeoutError) as error:
                _log.info("consumer.offsets_not_committed", service=self._desk.name, error=repr(error))
        self._commit_at = time.monotonic() + _COMMIT_EVERY_S

    async def _bury(self, partition: Partition, record: Record, error: Malformed) -> None:
        # Without a readable stream and sequence nothing can be halted: it is set aside and seen.
        failures = 0
        while True:
            try:
                async with self._desk.database.transaction() as connection:
                    await deadletters.bury_record(
                        self._desk.name,
                        partition.topic,
                        {"partition": str(partition.partition), "offset": str(record.offset)},
                        key=record.key,
                        payload=record.value,
                        headers=record.headers,
                        error=error,
                        connection=connection,
                    )
                return
            except Exception as trouble:
                if not is_transient(trouble):
                    raise
                failures += 1
                await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)))

    def _count(self, sifted: Sifted) -> None:
        now = datetime.now(UTC)
        for envelope in sifted.fresh:
            known = envelope.attributes["ce_type"] in EVENTS
            telemetry.EVENTS_CONSUMED.labels(envelope.topic, "applied" if known else "passed_over").inc()
            sent = datetime.fromisoformat(envelope.attributes["ce_time"])
            telemetry.EVENT_DELAY.labels(envelope.topic).observe(max(0.0, (now - sent).total_seconds()))
        _count_all(sifted.duplicates, "duplicate")
        _count_all(list(sifted.to_park.values()), "parked")


def _count_all(envelopes: Sequence[Envelope], outcome: str) -> None:
    for envelope in envelopes:
        telemetry.EVENTS_CONSUMED.labels(envelope.topic, outcome).inc()
