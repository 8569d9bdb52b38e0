"""A cluster of three brokers loses one, the one that matters, or the majority (rows 12 to 14)."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any, TypeVar

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from freeport.layout import SERVICES
from shared.contracts.topics import ORDER, TOPICS
from tests.chaos.cluster import Cluster, Process
from tests.chaos.fault import Fault, Feature, Harmless

T = TypeVar("T")
CONSUMING = tuple(service for service in SERVICES if service != "catalog")
"""The services that read anything."""
MAJORITY_DOWN_S = 60.0  # longer than a producer keeps a batch, a relay waits for it, and a member's session lasts
_AGAIN_WITHIN_S = 90.0
_UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
_PUBLISHED = "SELECT max(id) FROM outbox WHERE published_at IS NOT NULL"


@asynccontextmanager
async def administration(cluster: Cluster) -> AsyncGenerator[AIOKafkaAdminClient]:
    """A client past the proxies, which reaches whatever broker is alive."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.direct, request_timeout_ms=5000)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def leaders(cluster: Cluster) -> Mapping[tuple[str, int], tuple[int, int]]:
    """(node that leads, replicas in sync) of every partition; -1 leads where nobody does."""
    async with administration(cluster) as admin:
        topics = await admin.describe_topics([topic.name for topic in TOPICS])
    return {
        (topic["topic"], place["partition"]): (place["leader"], len(place["isr"]))
        for topic in topics
        for place in topic["partitions"]
    }


async def coordinator(cluster: Cluster, group: str) -> int:
    """The node that coordinates the group."""
    async with administration(cluster) as admin:
        return int(await admin.find_coordinator(group))


async def count_by_service(cluster: Cluster, sql: str) -> dict[str, int]:
    """The number that the statement gives in the database of each service."""

    async def one(service: str) -> int:
        connection = await asyncpg.connect(cluster.database_url(service))
        try:
            return int(await connection.fetchval(sql) or 0)
        finally:
            await connection.close()

    return dict(zip(SERVICES, await asyncio.gather(*(one(service) for service in SERVICES)), strict=True))


async def until(look: Callable[[], Awaitable[T]], fact: Callable[[T], bool], what: str, within: float) -> T:
    """Look until the fact is there; what was seen. TimeoutError. Errors of a broker that is away are waited out."""
    deadline = time.monotonic() + within
    while True:
        try:
            async with asyncio.timeout(30):
                seen = await look()
            if fact(seen):
                return seen
        except (KafkaError, OSError, TimeoutError):
            seen = "no answer"
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:.0f} s for {what}: {str(seen)[:300]}")
        await asyncio.sleep(0.3)


async def leader_killed(cluster: Cluster, rng: Random) -> str:
    """kill -9 of the broker that leads a partition of the orders' topic."""
    place = (ORDER.name, rng.randrange(len({p for t, p in await leaders(cluster) if t == ORDER.name})))
    found = await leaders(cluster)
    old = found[place][0]
    led = sum(leader == old for leader, _ in found.values())
    victim, began = cluster.process(f"kafka-{old}"), time.monotonic()
    published = await count_by_service(cluster, _PUBLISHED)
    died = victim.kill()
    now = await until(
        lambda: leaders(cluster),
        lambda seen: seen[place][0] not in (old, -1),
        f"another leader of {place}",
        _AGAIN_WITHIN_S,
    )
    led_again_after = time.monotonic() - began
    await until(
        lambda: count_by_service(cluster, _PUBLISHED),
        lambda seen: seen["orders"] > published["orders"],
        "an order to be published",
        _AGAIN_WITHIN_S,
    )
    went_on_after = time.monotonic() - began
    await victim.until_serving(after=died, within=_AGAIN_WITHIN_S)
    await whole_again(cluster)
    return (
        f"{victim.name} led {led} partitions and died; kafka-{now[place][0]} led {place[0]}/{place[1]} after"
        f" {led_again_after:.1f} s, orders published after {went_on_after:.1f} s"
    )


async def coordinator_killed(cluster: Cluster, rng: Random) -> str:
    """kill -9 of the broker that a consumer group depends on."""
    service = rng.choice(CONSUMING)
    group = f"freeport.{service}"
    old = await coordinator(cluster, group)
    victim, began = cluster.process(f"kafka-{old}"), time.monotonic()
    died = victim.kill()
    new = await until(
        lambda: coordinator(cluster, group),
        lambda seen: seen != old,
        f"another coordinator of {group}",
        _AGAIN_WITHIN_S,
    )
    await until(
        lambda: state_of(cluster, group),
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
    before = await count_by_service(cluster, _UNPUBLISHED)
    async with down_together(victims):
        await asyncio.sleep(MAJORITY_DOWN_S)
        waiting = await count_by_service(cluster, _UNPUBLISHED)
    began = time.monotonic()
    held = sum(waiting.values()) - sum(before.values())
    if held <= 0:
        raise Harmless(f"without {' and '.join(v.name for v in victims)} the outboxes held nothing back: {waiting}")
    await until(
        lambda: count_by_service(cluster, _UNPUBLISHED),
        lambda seen: sum(seen.values()) < held / 4,
        "the outboxes to drain",
        _AGAIN_WITHIN_S,
    )
    drained_after = time.monotonic() - began
    await whole_again(cluster)
    names = " and ".join(victim.name for victim in victims)
    return f"{held} events waited in the outboxes while {names} were down, and were out {drained_after:.1f} s after"


@asynccontextmanager
async def down_together(brokers: list[Process]) -> AsyncGenerator[None]:
    """Several are ended at once and begun at once: none comes up without the others."""
    await asyncio.gather(*(broker.take_down() for broker in brokers))
    try:
        yield
    finally:
        await asyncio.gather(*(broker.bring_up() for broker in brokers))


async def state_of(cluster: Cluster, group: str) -> tuple[str, int]:
    """Its state, and how many members it has."""
    async with administration(cluster) as admin:
        answer: Any
        [answer] = await admin.describe_consumer_groups([group])
    [(error, _, state, _, _, members, *_)] = answer.groups
    return f"error {error}" if error else state, len(members)


async def whole_again(cluster: Cluster) -> None:
    """Every partition has a leader, and all replicas in sync."""
    await until(
        lambda: leaders(cluster),
        lambda seen: all(leader > 0 and in_sync == len(cluster.brokers) for leader, in_sync in seen.values()),
        "every replica to be in sync",
        90,
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
        occupies=_KAFKA,
        needs=_NEEDS,
    ),
)
