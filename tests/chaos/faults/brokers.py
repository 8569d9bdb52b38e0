"""A cluster of three brokers loses one, the one that matters, or the majority (rows 12 to 14)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from random import Random

from aiokafka import TopicPartition

from shared.contracts.topics import ORDER, TOPICS
from tests.chaos.cluster import CONSUMING, Cluster, Process
from tests.chaos.fault import EVERYTHING, Fault, Feature, Harmless
from tests.chaos.waiting import until
from tests.fixtures import administration
from tests.fixtures.administration import Leadership

MAJORITY_DOWN_S = 60.0  # longer than a producer keeps a batch, a relay waits for it, and a member's session lasts
_AGAIN_WITHIN_S = 90.0
_PUBLISHED = "SELECT max(id) FROM outbox WHERE published_at IS NOT NULL"


async def leaders(cluster: Cluster) -> Mapping[TopicPartition, Leadership]:
    """Of every partition of the topic list."""
    return await administration.leaders(cluster.direct, [topic.name for topic in TOPICS])


async def leader_killed(cluster: Cluster, rng: Random) -> str:
    """kill -9 of the broker that leads a partition of the orders' topic."""
    found = await leaders(cluster)
    place = rng.choice(sorted(place for place in found if place.topic == ORDER.name))
    old = found[place].leader
    led = sum(leadership.leader == old for leadership in found.values())
    victim, began = cluster.process(f"kafka-{old}"), time.monotonic()
    published = await cluster.count("orders", _PUBLISHED)
    died = victim.kill()
    now = await until(
        lambda: leaders(cluster),
        lambda seen: seen[place].leader not in (old, -1),
        f"another leader of {place}",
        _AGAIN_WITHIN_S,
    )
    led_again_after = time.monotonic() - began
    await until(
        lambda: cluster.count("orders", _PUBLISHED),
        lambda seen: seen > published,
        "an order to be published",
        _AGAIN_WITHIN_S,
    )
    went_on_after = time.monotonic() - began
    await victim.until_serving(after=died, within=_AGAIN_WITHIN_S)
    await whole_again(cluster)
    return (
        f"{victim.name} led {led} partitions and died; kafka-{now[place].leader} led {place.topic}/{place.partition} after"
        f" {led_again_after:.1f} s, orders published after {went_on_after:.1f} s"
    )


async def coordinator_killed(cluster: Cluster, rng: Random) -> str:
    """kill -9 of the broker that a consumer group depends on."""
    service = rng.choice(CONSUMING)
    group = f"freeport.{service}"
    old = await administration.coordinator(cluster.direct, group)
    victim, began = cluster.process(f"kafka-{old}"), time.monotonic()
    died = victim.kill()
    new = await until(
        lambda: administration.coordinator(cluster.direct, group),
        lambda seen: seen != old,
        f"another coordinator of {group}",
        _AGAIN_WITHIN_S,
    )
    await until(
        lambda: administration.state_of(cluster.direct, group),
        lambda seen: seen == ("Stable", 2),
        f"both members in {group}",
        _AGAIN_WITHIN_S,
    )
    stable_after = time.monotonic() - began
    await victim.until_serving(after=died, within=_AGAIN_WITHIN_S)
    await whole_again(cluster)
    return (
        f"{victim.name} coordinated {group} and died; with kafka-{new} both members are back after {stable_after:.1f} s"
    )


async def majority_down(cluster: Cluster, rng: Random) -> str:
    """kill -9 of two of three, for a minute: nothing is acknowledged by one alone."""
    victims = rng.sample(cluster.brokers, 2)
    before = await cluster.unpublished()
    async with down_together(victims):
        await asyncio.sleep(MAJORITY_DOWN_S)
        held = await cluster.unpublished() - before
    began = time.monotonic()
    names = " and ".join(victim.name for victim in victims)
    if held <= 0:
        raise Harmless(f"without {names} the outboxes held nothing back")
    await until(
        cluster.unpublished,
        lambda seen: seen < max(1, held / 4),
        "the outboxes to drain",
        _AGAIN_WITHIN_S,
    )
    drained_after = time.monotonic() - began
    await whole_again(cluster)
    return f"{held} events waited in the outboxes while {names} were down, and were out {drained_after:.1f} s after"


@asynccontextmanager
async def down_together(brokers: list[Process]) -> AsyncGenerator[None]:
    """Several are ended at once and begun at once: none comes up without the others."""
    await asyncio.gather(*(broker.take_down() for broker in brokers))
    try:
        yield
    finally:
        await asyncio.gather(*(broker.bring_up() for broker in brokers))


async def whole_again(cluster: Cluster) -> None:
    """Every partition has a leader, and all replicas in sync."""
    await until(
        lambda: leaders(cluster),
        lambda seen: all(now.leader > 0 and len(now.in_sync) == len(cluster.brokers) for now in seen.values()),
        "every replica to be in sync",
        _AGAIN_WITHIN_S,
    )


_NEEDS = frozenset({Feature.THREE_BROKERS})
_KAFKA = frozenset({"kafka"})
FAULTS = (
    Fault(
        name="brokers.leader_killed",
        row=12,
        says="kill -9 of the leader of a partition of the orders' topic",
        strike=leader_killed,
        lasts=40,
        occupies=_KAFKA,
        needs=_NEEDS,
        always=True,
    ),
    Fault(
        name="brokers.coordinator_killed",
        row=13,
        says="kill -9 of a consumer group's coordinator",
        strike=coordinator_killed,
        lasts=35,
        occupies=_KAFKA,
        needs=_NEEDS,
        always=True,
    ),
    Fault(
        name="brokers.majority_down",
        row=14,
        says="two of three brokers are down for a minute",
        strike=majority_down,
        lasts=MAJORITY_DOWN_S + 50,
        occupies=EVERYTHING,
        needs=_NEEDS,
    ),
)
