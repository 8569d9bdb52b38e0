"""Processes that are killed, frozen, held up and restarted: at random, and exactly at the crash points of the write path."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from freeport.layout import SERVICES
from shared.failpoints import VARIABLE, Point
from tests.chaos.cluster import Cluster, Process
from tests.chaos.fault import Fault, Harmless
from tests.chaos.faults import topics

Strike = Callable[[Cluster, Random], Awaitable[str]]

LEASE_S = 10.0  # of a relay, and a consumer's session; longer than this a frozen process is given up
FROZEN_S = 14.0
BLOCKED_S = 15.0
ROLLED = 20
_BITES_WITHIN_S = 45.0
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


def killed_at(service: str, point: Point) -> Strike:
    """A replica kills itself at the crash point, the n-th time that it gets there."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        nth = rng.randint(1, 4)
        victim, mark = await _armed(cluster, service, point, f"kill@{nth}", rng)
        await _bites(victim, mark, point)
        now = await victim.until_serving()
        return f"{victim.name} killed itself at {point}, the {nth}. time there ({victim.keeper.state.last_exit}); {now} serves"

    return strike


def held_up_at(service: str, point: Point) -> Strike:
    """The event loop of a replica stands still at the point for longer than its session and its lease last."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        victim, mark = await _armed(cluster, service, point, f"pause:{BLOCKED_S:.0f}@{rng.randint(1, 3)}", rng)
        await _bites(victim, mark, point)
        missed = await _until_members(cluster, service, 1, within=BLOCKED_S + 5)
        await _until_members(cluster, service, 2, within=_TAKEN_OVER_WITHIN_S + BLOCKED_S)
        if not missed:
            raise Harmless(f"{victim.name} stood still for {BLOCKED_S:.0f} s and was not missed")
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
            deadline = asyncio.get_running_loop().time() + _BITES_WITHIN_S
            while not (died := bitten()):
                if asyncio.get_running_loop().time() > deadline:
                    raise Harmless(f"no replica of {service} came to {point}, though {told}")
                await asyncio.sleep(0.2)
        finally:
            # Whoever was not in the way of it keeps the trap no longer than this.
            unharmed = [process for process in both if process not in bitten()]
            for process in unharmed:
                await process.restart()
        return f"{' and '.join(process.name for process in died)} killed themselves at {point}; {told}"

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
    """Wait until the trap has sprung; one that does not is taken away. `Harmless`."""
    deadline = asyncio.get_running_loop().time() + _BITES_WITHIN_S
    try:
        while not _has_bitten(victim, mark, point):
            if asyncio.get_running_loop().time() > deadline:
                raise Harmless(f"{victim.name} did not come to {point} within {_BITES_WITHIN_S:.0f} s")
            await asyncio.sleep(0.2)
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
        other = next(process for process in cluster.replicas(service) if process is not owner)
        mark, pid = owner.mark(), owner.freeze()
        try:
            taken = await _until_owned(other, epoch, within=_TAKEN_OVER_WITHIN_S)
        finally:
            owner.thaw()
        await _until_fenced(owner, mark)
        if owner.pid != pid:
            raise Harmless(f"{owner.name} {pid} died while it was frozen")
        return f"{owner.name} was frozen with epoch {epoch}, {other.name} took over with epoch {taken}, the first was fenced"

    return strike


def relay_robbed(service: str) -> Strike:
    """The lease gets another owner while its owner is at work: what it then sends it may no longer mark."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        owner, epoch = await _working_owner(cluster, service)
        mark = owner.mark()
        database = await asyncpg.connect(cluster.database_url(service))
        try:
            stolen = await database.fetchval(
                "UPDATE relay_lease SET owner = 'rly_robber', epoch = epoch + 1, expires_at = now() + interval '1 second'"
                " RETURNING epoch"
            )
        finally:
            await database.close()
        deadline = asyncio.get_running_loop().time() + _TAKEN_OVER_WITHIN_S
        while _last_epoch(cluster, service) <= stolen:
            if asyncio.get_running_loop().time() > deadline:
                raise Harmless(f"nobody took the outbox of {service} back")
            await asyncio.sleep(0.2)
        await _until_fenced(owner, mark)
        return (
            f"{owner.name} was fenced at epoch {epoch}, the outbox is owned with epoch {_last_epoch(cluster, service)}"
        )

    return strike


def consumer_frozen(service: str) -> Strike:
    """SIGSTOP of a member of the consumer group, for longer than its session lasts."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        victim = rng.choice(cluster.replicas(service))
        await _until_members(cluster, service, 2, within=_TAKEN_OVER_WITHIN_S)
        pid = victim.freeze()
        try:
            missed = await _until_members(cluster, service, 1, within=_TAKEN_OVER_WITHIN_S)
            await asyncio.sleep(rng.uniform(0, FROZEN_S - LEASE_S))
        finally:
            victim.thaw()
        back = await _until_members(cluster, service, 2, within=2 * _TAKEN_OVER_WITHIN_S)
        if not missed or not back or victim.pid != pid:
            raise Harmless(f"{victim.name} {pid}: given up {missed}, came back {back}, lives {victim.pid == pid}")
        return f"{victim.name} was frozen, given up by its group, and came back as a member"

    return strike


_LEASE = "SELECT epoch, expires_at FROM relay_lease WHERE name = 'outbox'"


async def _working_owner(cluster: Cluster, service: str) -> tuple[Process, int]:
    """The owner of the outbox and the epoch, when it is seen to renew its lease: one that has just died does not."""
    database = await asyncpg.connect(cluster.database_url(service))
    try:
        deadline = asyncio.get_running_loop().time() + _TAKEN_OVER_WITHIN_S
        before = await database.fetchrow(_LEASE)
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.3)
            now = await database.fetchrow(_LEASE)
            process, epoch = _owner(cluster, service)
            if before and now and before["epoch"] == now["epoch"] == epoch and before["expires_at"] < now["expires_at"]:
                return process, epoch
            before = now if before is None or now is None or before["epoch"] != now["epoch"] else before
        raise Harmless(f"nobody is at work on the outbox of {service}")
    finally:
        await database.close()


async def _until_fenced(owner: Process, mark: int) -> None:
    """Until the former owner has noticed that it is not the owner any more. `Harmless`."""
    deadline = asyncio.get_running_loop().time() + _TAKEN_OVER_WITHIN_S
    while not any("Fenced" in line["error"] for line in owner.said(mark, event="relay.retry")):
        if asyncio.get_running_loop().time() > deadline:
            raise Harmless(f"{owner.name} never noticed that it does not own the outbox any more")
        await asyncio.sleep(0.2)


def _owner(cluster: Cluster, service: str) -> tuple[Process, int]:
    """Who said last that it owns the outbox, and the epoch."""
    owners = [
        (line["epoch"], process) for process in cluster.replicas(service) for line in process.said(event="relay.owner")
    ]
    if not owners:
        raise Harmless(f"nobody ever owned the outbox of {service}")
    epoch, process = max(owners, key=lambda owner: owner[0])
    return process, epoch


def _last_epoch(cluster: Cluster, service: str) -> int:
    return _owner(cluster, service)[1]


async def _until_owned(process: Process, after: int, *, within: float) -> int:
    deadline = asyncio.get_running_loop().time() + within
    while True:
        epochs = [line["epoch"] for line in process.said(event="relay.owner") if line["epoch"] > after]
        if epochs:
            return max(epochs)
        if asyncio.get_running_loop().time() > deadline:
            raise Harmless(f"{process.name} did not take the outbox over within {within:.0f} s")
        await asyncio.sleep(0.2)


async def _until_members(cluster: Cluster, service: str, wanted: int, *, within: float) -> bool:
    """Whether the consumer group comes to have so many members in time."""
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.direct)
    await admin.start()
    try:
        deadline = asyncio.get_running_loop().time() + within
        while asyncio.get_running_loop().time() < deadline:
            if len(await _members(admin, service)) == wanted:
                return True
            await asyncio.sleep(0.3)
        return False
    finally:
        await admin.close()


async def _members(admin: AIOKafkaAdminClient, service: str) -> Sequence[Any]:
    # The answer's class is made at run time from the protocol's schema: aiokafka has no type for it.
    answer: Any = (await admin.describe_consumer_groups([f"freeport.{service}"]))[0]
    _, _, _, _, _, members, *_ = answer.groups[0]
    return members


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
    backlog = 0.0
    for broker in cluster.brokers:
        broker.freeze()
    try:
        for _ in range(60):
            await asyncio.sleep(1)
            backlog = max(backlog, await _unpublished(cluster, "orders"))
    finally:
        for broker in cluster.brokers:
            broker.thaw()
    if not backlog:
        raise Harmless("no event waited in the outbox of orders while the broker was frozen")
    return f"frozen for 60 s, up to {backlog:.0f} events waited in the outbox of orders"


async def _unpublished(cluster: Cluster, service: str) -> float:
    database = await asyncpg.connect(cluster.database_url(service))
    try:
        return float(await database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL"))
    finally:
        await database.close()


# ── All of them ───────────────────────────────────────────────────────────────────────────────────────────────────────

_HANDLER = {Point.COMMANDS_UNCOMMITTED: 1, Point.COMMANDS_COMMITTED: 2}
_RELAY = (Point.NOT_WOKEN, Point.RELAY_READ, Point.RELAY_SENT, Point.RELAY_ACKED, Point.RELAY_MARKED)
_CONSUMER = (Point.CONSUMER_FETCHED, Point.EVENTS_UNCOMMITTED, Point.EVENTS_COMMITTED, Point.CONSUMER_COMMITTING)
_CALLS = (Point.ANSWERS_UNCOMMITTED, Point.ANSWERS_COMMITTED)
_BUSY = ("orders", "inventory", "payments", "logistics", "risk")
"""Services that publish and consume for every order, so that a trap in them is sure to be stepped on."""
# In every run, however short.
_ALWAYS = frozenset({("orders", Point.RELAY_ACKED), ("inventory", Point.EVENTS_COMMITTED)})


def _at(service: str, point: Point, row: int) -> Fault:
    return Fault(
        name=f"{service}.killed_at.{point}",
        row=row,
        says=f"{service} kills itself at {point}",
        strike=killed_at(service, point),
        lasts=14,
        occupies=frozenset({service}),
        always=(service, point) in _ALWAYS,
    )


FAULTS = (
    *(
        Fault(
            name=f"{service}.killed",
            row=1 if service == "orders" else 5,
            says=f"kill -9 of a replica of {service}",
            strike=killed(service),
            lasts=6,
            occupies=frozenset({service}),
            always=True,
        )
        for service in SERVICES
    ),
    *(
        Fault(
            name=f"{service}.both_killed",
            row=5,
            says=f"kill -9 of both replicas of {service}",
            strike=both_killed(service),
            lasts=7,
            occupies=frozenset({service}),
        )
        for service in ("orders", "inventory", "payments")
    ),
    *(
        Fault(
            name=f"{sandbox}.killed",
            row=30,
            says=f"kill -9 of the sandbox {sandbox}",
            strike=killed(sandbox),
            lasts=5,
            occupies=frozenset({sandbox}),
        )
        for sandbox in ("provider", "carrier")
    ),
    *(_at("orders", point, row) for point, row in _HANDLER.items()),
    *(_at(service, point, 3) for service in _BUSY for point in _RELAY),
    *(_at(service, point, 4) for service in _BUSY for point in _CONSUMER),
    Fault(
        name=f"orders.killed_at.{Point.EVENTS_DRAINED}",
        row=4,
        says="orders kills itself while it applies events that were parked",
        strike=killed_beside("orders", Point.EVENTS_DRAINED, topics.inverted),
        lasts=35,
        occupies=frozenset({"topics", "logistics", "orders"}),
    ),
    Fault(
        name=f"inventory.killed_at.{Point.LETTER_WRITTEN}",
        row=4,
        says="inventory kills itself while it writes a dead letter",
        strike=killed_beside("inventory", Point.LETTER_WRITTEN, topics.poisoned),
        lasts=30,
        occupies=frozenset({"topics", "inventory"}),
    ),
    *(_at(service, point, 5) for service in ("payments", "logistics") for point in _CALLS),
    *(
        Fault(
            name=f"{service}.relay_frozen",
            row=6,
            says=f"SIGSTOP of the relay of {service} past its lease",
            strike=relay_frozen(service),
            lasts=13,
            occupies=frozenset({service}),
            always=service == "orders",
        )
        for service in ("orders", "inventory", "logistics")
    ),
    *(
        Fault(
            name=f"{service}.consumer_frozen",
            row=7,
            says=f"SIGSTOP of a consumer of {service} past its session",
            strike=consumer_frozen(service),
            lasts=18,
            occupies=frozenset({service, "kafka"}),
            always=service == "inventory",
        )
        for service in ("orders", "inventory", "payments")
    ),
    *(
        Fault(
            name=f"{service}.zombie",
            row=7,
            says=f"a consumer of {service} is held up in its transaction past its session, and then goes on",
            strike=held_up_at(service, Point.EVENTS_UNCOMMITTED),
            lasts=30,
            occupies=frozenset({service, "kafka"}),
        )
        for service in ("inventory", "payments")
    ),
    *(
        Fault(
            name=f"{service}.relay_robbed",
            row=8,
            says=f"a second owner of the outbox of {service}",
            strike=relay_robbed(service),
            lasts=5,
            occupies=frozenset({service}),
        )
        for service in ("orders", "payments", "inventory")
    ),
    *(
        Fault(
            name=f"{service}.blocked",
            row=9,
            says=f"the event loop of {service} stands still for {BLOCKED_S:.0f} s",
            strike=held_up_at(service, Point.CONSUMER_FETCHED),
            lasts=30,
            occupies=frozenset({service, "kafka"}),
        )
        for service in ("orders", "risk")
    ),
    *(
        Fault(
            name=f"{service}.rolled",
            row=10,
            says=f"{ROLLED} restarts of {service}, a replica after the other",
            strike=rolled(service),
            lasts=100,
            occupies=frozenset({service}),
        )
        for service in ("inventory", "support")
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
        says="SIGSTOP of Kafka for 60 s",
        strike=kafka_frozen,
        lasts=61,
        occupies=frozenset({"kafka"}),
    ),
)
