"""Create Kafka's topics from the one topic file."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, TopicAlreadyExistsError, for_code

from freeport.errors import StartupError
from shared.contracts.registry import Topic, TopicKind

T = TypeVar("T")
_WITHIN = 300  # tenths of a second
_STARTING = (NodeNotReadyError, KafkaConnectionError)
EMBEDDED_PARTITIONS = 3  # one node gains nothing from the twelve of a real cluster


def topic_config(topic: Topic) -> dict[str, str]:
    """The broker's settings of a topic: a state topic is compacted and kept, a stream topic is kept for its time."""
    if topic.kind is TopicKind.STATE:
        # A segment that is written to is never compacted; a day's end closes it.
        return {"cleanup.policy": "compact", "segment.ms": str(24 * 3600 * 1000)}
    retention = -1 if topic.retention_ms is None else topic.retention_ms
    return {"cleanup.policy": "delete", "retention.ms": str(retention)}


async def create_topics(
    bootstrap: str, topics: Sequence[Topic], *, partitions: int | None = None, replicas: int = 1
) -> list[str]:
    """Create the topics that are missing, with `partitions` each or as many as declared; gives the names created."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await _until_registered(admin, replicas)
        existing = set(await _asked(admin.list_topics))
        missing = [topic for topic in topics if topic.name not in existing]
        if missing:
            # The answer's class is made at run time from the protocol's schema: aiokafka has no type for it.
            wanted = [_new(topic, partitions, replicas) for topic in missing]
            answer: Any = await _asked(lambda: admin.create_topics(wanted))
            _require_created(answer.topic_errors)
    finally:
        await admin.close()
    return [topic.name for topic in missing]


async def _until_registered(admin: AIOKafkaAdminClient, brokers: int) -> None:
    """A broker that serves already may not be known to the controller yet, and then gets no replica."""
    for _ in range(_WITHIN):  # after that the creation says best what is missing
        with suppress(*_STARTING):
            if len((await admin.describe_cluster())["brokers"]) >= brokers:
                return
        await asyncio.sleep(0.1)


async def _asked(ask: Callable[[], Awaitable[T]]) -> T:
    """What is answered: any broker is asked, and one that is just starting is known before it can be reached."""
    for _ in range(_WITHIN):
        try:
            return await ask()
        except _STARTING:
            await asyncio.sleep(0.1)
    return await ask()


def _new(topic: Topic, partitions: int | None, replicas: int) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=partitions or topic.partitions,
        replication_factor=replicas,
        topic_configs=topic_config(topic),
    )


def _require_created(answers: Sequence[tuple[str, int, str | None]]) -> None:
    for name, code, message in answers:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise StartupError(
                f"Kafka's topic {name} could not be created",
                why=f"the broker answered {error.__name__}: {message}",
                fix="See kafka.log in the directory of the logs",
            )
