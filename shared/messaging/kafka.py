"""aiokafka, wrapped once: typed, with every setting that matters said, and every wait bounded.

Its defaults are not ours: it would start at the end of the log, commit by itself and acknowledge by one replica.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

_log = structlog.get_logger()
_START_PATIENCE_S = 30.0
_STOP_PATIENCE_S = 3.0
_HANG_UP_PATIENCE_S = 1.0
_METADATA_AGE_MS = 15_000  # so that a topic that is made anew is found soon
MAX_RECORD_BYTES = 1024 * 1024
T = TypeVar("T")
_abandoned: set[asyncio.Task[Any]] = set()
_ITS_OWN = (asyncio.CancelledError, asyncio.InvalidStateError, RuntimeError, AssertionError)


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await a client's work for so long at most. Raises what it raises, TimeoutError, and Broken when the client failed in itself.

    Unlike `asyncio.wait_for` it does not wait for the work to notice that it was cancelled: aiokafka's tasks may swallow that,
    and then a bound would be none. Nor does it pass on a cancellation that was not ours: aiokafka's consumer lets one of its
    own tasks' out of `stop()`, and a loop that is to go on would end.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            _abandoned.add(task)  # a loop keeps no reference of its own to a task
            task.add_done_callback(_forget)
    if not task.done():
        raise TimeoutError(f"not done within {seconds:g} s")
    try:
        return task.result()
    except _ITS_OWN as error:
        raise cause_of(error) from error


def _forget(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.info("kafka.abandoned_failed", error=repr(error))


class Broken(KafkaError):
    """The client failed in itself, not by what Kafka said: it cannot be used any more, and another one is to be made."""


def cause_of(error: BaseException) -> BaseException:
    """The error as ours: `Broken` for what comes out of aiokafka when a connection goes in the middle of its work.

    That is a cancellation that nobody asked for, uvloop's RuntimeError of a closed transport, and asserts of its own state.
    """
    return Broken(repr(error)) if isinstance(error, _ITS_OWN) else error


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class Record(Protocol):
    """A record as it was read."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class ConsumerClient(Protocol):
    """A member of a consumer group."""

    def getmany(
        self, *, timeout_ms: int, max_records: int
    ) -> Coroutine[Any, Any, Mapping[Partition, Sequence[Record]]]: ...
    def commit(self, offsets: Mapping[Any, Any]) -> Coroutine[Any, Any, None]: ...
    def seek_to_beginning(self, *partitions: Any) -> Coroutine[Any, Any, bool]: ...
    def assignment(self) -> frozenset[Any]: ...
    def highwater(self, partition: Any) -> int | None: ...
    def stop(self) -> Coroutine[Any, Any, None]: ...


class ProducerClient(Protocol):
    """An idempotent producer."""

    async def send(
        self, topic: str, *, value: bytes, key: bytes, headers: Sequence[tuple[str, bytes]], timestamp_ms: int
    ) -> "asyncio.Future[Any]": ...
    def stop(self) -> Coroutine[Any, Any, None]: ...


async def join(bootstrap: str, topics: Sequence[str], *, group: str, client: str, instance: str = "") -> ConsumerClient:
    """Join a group. Raises KafkaError or TimeoutError, and leaves nothing behind.

    With an `instance` name (unique in the group) a member that was killed and started again takes its partitions back
    at once; without one they wait for the dead member's session to end.
    """
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        client_id=client,
        group_id=group,
        group_instance_id=instance or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # A killed member's partitions wait this long for another. One that is only slow may lose them and come back: what it
        # does meanwhile meets the position gate.
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_000,
        rebalance_timeout_ms=30_000,
        max_poll_interval_ms=600_000,
        request_timeout_ms=40_000,
        retry_backoff_ms=100,
        metadata_max_age_ms=_METADATA_AGE_MS,
    )
    return cast("ConsumerClient", await _started(consumer))


async def produce(bootstrap: str, *, client: str) -> ProducerClient:
    """A producer with acks=all and idempotence. Raises KafkaError or TimeoutError, and leaves nothing behind."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client,
        acks="all",
        enable_idempotence=True,
        linger_ms=2,
        max_batch_size=256 * 1024,
        max_request_size=MAX_RECORD_BYTES,
        request_timeout_ms=10_000,
        metadata_max_age_ms=_METADATA_AGE_MS,
    )
    return cast("ProducerClient", await _started(producer))


async def commit(
    consumer: ConsumerClient, offsets: Mapping[Partition, tuple[int, str]], *, patience_s: float = 3.0
) -> None:
    """Commit these offsets with a note each. Raises KafkaError or TimeoutError, which a caller may take lightly: positions are the truth."""
    native = {TopicPartition(place.topic, place.partition): OffsetAndMetadata(*at) for place, at in offsets.items()}
    await within(patience_s, consumer.commit(native))


async def rewind(consumer: ConsumerClient, places: Iterable[Partition], *, patience_s: float = 15.0) -> None:
    """Read these partitions from their beginning. Raises KafkaError or TimeoutError."""
    await within(patience_s, consumer.seek_to_beginning(*(TopicPartition(*place) for place in places)))


async def let_go(client: ConsumerClient | ProducerClient) -> None:
    """Stop a client within a bound. One that hangs or breaks is abandoned, and said so; its connections are closed all the same."""
    try:
        await within(_STOP_PATIENCE_S, client.stop())
    except (TimeoutError, KafkaError) as error:
        _log.warning("kafka.client_stuck", error=repr(error))
        await _hang_up(client)


async def _hang_up(client: Any) -> None:
    # `stop()` comes to its connections last, and does nothing when it is called again.
    connections = client.client if isinstance(client, AIOKafkaProducer) else client._client
    try:
        await within(_HANG_UP_PATIENCE_S, connections.close())
    except (TimeoutError, KafkaError) as error:
        _log.warning("kafka.connections_stuck", error=repr(error))


async def _started(client: Any) -> Any:
    try:
        await within(_START_PATIENCE_S, client.start())
    except BaseException:
        await let_go(client)
        raise
    return client
