"""Processes that are killed, frozen, held up and restarted: at random, and exactly at the crash points of the write path."""

import asyncio
import signal
from collections.abc import Callable, Iterable
from functools import partial
from random import Random

import asyncpg

from freeport.layout import SANDBOXES, SERVICES
from shared.failpoints import VARIABLE, Point
from tests.chaos.cluster import Cluster, Process
from tests.chaos.fault import BITES_WITHIN_S, EVERYTHING, Fault, Harmless, Strike, of_services
from tests.chaos.faults import topics
from tests.chaos.waiting import until, until_true
from tests.fixtures.administration import state_of

LEASE_S = 10.0  # of a relay, and a consumer's session; longer than this a frozen process is given up
FROZEN_S = 14.0
BLOCKED_S = 15.0
KAFKA_FROZEN_S = 60
ROLLED = 20
_TAKEN_OVER_WITHIN_S = 25.0


# ── Killed ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def killed(name: str) -> Strike:
    """kill -9 of one process of the name, a service or a sandbox, in the middle of whatever it does."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        victim = rng.choice(cluster.replicas(name)) if name in SERVICES else cluster.process(name)
        await asyncio.sleep(rng.uniform(0, 1))
        died = victim.kill()
        now = await victim.until_serving(after=died)
        return f"{victim.name} {died} died, {now} serves, its restart {victim.restarts}"

    return strike


def both_killed(service: str) -> Strike:
    """kill -9 of both replicas: nobody is left to take over, and what is claimed stays claimed for a while."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        both = cluster.replicas(service)
        died = [process.kill() for process in both]
        now = await asyncio.gather(*(process.until_serving(after=pid) for process, pid in zip(both, died, strict=True)))
        return f"{service} {died[0]} and {died[1]} died, {now[0]} and {now[1]} serve"

    return strike


def killed_at(point: Point, service: str) -> Strike:
    """A replica kills itself at the crash point, the n-th time that it gets there."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        nth = rng.randint(1, 4)
        victim, mark = await _armed(cluster, service, point, f"kill@{nth}", rng)
        await _bites(victim, mark, point)
        now = await victim.until_serving()
        return f"{victim.name} killed itself at {point}, the {nth}. time there ({victim.keeper.state.last_exit}); {now} serves"

    return strike


def held_up_at(point: Point, service: str) -> Strike:
    """The event loop of a replica stands still at the point for longer than its session and its lease last."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        victim, mark = await _armed(cluster, service, point, f"pause:{BLOCKED_S:.0f}@{rng.randint(1, 3)}", rng)
        await _bites(victim, mark, point)
        await _until_members(cluster, service, 1, within=BLOCKED_S + 5)
        await _until_members(cluster, service, 2, within=_TAKEN_OVER_WITHIN_S + BLOCKED_S)
        return f"{victim.name} stood still at {point} for {BLOCKED_S:.0f} s, was given up by its group and came back"

    return strike


def killed_beside(service: str, point: Point, cause: Strike) -> Strike:
    """Both replicas kill themselves at a point that they come to only while another fault is on, which makes sure they do."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        both = cluster.replicas(service)
        marks = [process.mark() for process in both]
        for process in both:
            await process.restart({VARIABLE: f"{point}=kill"})

        def bitten() -> list[Process]:
            return [process for process, mark in zip(both, marks, strict=True) if _has_bitten(process, mark, point)]

        try:
            told = await cause(cluster, rng)
            await until_true(
                lambda: bool(bitten()), f"a replica of {service} to come to {point}; {told}", BITES_WITHIN_S
            )
        finally:
            # Whoever was not in the way of it keeps the trap no longer than this.
            unharmed = [process for process in both if process not in bitten()]
            for process in unharmed:
                await process.restart()
        return f"{' and '.join(process.name for process in bitten())} killed themselves at {point}; {told}"

    return strike


async def _armed(cluster: Cluster, service: str, point: Point, action: str, rng: Random) -> tuple[Process, int]:
    """A replica that was started anew with the trap set, which may have sprung by now; and the mark in its log."""
    victim, other = rng.sample(cluster.replicas(service), 2)
    mark = victim.mark()
    await victim.restart({VARIABLE: f"{point}={action}"})
    if point.startswith("relay.") and not _has_bitten(victim, mark, point):
        # The other one has the outbox now. When it goes, the armed one is there to take it.
        await other.restart()
    return victim, mark


async def _bites(victim: Process, mark: int, point: Point) -> None:
    """Wait until the trap has sprung; one that does not is taken away."""
    try:
        await until_true(lambda: _has_bitten(victim, mark, point), f"{victim.name} to come to {point}", BITES_WITHIN_S)
    except BaseException:
        if victim.pid is not None:
            victim.kill(signal.SIGTERM)
        raise


def _has_bitten(victim: Process, mark: int, point: Point) -> bool:
    return bool(victim.said(mark, event="failpoint.bit", point=str(point)))


# ── Frozen ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def relay_frozen(service: str) -> Strike:
    """SIGSTOP of whoever owns the outbox, for longer than the lease lasts."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        owner, epoch = await _working_owner(cluster, service)
        mark, pid = owner.mark(), owner.freeze()
        try:
            taken = await _until_owned(cluster, service, lambda lease: lease["epoch"] > epoch)
        finally:
            owner.thaw()
        await _until_fenced(owner, mark)
        if owner.pid != pid:
            raise Harmless(f"{owner.name} {pid} died while it was frozen")
        return (
            f"{owner.name} was frozen with epoch {epoch}, {taken['owner']} took over with epoch {taken['epoch']},"
            " the first was fenced"
        )

    return strike


def relay_robbed(service: str) -> Strike:
    """The lease gets another owner while its owner is at work: what it then sends it may no longer mark."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        owner, epoch = await _working_owner(cluster, service)
        mark = owner.mark()
        stolen = await cluster.count(
            service,
            "UPDATE relay_lease SET owner = 'rly_robber', epoch = epoch + 1, expires_at = now() + interval '1 second'"
            " RETURNING epoch",
        )
        taken = await _until_owned(cluster, service, lambda lease: lease["epoch"] > stolen)
        await _until_fenced(owner, mark)
        return f"{owner.name} was fenced at epoch {epoch}, the outbox is owned with epoch {taken['epoch']}"

    return strike


def consumer_frozen(service: str) -> Strike:
    """SIGSTOP of a member of the consumer group, for longer than its session lasts."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        victim = rng.choice(cluster.replicas(service))
        await _until_members(cluster, service, 2, within=_TAKEN_OVER_WITHIN_S)
        pid = victim.freeze()
        try:
            await _until_members(cluster, service, 1, within=_TAKEN_OVER_WITHIN_S)
            await asyncio.sleep(rng.uniform(0, FROZEN_S - LEASE_S))
        finally:
            victim.thaw()
        await _until_members(cluster, service, 2, within=2 * _TAKEN_OVER_WITHIN_S)
        if victim.pid != pid:
            raise Harmless(f"{victim.name} {pid} died while it was frozen")
        return f"{victim.name} was frozen, given up by its group, and came back as a member"

    return strike


async def _lease(cluster: Cluster, service: str) -> asyncpg.Record | None:
    """Who owns the outbox: `owner`, a replica's name, `epoch` and `expires_at`."""
    rows = await cluster.fetch(service, "SELECT owner, epoch, expires_at FROM relay_lease WHERE name = 'outbox'")
    return rows[0] if rows else None


async def _working_owner(cluster: Cluster, service: str) -> tuple[Process, int]:
    """The owner of the outbox and the epoch, when it is seen to renew its lease: one that has just died does not."""
    first: asyncpg.Record | None = None

    async def renewed() -> asyncpg.Record | None:
        nonlocal first
        now = await _lease(cluster, service)
        if now is None or first is None or first["epoch"] != now["epoch"]:
            first = now
        return now if now and first and now["expires_at"] > first["expires_at"] else None

    lease = await until(
        renewed, lambda _: True, f"somebody to be at work on the outbox of {service}", _TAKEN_OVER_WITHIN_S
    )
    return cluster.process(lease["owner"]), lease["epoch"]


async def _until_owned(cluster: Cluster, service: str, so: Callable[[asyncpg.Record], bool]) -> asyncpg.Record:
    """The lease, when it is taken as it has to be."""
    what = f"the outbox of {service} to be taken over"
    return await until(lambda: _lease(cluster, service), so, what, _TAKEN_OVER_WITHIN_S)


async def _until_fenced(owner: Process, mark: int) -> None:
    """Until the former owner has noticed that it is not the owner any more."""

    def fenced() -> bool:
        return any("Fenced" in line["error"] for line in owner.said(mark, event="relay.retry"))

    await until_true(fenced, f"{owner.name} to notice that it does not own the outbox any more", _TAKEN_OVER_WITHIN_S)


async def _until_members(cluster: Cluster, service: str, wanted: int, *, within: float) -> None:
    """Until the consumer group has so many members."""
    group = f"freeport.{service}"
    what = f"{group} to have {wanted} members"
    await until(lambda: state_of(cluster.direct, group), lambda seen: seen[1] == wanted, what, within)


# ── Rolled ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rolled(service: str) -> Strike:
    """Twenty restarts in order, a replica after the other, as by deployments without end."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        seen: set[int] = set()
        for number in range(ROLLED):
            seen.add(await cluster.replicas(service)[number % 2].restart())
        return f"{service} was restarted {ROLLED} times, {len(seen)} processes in turn"

    return strike


# ── The broker ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def kafka_killed(cluster: Cluster, rng: Random) -> str:
    """kill -9 of every broker there is; they start again."""
    brokers = cluster.brokers
    died = [broker.kill() for broker in brokers]
    now = await asyncio.gather(*(broker.until_serving(after=pid) for broker, pid in zip(brokers, died, strict=True)))
    return f"{', '.join(str(pid) for pid in died)} died, {', '.join(str(pid) for pid in now)} serve"


async def kafka_frozen(cluster: Cluster, rng: Random) -> str:
    """SIGSTOP of every broker for a minute: nothing is refused, and nothing is answered."""
    before = await cluster.unpublished()
    try:
        for broker in cluster.brokers:
            broker.freeze()
        await asyncio.sleep(KAFKA_FROZEN_S)
        held = await cluster.unpublished() - before
    finally:
        for broker in cluster.brokers:
            broker.thaw()
    if held <= 0:
        raise Harmless("no event waited in the outboxes while the broker was frozen")
    return f"frozen for {KAFKA_FROZEN_S} s, {held} events waited in the outboxes"


# ── All of them ───────────────────────────────────────────────────────────────────────────────────────────────────────

_RELAY = (Point.NOT_WOKEN, Point.RELAY_READ, Point.RELAY_SENT, Point.RELAY_ACKED, Point.RELAY_MARKED)
_CONSUMER = (Point.CONSUMER_FETCHED, Point.EVENTS_UNCOMMITTED, Point.EVENTS_COMMITTED, Point.CONSUMER_COMMITTING)
_CALLS = (Point.ANSWERS_UNCOMMITTED, Point.ANSWERS_COMMITTED)
_BUSY = ("orders", "inventory", "payments", "logistics", "risk")
"""Services that publish and consume for every order, so that a trap in them is sure to be stepped on."""
# In every run, however short.
_ALWAYS = {Point.RELAY_ACKED: ("orders",), Point.EVENTS_COMMITTED: ("inventory",)}


def _at(points: Iterable[Point], services: tuple[str, ...], row: int) -> Iterable[Fault]:
    for point in points:
        yield from of_services(
            services,
            f"killed_at.{point}",
            partial(killed_at, point),
            row=row,
            says=f"{{}} kills itself at {point}",
            lasts=14,
            always=_ALWAYS.get(point, ()),
        )


_KILLED = partial(
    of_services, what="killed", strike=killed, says="kill -9 of a replica of {}", lasts=6, always=SERVICES
)
FAULTS = (
    *_KILLED(("orders",), row=1),
    *_KILLED([service for service in SERVICES if service != "orders"], row=5),
    *of_services(
        ("orders", "inventory", "payments"),
        "both_killed",
        both_killed,
        row=5,
        says="kill -9 of both replicas of {}",
        lasts=7,
    ),
    *of_services(SANDBOXES, "killed", killed, row=30, says="kill -9 of the sandbox {}", lasts=5),
    *_at((Point.COMMANDS_UNCOMMITTED,), ("orders",), row=1),
    *_at((Point.COMMANDS_COMMITTED,), ("orders",), row=2),
    *_at(_RELAY, _BUSY, row=3),
    *_at(_CONSUMER, _BUSY, row=4),
    Fault(
        name=f"orders.killed_at.{Point.EVENTS_DRAINED}",
        row=4,
        says="orders kills itself while it applies events that were parked",
        strike=killed_beside("orders", Point.EVENTS_DRAINED, topics.inverted),
        lasts=35,
        occupies=topics.LIES | {"logistics", "orders"},
    ),
    Fault(
        name=f"inventory.killed_at.{Point.LETTER_WRITTEN}",
        row=4,
        says="inventory kills itself while it writes a dead letter",
        strike=killed_beside("inventory", Point.LETTER_WRITTEN, topics.poisoned),
        lasts=30,
        occupies=topics.SETTLED | {"inventory"},
    ),
    *_at(_CALLS, ("payments", "logistics"), row=5),
    *of_services(
        ("orders", "inventory", "logistics"),
        "relay_frozen",
        relay_frozen,
        row=6,
        says="SIGSTOP of the relay of {} past its lease",
        lasts=13,
        always=("orders",),
    ),
    *of_services(
        ("orders", "inventory", "payments"),
        "consumer_frozen",
        consumer_frozen,
        row=7,
        says="SIGSTOP of a consumer of {} past its session",
        lasts=18,
        also=("kafka",),
        always=("inventory",),
    ),
    *of_services(
        ("inventory", "payments"),
        "zombie",
        partial(held_up_at, Point.EVENTS_UNCOMMITTED),
        row=7,
        says="a consumer of {} is held up in its transaction past its session, and then goes on",
        lasts=30,
        also=("kafka",),
    ),
    *of_services(
        ("orders", "payments", "inventory"),
        "relay_robbed",
        relay_robbed,
        row=8,
        says="a second owner of the outbox of {}",
        lasts=5,
    ),
    *of_services(
        ("orders", "risk"),
        "blocked",
        partial(held_up_at, Point.CONSUMER_FETCHED),
        row=9,
        says=f"the event loop of {{}} stands still for {BLOCKED_S:.0f} s",
        lasts=30,
        also=("kafka",),
    ),
    *of_services(
        ("inventory", "support"),
        "rolled",
        rolled,
        row=10,
        says=f"{ROLLED} restarts of {{}}, a replica after the other",
        lasts=100,
    ),
    Fault(
        name="kafka.killed",
        row=11,
        says="kill -9 of Kafka, all of it",
        strike=kafka_killed,
        lasts=8,
        occupies=frozenset({"kafka"}),
        always=True,
    ),
    Fault(
        name="kafka.frozen",
        row=15,
        says=f"SIGSTOP of Kafka for {KAFKA_FROZEN_S} s",
        strike=kafka_frozen,
        lasts=KAFKA_FROZEN_S + 1,
        occupies=EVERYTHING,
    ),
)
