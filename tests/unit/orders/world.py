"""Every order of arrival, tried. The events of one topic keep their order; those of different topics arrive in any.

What another service tells only in answer to something that orders published cannot arrive before that: such an event is
written `after(OrderConfirmed, …)`. Nothing else binds one topic to another.
"""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from services.orders.domain.order import Order
from shared.contracts.registry import Event
from shared.effects import Effect
from shared.errors import Refusal
from tests.builders.orders import NOON, an_announcement


@dataclass(frozen=True)
class After:
    """An event that can only arrive when orders has published one of that kind."""

    cause: type[Event]
    event: Any


def after(cause: type[Event], event: Any) -> After:
    return After(cause, event)


@dataclass(frozen=True)
class Wish:
    """Somebody wants to cancel."""

    reason: str = "changed_mind"
    requested_by: str = "buyer"


@dataclass(frozen=True)
class Silence:
    """The deadline comes of whatever the order waits for."""


@dataclass
class World:
    """An order with what it has published, and how far each topic was heard."""

    order: Order
    heard: tuple[int, ...]
    published: list[Event] = field(default_factory=list)

    def fingerprint(self) -> tuple[Any, ...]:
        order = self.order
        told = Counter(repr(event) for event in self.published)
        holds = tuple(sorted((code, hold.reasons) for code, hold in order.holds.items()))
        facts = repr(order.facts)
        return self.heard, order.status, facts, holds, order.awaits, tuple(sorted(told.items()))


def outcomes(order: Order, *topics: Sequence[Any]) -> list[World]:
    """The distinct worlds after every interleaving of the topics, all of their events heard."""
    found = ends(order, *topics)
    stuck = [world for world in found if world.heard != tuple(len(topic) for topic in topics)]
    assert not stuck, f"never heard: {stuck[0].heard} of {[len(topic) for topic in topics]}, {stuck[0].order}"
    return found


def ends(order: Order, *topics: Sequence[Any]) -> list[World]:
    """The distinct worlds after every interleaving; events whose cause was never published are never heard."""
    order = deepcopy(order)
    frontier = [World(order, (0,) * len(topics), events_of(order.advance(NOON)))]
    final: dict[tuple[Any, ...], World] = {}
    while frontier:
        following: dict[tuple[Any, ...], World] = {}
        for world in frontier:
            nexts = [hear(world, topics, place) for place in range(len(topics)) if may_hear(world, topics, place)]
            if not nexts:
                final[world.fingerprint()] = world
            for found in nexts:
                following[found.fingerprint()] = found
        frontier = list(following.values())
    return list(final.values())


def may_hear(world: World, topics: Sequence[Sequence[Any]], place: int) -> bool:
    if world.heard[place] == len(topics[place]):
        return False
    found = topics[place][world.heard[place]]
    return not isinstance(found, After) or any(isinstance(event, found.cause) for event in world.published)


def hear(world: World, topics: Sequence[Sequence[Any]], place: int) -> World:
    order = deepcopy(world.order)
    found = topics[place][world.heard[place]]
    message = found.event if isinstance(found, After) else found
    if isinstance(message, Wish):
        effects = order.cancel(message.reason, message.requested_by, NOON)
        effects = () if isinstance(effects, Refusal) else effects
    elif isinstance(message, Silence):
        effects = order.lose_patience(order.patient_until or NOON, an_announcement())
    else:
        effects = order.hear(message, NOON)
    heard = tuple(count + (index == place) for index, count in enumerate(world.heard))
    return World(order, heard, [*world.published, *events_of(effects)])


def events_of(effects: Sequence[Effect]) -> list[Event]:
    return [effect for effect in effects if isinstance(effect, Event)]
