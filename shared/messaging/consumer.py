"""From Kafka to the desk, a batch at a time.

Offsets are committed after the transaction and are only a hint: the truth is the position that committed with the effect.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared import telemetry
from shared.database import is_transient
from shared.messaging import deadletters
from shared.messaging.codec import Envelope, Malformed, open_envelope
from shared.messaging.desk import Desk
from shared.messaging.positions import Sifted
from shared.messaging.sources import EventBatch

_log = structlog.get_logger()
_BATCH = 500
_POLL_MS = 500
_START_PATIENCE_S = 60.0
_COMMIT_PATIENCE_S = 5.0
_STOP_PATIENCE_S = 8.0


class Consumer:
    """One member of a service's consumer group."""

    def __init__(self, desk: "Desk[Any]", bootstrap: str) -> None:
        self._desk = desk
        self._bootstrap = bootstrap
        self._kafka: AIOKafkaConsumer | None = None
        self._stopping = False
        self.joined = asyncio.Event()

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
        kafka = AIOKafkaConsumer(
            *(topic.name for topic in self._desk.router.topics),
            bootstrap_servers=self._bootstrap,
            client_id=self._desk.name,
            group_id=f"freeport.{self._desk.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=30_000,
            heartbeat_interval_ms=3_000,
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=600_000,
            request_timeout_ms=40_000,
            retry_backoff_ms=100,
        )
        try:
            await asyncio.wait_for(kafka.start(), _START_PATIENCE_S)
            self.joined.set()
            while not self._stopping:
                await self._step(kafka)
        finally:
            await _stop(kafka)

    async def _step(self, kafka: AIOKafkaConsumer) -> None:
        fetched = await kafka.getmany(timeout_ms=_POLL_MS, max_records=_BATCH)
        if not fetched:
            return
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
        await self._commit(kafka, {partition: records[-1].offset + 1 for partition, records in fetched.items()})
        for partition in fetched:
            highwater = kafka.highwater(partition)
            if highwater is not None:
                lag = highwater - fetched[partition][-1].offset - 1
                telemetry.CONSUMER_LAG.labels(partition.topic, partition.partition).set(max(0, lag))

    async def _commit(self, kafka: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
        try:
            await asyncio.wait_for(kafka.commit(offsets), _COMMIT_PATIENCE_S)
        except (KafkaError, TimeoutError) as error:
            # Another member will read these again and find them had: the positions are the truth.
            _log.info("consumer.offsets_not_committed", service=self._desk.name, error=repr(error))

    async def _bury(self, partition: TopicPartition, record: Any, error: Malformed) -> None:
        # Without a readable stream and sequence nothing can be halted: it is set aside and seen.
        telemetry.EVENTS_CONSUMED.labels(partition.topic, "dead").inc()
        failures = 0
        while True:
            try:
                async with self._desk.database.transaction() as connection:
                    await deadletters.bury(
                        connection,
                        source="record",
                        consumer=self._desk.name,
                        topic=partition.topic,
                        key=_printable(record.key),
                        sequence=0,
                        headers={name: _printable(value) for name, value in record.headers}
                        | {"partition": str(partition.partition), "offset": str(record.offset)},
                        payload=_printable(record.value),
                        error=str(error),
                        attempts=1,
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
            telemetry.EVENTS_CONSUMED.labels(envelope.topic, "applied").inc()
            sent = datetime.fromisoformat(envelope.attributes["ce_time"])
            telemetry.EVENT_DELAY.labels(envelope.topic).observe(max(0.0, (now - sent).total_seconds()))
        _count_all(sifted.duplicates, "duplicate")
        _count_all(list(sifted.to_park.values()), "parked")


def _count_all(envelopes: Sequence[Envelope], outcome: str) -> None:
    for envelope in envelopes:
        telemetry.EVENTS_CONSUMED.labels(envelope.topic, outcome).inc()


def _printable(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "backslashreplace").replace("\0", "\\x00")


async def _stop(kafka: AIOKafkaConsumer) -> None:
    try:
        await asyncio.wait_for(kafka.stop(), _STOP_PATIENCE_S)
    except (TimeoutError, KafkaError) as error:
        _log.warning("consumer.stuck", error=repr(error))
