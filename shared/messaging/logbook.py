"""What a relay remembers of the logs that it writes, so that it sees when one was lost and fills it again from the outbox.

Of each partition the last acknowledged record is kept (`published_landmark`, written with the mark). When a log has
another record there, or ends before it, all published rows of its topic are read again by id behind a cursor
(`republication`): no row is written for it, and a crash or another relay goes on where the cursor stands.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from shared import telemetry
from shared.contracts.registry import TopicKind
from shared.contracts.topics import TOPICS
from shared.database import Database, Row
from shared.messaging.kafka import Partition
from shared.messaging.survey import Landmark, Survey

_log = structlog.get_logger()
STATE_TOPICS = [topic.name for topic in TOPICS if topic.kind is TopicKind.STATE]
COLUMNS = "o.id, o.event_id, o.topic, o.key, o.sequence, o.type, o.headers, o.payload, o.created_at"


class Republication(NamedTuple):
    """Rows of these topics with `after_id < id <= until_id` are still to be published again."""

    topics: list[str]
    after_id: int
    until_id: int


_LANDMARKS = "SELECT topic, partition, record_offset, event_id, stamp, cluster_id FROM published_landmark"
_REPUBLICATION = "SELECT topics, after_id, until_id FROM republication"
# A state stream's older rows would, published after its newest, be what compaction keeps.
_READ_AGAIN = f"""
SELECT {COLUMNS} FROM outbox o
WHERE o.id > $2 AND o.id <= $3 AND o.topic = ANY($4) AND o.published_at IS NOT NULL
    AND (NOT o.topic = ANY($5) OR o.sequence = (SELECT h.sequence FROM stream_head h WHERE h.topic = o.topic AND h.key = o.key))
ORDER BY o.id LIMIT $1
"""  # noqa: S608 (constants of ours)
_BEGIN_AGAIN = """
WITH lease AS (SELECT 1 FROM relay_lease WHERE name = 'outbox' AND owner = $1 AND epoch = $2 FOR UPDATE),
forgotten AS (DELETE FROM published_landmark WHERE topic = ANY($3) AND EXISTS (SELECT FROM lease))
INSERT INTO republication AS r (name, topics, after_id, until_id)
SELECT 'outbox', $3, 0, coalesce((SELECT max(id) FROM outbox WHERE published_at IS NOT NULL), 0) FROM lease
ON CONFLICT (name) DO UPDATE SET after_id = 0, until_id = excluded.until_id, began_at = now(),
    topics = (SELECT array_agg(DISTINCT t ORDER BY t) FROM unnest(r.topics || excluded.topics) AS t)
RETURNING topics, after_id, until_id
"""
# Shared by both statements that record what was acknowledged; nothing is recorded by who lost the lease.
_NOTED = """
WITH lease AS (
    UPDATE relay_lease SET expires_at = now() + make_interval(secs => $4)
    WHERE name = 'outbox' AND owner = $2 AND epoch = $3 RETURNING 1
), noted AS (
    INSERT INTO published_landmark (topic, partition, record_offset, event_id, stamp, cluster_id)
    SELECT w.*, $10 FROM unnest($5::text[], $6::int[], $7::bigint[], $8::text[], $9::bigint[]) AS w WHERE EXISTS (SELECT FROM lease)
    ON CONFLICT (topic, partition) DO UPDATE SET record_offset = excluded.record_offset, event_id = excluded.event_id,
        stamp = excluded.stamp, cluster_id = excluded.cluster_id
)
"""
_MARK = _NOTED + "UPDATE outbox SET published_at = now() WHERE id = ANY($1) AND EXISTS (SELECT FROM lease)"  # noqa: S608 (constants of ours)
_ADVANCE = _NOTED + "UPDATE republication SET after_id = $1 WHERE name = 'outbox' AND EXISTS (SELECT FROM lease)"  # noqa: S608 (constants of ours)
_DONE = """
DELETE FROM republication WHERE name = 'outbox' AND EXISTS
    (SELECT FROM relay_lease WHERE name = 'outbox' AND owner = $1 AND epoch = $2) RETURNING began_at
"""


class Logbook:
    """One relay's memory of its logs. Valid while it owns the lease: `open` it anew with every epoch."""

    def __init__(self, service: str, database: Database) -> None:
        self._service = service
        self._database = database
        self._landmarks: dict[Partition, Landmark] = {}
        self._cluster_id = ""
        self._again: Republication | None = None
        self.missing: set[str] = set()

    async def open(self) -> None:
        """Read what earlier owners wrote."""
        rows = await self._database.fetch(_LANDMARKS)
        self._landmarks = {
            Partition(row["topic"], row["partition"]): Landmark(row["record_offset"], row["event_id"], row["stamp"])
            for row in rows
        }
        self._cluster_id = next((row["cluster_id"] for row in rows), "")
        again = await self._database.fetchrow(_REPUBLICATION)
        self._again = None if again is None else Republication(*again.values())

    @property
    def topics(self) -> set[str]:
        """The topics that there is something to know about."""
        return {place.topic for place in self._landmarks} | self.missing

    @property
    def landmarks(self) -> Mapping[Partition, Landmark]:
        """The last acknowledged record of each partition."""
        return self._landmarks

    def compare(self, survey: Survey) -> set[str]:
        """Take note of a look at the logs. Returns the topics whose log is another one than before."""
        if survey.missing - self.missing:
            _log.error("relay.topics_missing", service=self._service, topics=sorted(survey.missing))
        self.missing = set(survey.missing)
        lost = {place.topic for place in survey.lost}
        if self._cluster_id and survey.cluster_id != self._cluster_id:
            lost |= {place.topic for place in self._landmarks} - survey.missing
        self._cluster_id = survey.cluster_id
        return lost

    def behind(self, acknowledged: Iterable[tuple[Row, Any]]) -> set[str]:
        """Topics in which a record got an offset that an earlier one had: theirs are new logs."""
        return {
            sent.topic
            for _, sent in acknowledged
            if (known := self._landmarks.get(Partition(sent.topic, sent.partition))) is not None
            and sent.offset <= known.offset
        }

    async def begin_again(self, topics: Collection[str], owner: str, epoch: int | None) -> bool:
        """Let all published rows of these topics be published again. False when the lease is another's."""
        row = await self._database.fetchrow(_BEGIN_AGAIN, owner, epoch, sorted(topics))
        if row is None:
            return False
        self._again = Republication(*row.values())
        self._landmarks = {place: known for place, known in self._landmarks.items() if place.topic not in topics}
        _log.error("relay.log_lost", service=self._service, topics=sorted(topics), until_id=self._again.until_id)
        return True

    async def read_again(self, limit: int) -> list[Row]:
        """The next rows to publish again, by id. Empty when there are none, or while a topic of theirs is missing."""
        if self._again is None or self.missing.intersection(self._again.topics):
            return []
        topics, after_id, until_id = self._again
        return await self._database.fetch(_READ_AGAIN, limit, after_id, until_id, topics, STATE_TOPICS)

    async def mark(
        self, acknowledged: Sequence[tuple[Row, Any]], owner: str, epoch: int | None, lease_s: float
    ) -> bool:
        """Mark rows as published, note the landmarks, renew the lease: one statement. False when the lease is another's."""
        ids = [row["id"] for row, _ in acknowledged]
        return await self._record(_MARK, ids, acknowledged, owner, epoch, lease_s)

    async def advance(
        self, acknowledged: Sequence[tuple[Row, Any]], owner: str, epoch: int | None, lease_s: float
    ) -> bool:
        """The same for rows that were published again: the cursor moves behind them."""
        if self._again is None:
            return True
        last = max(row["id"] for row, _ in acknowledged)
        if not await self._record(_ADVANCE, last, acknowledged, owner, epoch, lease_s):
            return False
        self._again = self._again._replace(after_id=last)
        for row, _ in acknowledged:
            telemetry.EVENTS_REPUBLISHED.labels(row["topic"]).inc()
        return True

    async def end_again(self, owner: str, epoch: int | None) -> None:
        """All is published again, as far as the outbox keeps it."""
        if self._again is None or self.missing.intersection(self._again.topics):
            return
        began_at = await self._database.fetchval(_DONE, owner, epoch)
        if began_at is not None:
            _log.info("relay.republished", service=self._service, topics=self._again.topics, since=began_at.isoformat())
            self._again = None

    async def _record(
        self,
        statement: str,
        what: Any,
        acknowledged: Sequence[tuple[Row, Any]],
        owner: str,
        epoch: int | None,
        lease_s: float,
    ) -> bool:
        newest: dict[Partition, Landmark] = {}
        for row, sent in acknowledged:
            place = Partition(sent.topic, sent.partition)
            if place not in newest or sent.offset > newest[place].offset:
                newest[place] = Landmark(sent.offset, row["event_id"], sent.timestamp)
        columns = [
            list(column) for column in zip(*((*place, *mark) for place, mark in sorted(newest.items())), strict=True)
        ]
        tag = await self._database.execute(statement, what, owner, epoch, lease_s, *columns, self._cluster_id)
        if tag == "UPDATE 0":
            return False
        self._landmarks |= newest
        return True
