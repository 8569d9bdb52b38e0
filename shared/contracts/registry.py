"""Topics, and the decorator that makes a dataclass an event."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeVar, dataclass_transform


class TopicKind(StrEnum):
    """Stream: every event counts, gaps park. State: full state, compacted, the newer version wins."""

    STREAM = "stream"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic an aggregate. `retention_ms` None means compacted: the last event of a key is kept for ever."""

    name: str
    kind: TopicKind
    partitions: int
    retention_ms: int | None


class Event:
    """Something that happened. Subclasses are frozen dataclasses made by `@event`."""

    __slots__ = ()

    event_type: ClassVar[str]
    topic: ClassVar[Topic]
    key_field: ClassVar[str]

    @property
    def key(self) -> str:
        """The Kafka key: the aggregate's id."""
        return getattr(self, self.key_field)


EVENTS: dict[str, type[Event]] = {}
"""Every event of the platform by its CloudEvents type."""

E = TypeVar("E", bound=Event)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def event(event_type: str, *, topic: Topic, key: str) -> Callable[[type[E]], type[E]]:
    """Make a class a published event of that CloudEvents type, topic and key field."""

    def decorate(cls: type[E]) -> type[E]:
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        if event_type in EVENTS:
            raise ValueError(f"two events are called {event_type}")
        if key not in made.__annotations__:
            raise ValueError(f"{event_type} has no field {key}")
        made.event_type, made.topic, made.key_field = event_type, topic, key
        EVENTS[event_type] = made
        return made

    return decorate
