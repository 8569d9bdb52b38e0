"""From Kafka to the desk, a batch at a time.

Offsets are committed after the transaction and are only a hint: the truth is the position that committed with the effect. So
reading a log again is always safe, and a log that turns out to be another one than before is read from its beginning.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from shared import failpoints, telemetry
from shared.contracts.registry import EVENTS
from shared.database import Connection, is_transient
from shared.failpoints import Point
from shared.messaging import deadletters, kafka, survey
from shared.messaging.codec import Envelope, Malformed, open_envelope
from shared.messaging.desk import Desk
from shared.messaging.kafka import ConsumerClient, Partition, Record, within
from shared.messaging.positions import Sifted
from shared.messaging.sources import EventBatch
from shared.messaging.survey import Landmark, Survey

_log = structlog.get_logger()
_BATCH = 500
_POLL_MS = 500
_FETCH_PATIENCE_S = 30.0
_LOOK_EVERY_S = 15.0
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
        self._stopping = asyncio.Event()
        self._reached: dict[Partition, tuple[int, str]] = {}
        self._commit_at = 0.0
        self._landmarks: dict[Partition, Landmark] = {}
        self._verified: frozenset[Partition] = frozenset()
        self._cluster_id = ""
        self._other_logs: set[Partition] = set()
        self._group_at = 0
        self._signs = 0
        self._failures = 0  # in a row
        self.out_of_reach = False  # Kafka, at the last try

    async def run(self) -> None:
        """Consume until `stop()`; after an error of Kafka's with a new client."""
        watching = asyncio.create_task(self._watch_logs())
        try:
            while not self._stopping.is_set():
                try:
                    await self._consume(watching)
                except (KafkaError, OSError, TimeoutError) as error:
                    self._failures += 1
                    self._signs += 1
                    self.out_of_reach = True
                    self._joined()  # it will, when Kafka answers; requests need not wait for that
                    _log.warning("consumer.retry", service=self._desk.name, error=repr(error))
                    await self._pause(min(5.0, 0.2 * 2 ** min(self._failures, 5)))
        finally:
            watching.cancel()

    def stop(self) -> None:
        """Take no more; `run()` ends after the batch in hand."""
        self._stopping.set()

    async def _consume(self, watching: "asyncio.Task[None]") -> None:
        client = await self._join()
        if client is None:
            return
        self._reached, self._verified = {}, frozenset()
        try:
            self._joined()
            self.out_of_reach = False
            while not self._stopping.is_set():
                if watching.done():
                    watching.result()
                await self._verify(client)
                settled = await self._step(client)
                self._failures = 0
                if time.monotonic() >= self._commit_at or not settled:
                    await self._commit(client)
                if 0 < settled < _FEW:
                    await asyncio.sleep(_GATHER_S)
            await self._commit(client)
        finally:
            self._verified = frozenset()
            await kafka.let_go(client)

    async def _join(self) -> ConsumerClient | None:
        """A member of the group, or None when it is time to stop before there is one."""
        joining = asyncio.create_task(
            kafka.join(
                self._bootstrap, self._topics, group=self._group, client=self._desk.name, instance=self._instance
            )
        )
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({joining, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if joining.done():
                return joining.result()
            return None
        finally:
            stopping.cancel()
            if not joining.done():
                joining.cancel()
                await asyncio.wait({joining}, timeout=5)

    @property
    def _topics(self) -> list[str]:
        return [topic.name for topic in self._desk.router.topics]

    @property
    def _group(self) -> str:
        return f"freeport.{self._desk.name}"

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _watch_logs(self) -> None:
        """Now and then look from outside whether the logs are still those that were read."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            try:
                self._compare(await self.look())
            except (KafkaError, OSError, TimeoutError) as error:
                _log.info("consumer.no_look", service=self._desk.name, error=repr(error))

    async def look(self) -> Survey:
        """The logs and the group as they are. Raises KafkaError, OSError or TimeoutError when Kafka cannot be asked."""
        landmarks = {place: landmark for place, landmark in self._landmarks.items() if place in self._verified}
        return await survey.look(self._bootstrap, self._topics, landmarks, client=self._desk.name, group=self._group)

    @property
    def signs(self) -> int:
        """What was settled or failed, for the watchdog."""
        return self._signs + self._desk.retries

    async def waiting(self, _: Connection) -> str | None:
        """Records that wait for this member, or for a group that does not move, for the watchdog."""
        found = await self.look()
        at = {place: known.offset for place, known in found.committed.items()}
        group_at, self._group_at = self._group_at, sum(at.values())
        mine = self._verified
        if not mine and self._group_at != group_at:
            return None  # others work; there may be more members than partitions
        at |= {place: known.offset + 1 for place, known in self._landmarks.items() if place in mine}
        behind = {
            place: end - max(at.get(place, 0), found.begins[place])
            for place, end in found.ends.items()
            if place in mine or not mine
        }
        waiting = {f"{place.topic}/{place.partition}": lag for place, lag in sorted(behind.items()) if lag > 0}
        whose = "of its own" if mine else "of a group that does not move"
        return f"records wait in partitions {whose}: {waiting}" if waiting else None

    def _compare(self, found: Survey) -> None:
        other = set(found.lost)
        if self._cluster_id and found.cluster_id != self._cluster_id:
            other |= found.ends.keys()
        self._cluster_id = found.cluster_id
        self._other_logs |= other

    async def _verify(self, client: ConsumerClient) -> None:
        """Go back to the beginning of logs that are not those that were read. What we had of them is skipped.

        Partitions that are new to this member are looked at before anything is committed for them: what another committed tells
        which record it had read last.
        """
        assigned = frozenset(Partition(place.topic, place.partition) for place in client.assignment())
        if new := assigned - self._verified:
            for place in new:  # what it knows of former times is out of date: another member may have read on
                self._landmarks.pop(place, None)
                self._reached.pop(place, None)
            self._compare(await self.look())
        self._verified = assigned
        mine = self._other_logs & assigned
        self._other_logs = set()  # of those that are not ours their member finds out by itself
        if not mine:
            return
        _log.error("consumer.log_lost", service=self._desk.name, partitions=sorted(f"{t}/{p}" for t, p in mine))
        await kafka.rewind(client, mine)
        for place in mine:
            telemetry.LOGS_REREAD.labels(place.topic).inc()
            self._landmarks.pop(place, None)
            self._reached[place] = (0, "")  # what was committed names the old log

    async def _step(self, client: ConsumerClient) -> int:
        fetched = await within(_FETCH_PATIENCE_S, client.getmany(timeout_ms=_POLL_MS, max_records=_BATCH))
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
        for partition, records in fetched.items():
            place = Partition(partition.topic, partition.partition)
            landmark = self._landmarks[place] = survey.landmark_at(records[-1])
            self._reached[place] = (landmark.offset + 1, survey.note_of(landmark))
            if partition not in client.assignment():  # another member got it while the batch was settled
                continue
            highwater = client.highwater(partition)
            if highwater is not None:
                lag = max(0, highwater - records[-1].offset - 1)
                telemetry.CONSUMER_LAG.labels(partition.topic, partition.partition).set(lag)
        return len(envelopes)

    async def _commit(self, client: ConsumerClient) -> None:
        # Now and then is enough: what is read again after a crash is found had, because the positions are the truth.
        reached = {place: at for place, at in self._reached.items() if place in self._verified}
        if reached:
            if failpoints.ARMED:
                failpoints.reach(Point.CONSUMER_COMMITTING)
            try:
                await kafka.commit(client, reached)
                self._reached = {place: at for place, at in self._reached.items() if place not in reached}
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
                self._signs += 1
                await asyncio.sleep(min(5.0, 0.1 * 2 ** min(failures, 6)))

    def _count(self, sifted: Sifted) -> None:
        self._signs += 1
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
