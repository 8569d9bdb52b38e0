"""From a message to its use case: a typed table, filled by a service's consumers.py."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from shared.contracts.registry import Event, Topic
from shared.effects import Answered, Decision, Due, Moment

S = TypeVar("S")
M = TypeVar("M")


class Router(Generic[S]):
    """`on(OrderPlaced, reserve_stock)`. Commands are routed by their class, deadlines and answers by their kind."""

    def __init__(self) -> None:
        self._by_type: dict[type, Callable[[Any, S, Moment], Decision]] = {}
        self._due: dict[str, Callable[[Due, S, Moment], Decision]] = {}
        self._answered: dict[str, Callable[[Answered, S, Moment], Decision]] = {}
        self._topics: dict[str, Topic] = {}

    def __call__(self, message_type: type[M], use_case: Callable[[M, S, Moment], Decision]) -> None:
        """Route an event or a command. An event's topic is subscribed."""
        if message_type in self._by_type:
            raise ValueError(f"{message_type.__name__} has a use case already")
        self._by_type[message_type] = use_case
        if issubclass(message_type, Event):
            self.observe(message_type.topic)

    def due(self, kind: str, use_case: Callable[[Due, S, Moment], Decision]) -> None:
        """Route the deadlines of a kind."""
        self._due[kind] = use_case

    def answered(self, kind: str, use_case: Callable[[Answered, S, Moment], Decision]) -> None:
        """Route the answers to calls of a kind."""
        self._answered[kind] = use_case

    def observe(self, topic: Topic) -> None:
        """Subscribe to a topic whose events `load` wants to see even where no use case decides them."""
        self._topics[topic.name] = topic

    @property
    def topics(self) -> tuple[Topic, ...]:
        """What the service subscribes to."""
        return tuple(self._topics[name] for name in sorted(self._topics))

    def decide(self, body: object, state: S, moment: Moment) -> Decision:
        """Let the use case decide. An event that nobody routed has no effect; an unrouted command is a bug."""
        if isinstance(body, Due):
            return self._due[body.kind](body, state, moment)
        if isinstance(body, Answered):
            return self._answered[body.kind](body, state, moment)
        kind = type(body)
        use_case = self._by_type.get(kind)
        if use_case is not None:
            return use_case(body, state, moment)
        if body is None or isinstance(body, Event):
            return ()
        raise LookupError(f"no use case for the command {kind.__name__}")
