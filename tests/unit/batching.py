"""Batching is never visible in results: the property that every service must have, and how to test it.

A service's shell loads the working set of a batch, decides message by message and saves. `check_batching` runs the same
messages one by one and in batches of any size through a store in memory, and compares the end state and what was told.

    class Store:                                     # plain rows; stands for repository.py
        def load(self, messages) -> Shelves: ...     # a working set that shares nothing with the rows
        def save(self, shelves) -> None: ...
        def rows(self) -> object: ...                # everything, comparable

    @given(messages=…, sizes=batch_sizes())
    def test_batching_is_never_visible(messages, sizes):
        check_batching(messages, sizes, Store, router)
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeGuard, TypeVar

from hypothesis import strategies as st

from shared.contracts.registry import Event, TopicKind
from shared.effects import Decision, Effect
from shared.errors import Refusal
from shared.messaging.message import Message
from shared.messaging.routing import Router

S = TypeVar("S")


class Store(Protocol[S]):
    """The rows of one service, in memory."""

    def load(self, messages: Sequence[Message]) -> S:
        """The working set of these messages. It must not share mutable state with the rows."""
        ...

    def save(self, state: S) -> None:
        """Take over what changed."""
        ...

    def rows(self) -> Any:
        """All state, comparable with `==`."""
        ...


def batch_sizes(largest: int = 20) -> st.SearchStrategy[list[int]]:
    """Sizes of successive batches; they are repeated until the messages are used up."""
    return st.lists(st.integers(1, largest), min_size=1, max_size=10)


def check_batching(
    messages: Sequence[Message], sizes: Sequence[int], new_store: Callable[[], Store[S]], router: Router[S]
) -> Store[S]:
    """Fail when batches of these sizes end otherwise than one message at a time. Returns the store, for more checks.

    Compared are the rows, the answer to each message (refusals too), every event of a stream topic in its order, and the
    last state event of each key: of a state topic the shell publishes only the newest.
    """
    alone, one_by_one = _run(messages, [1], new_store(), router)
    batched, in_batches = _run(messages, sizes, new_store(), router)
    assert in_batches == one_by_one
    assert batched.rows() == alone.rows()
    return batched


def _run(
    messages: Sequence[Message], sizes: Sequence[int], store: Store[S], router: Router[S]
) -> tuple[Store[S], list[Any]]:
    decisions: list[Decision] = []
    for batch in _cut(messages, sizes):
        state = store.load(batch)
        decisions.extend(router.decide(message.body, state, message.moment) for message in batch)
        store.save(state)
    return store, _visible(decisions)


def _cut(messages: Sequence[Message], sizes: Sequence[int]) -> Iterator[Sequence[Message]]:
    start, turn = 0, 0
    while start < len(messages):
        size = sizes[turn % len(sizes)]
        yield messages[start : start + size]
        start, turn = start + size, turn + 1


def _visible(decisions: Sequence[Decision]) -> list[Any]:
    newest: dict[tuple[str, str], Event] = {}
    answers: list[Any] = []
    for decision in decisions:
        effects = () if isinstance(decision, Refusal) else decision
        answers.append(decision if isinstance(decision, Refusal) else [e for e in effects if not _is_state(e)])
        newest.update({(effect.topic.name, effect.key): effect for effect in effects if _is_state(effect)})
    return [answers, newest]


def _is_state(effect: Effect) -> TypeGuard[Event]:
    return isinstance(effect, Event) and effect.topic.kind is TopicKind.STATE
