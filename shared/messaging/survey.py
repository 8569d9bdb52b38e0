"""Is this still the log that we knew? A look at Kafka from outside of the clients that do the work.

A wiped broker, a topic that was deleted and made again, a log that lost its end in a failed election: each looks like any other
log, and may have grown past an old offset. What tells them apart is a record: a landmark is a record that was seen at an
offset, and a log that has another record there, or ends before it, is another log.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from shared.messaging.kafka import Partition, within

_PATIENCE_S = 15.0
_REQUEST_MS = 5_000
_CLOSE_S = 2.0
_FETCH_BYTES = 64 * 1024


class _Reader(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def assign(self, partitions: Sequence[TopicPartition]) -> None: ...
    def seek(self, partition: TopicPartition, offset: int) -> None: ...
    def pause(self, *partitions: TopicPartition) -> None: ...
    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]: ...
    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]: ...
    async def getmany(self, *, timeout_ms: int) -> Mapping[TopicPartition, Sequence[Any]]: ...


class Landmark(NamedTuple):
    """A record that was seen at an offset. `stamp` is its time in milliseconds: a repeated event has another."""

    offset: int
    event_id: str
    stamp: int


@dataclass(frozen=True, slots=True)
class Committed:
    """Where a consumer group stands in a partition, and the note that was committed with it."""

    offset: int
    note: str


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. Offsets are `begin <= record < end`; `lost` are partitions whose landmark is not there any more."""

    cluster_id: str
    missing: frozenset[str]
    begins: Mapping[Partition, int]
    ends: Mapping[Partition, int]
    lost: frozenset[Partition] = frozenset()
    committed: Mapping[Partition, Committed] = field(default_factory=dict[Partition, Committed])


async def look(
    bootstrap: str,
    topics: Collection[str],
    landmarks: Mapping[Partition, Landmark],
    *,
    client: str,
    group: str = "",
) -> Survey:
    """Look at the topics, the landmarks and, where named, the group's offsets. Raises KafkaError or TimeoutError."""
    return await within(_PATIENCE_S, _look(bootstrap, topics, landmarks, client=client, group=group))


async def _look(
    bootstrap: str, topics: Collection[str], landmarks: Mapping[Partition, Landmark], *, client: str, group: str
) -> Survey:
    async with AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap, client_id=f"{client}-look", request_timeout_ms=_REQUEST_MS
        )
        stack.push_async_callback(_closed, admin.close)
        await admin.start()
        cluster: Mapping[str, Any] = await admin.describe_cluster()
        partitions, missing = await _partitions(admin, sorted(topics))
        committed = await _committed(admin, group) if group else {}
        known = dict(landmarks) | {
            place: landmark
            for place, at in committed.items()
            if place not in landmarks and (landmark := landmark_of(at)) is not None
        }
        reader = cast(
            "_Reader",
            AIOKafkaConsumer(
                bootstrap_servers=bootstrap,
                client_id=f"{client}-look",
                enable_auto_commit=False,
                auto_offset_reset="none",
                retry_backoff_ms=20,  # it learns the leaders at its first, failing try
                request_timeout_ms=_REQUEST_MS,
                max_partition_fetch_bytes=_FETCH_BYTES,
            ),
        )
        stack.push_async_callback(_closed, reader.stop)
        await reader.start()
        native = [TopicPartition(*place) for place in partitions]
        begins, ends = _plain(await reader.beginning_offsets(native)), _plain(await reader.end_offsets(native))
        lost = {place for place, landmark in known.items() if place in ends and ends[place] <= landmark.offset}
        there = {
            place: landmark
            for place, landmark in known.items()
            if place in ends and begins[place] <= landmark.offset < ends[place]
        }
        lost |= await _replaced(reader, there)
        return Survey(cluster["cluster_id"], missing, begins, ends, frozenset(lost), committed)


async def _partitions(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> tuple[list[Partition], frozenset[str]]:
    found: list[Partition] = []
    missing: set[str] = set()
    for topic in await admin.describe_topics(list(topics)) if topics else ():
        error = for_code(topic["error_code"])
        if error is UnknownTopicOrPartitionError:
            missing.add(topic["topic"])
        elif topic["error_code"]:
            raise error(topic["topic"])
        else:
            found += [Partition(topic["topic"], part["partition"]) for part in topic["partitions"]]
    return found, frozenset(missing)


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[Partition, Committed]:
    answers = await admin.list_consumer_group_offsets(group)
    return {
        Partition(place.topic, place.partition): Committed(at.offset, at.metadata)
        for place, at in answers.items()
        if at.offset >= 0
    }


async def _replaced(reader: "_Reader", landmarks: Mapping[Partition, Landmark]) -> set[Partition]:
    """Which logs have another record at the landmark's offset. One that is gone by compaction or age proves nothing."""
    waiting = dict(landmarks)
    if not waiting:
        return set()
    reader.assign([TopicPartition(*place) for place in waiting])
    for place, landmark in waiting.items():
        reader.seek(TopicPartition(*place), landmark.offset)
    replaced: set[Partition] = set()
    while waiting:
        for native, records in (await reader.getmany(timeout_ms=1000)).items():
            place = Partition(native.topic, native.partition)
            landmark = waiting.pop(place, None)
            if landmark is None or not records:
                continue
            reader.pause(native)
            if records[0].offset == landmark.offset and landmark != landmark_at(records[0]):
                replaced.add(place)
    return replaced


def landmark_at(record: Any) -> Landmark:
    """The landmark that a record is."""
    event_id = next((value for name, value in record.headers if name == "ce_id"), b"")
    return Landmark(record.offset, event_id.decode("utf-8", "backslashreplace"), record.timestamp)


def note_of(landmark: Landmark) -> str:
    """A landmark as a note to commit with the offset behind it."""
    return f"{landmark.stamp} {landmark.event_id}"


def landmark_of(committed: Committed) -> Landmark | None:
    """The landmark in a committed note; None where there is none that can be read."""
    stamp, _, event_id = committed.note.partition(" ")
    return Landmark(committed.offset - 1, event_id, int(stamp)) if stamp.isdecimal() and committed.offset else None


def _plain(offsets: Mapping[TopicPartition, int]) -> dict[Partition, int]:
    return {Partition(place.topic, place.partition): offset for place, offset in offsets.items()}


async def _closed(close: Any) -> None:
    try:
        await within(_CLOSE_S, close())
    except (KafkaError, TimeoutError):
        return
