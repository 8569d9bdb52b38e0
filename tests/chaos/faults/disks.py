"""Disks that are full: the database's and the broker's (rows 24 and 25). Only where the cluster was given small ones."""

import asyncio
import time
from random import Random

import httpx

from tests.chaos.cluster import Cluster, Process
from tests.chaos.fault import Fault, Feature, Harmless
from tests.chaos.faults.brokers import count_by_service, until
from tests.chaos.servers import SmallDisk

FULL_S = 20.0
_BITES_WITHIN_S = 60.0
_RECOVERS_WITHIN_S = 90.0
_NO_SPACE = b"No space left on device"
_UNPUBLISHED = "SELECT count(*) FROM outbox WHERE published_at IS NULL"


async def database_full(cluster: Cluster, rng: Random) -> str:
    """PostgreSQL can write nothing: who orders is told to come again; with room again everything goes on."""
    assert cluster.load is not None
    disk, server, mark = cluster.disks["postgres"], cluster.postgres, cluster.postgres.mark()
    refused = 0
    try:
        taken = await _filled(disk)
        await _until_said(server, mark, disk)
        deadline = time.monotonic() + FULL_S
        while time.monotonic() < deadline:
            await _filled(disk)  # what PostgreSQL has given back meanwhile
            refused += await _is_refused(cluster)
            await asyncio.sleep(1)
    finally:
        disk.empty()
    began = time.monotonic()
    if not refused:
        raise Harmless(f"every order was taken, with {disk.free()} bytes free")
    async with asyncio.timeout(_RECOVERS_WITHIN_S):
        await cluster.load.place()
    return (
        f"{taken >> 20} MiB of ballast; PostgreSQL complained {_times_said(server, mark)} times, {refused} orders were"
        f" refused with 503; one was taken {time.monotonic() - began:.1f} s after there was room"
    )


async def broker_full(cluster: Cluster, rng: Random) -> str:
    """The broker's only log directory fails and it stops: the outboxes hold what is committed, and drain afterwards."""
    assert cluster.load is not None
    disk, broker = cluster.disks["kafka-1"], cluster.process("kafka-1")
    mark, restarts = broker.mark(), broker.restarts
    before = sum((await count_by_service(cluster, _UNPUBLISHED)).values())
    try:
        taken = await _filled(disk)
        await _until_said(broker, mark, disk)
        await cluster.load.place()  # an order is taken all the same
        await asyncio.sleep(FULL_S)
        held = sum((await count_by_service(cluster, _UNPUBLISHED)).values()) - before
    finally:
        disk.empty()
    began = time.monotonic()
    if held <= 0:
        raise Harmless("the outboxes held nothing back")
    await until(
        lambda: count_by_service(cluster, _UNPUBLISHED),
        lambda found: sum(found.values()) < max(1, held / 4),
        "the outboxes to drain",
        _RECOVERS_WITHIN_S,
    )
    return (
        f"{taken >> 20} MiB of ballast; the broker complained {_times_said(broker, mark)} times and ended"
        f" {broker.restarts - restarts} times; {held} events waited, and were out {time.monotonic() - began:.1f} s after"
    )


async def _filled(disk: SmallDisk) -> int:
    return await asyncio.to_thread(disk.fill)


async def _until_said(server: Process, mark: int, disk: SmallDisk) -> None:
    """Until the server says that its disk is full, which goes on being filled. `Harmless` when it never does."""
    deadline = time.monotonic() + _BITES_WITHIN_S
    while not _times_said(server, mark):
        if time.monotonic() > deadline:
            raise Harmless(f"{server.name} never missed the room, {disk.free()} bytes are free")
        await asyncio.sleep(0.5)
        await _filled(disk)


def _times_said(server: Process, mark: int) -> int:
    with server.log.open("rb") as log:
        log.seek(mark)
        return log.read().count(_NO_SPACE)


async def _is_refused(cluster: Cluster) -> int:
    """Try one order once, which is not part of the history: 1 when it is told to come again."""
    assert cluster.load is not None
    request = cluster.load.request()
    headers = {"Idempotency-Key": request.key, **request.headers}
    try:
        answer = await cluster.load.shop.ask("POST", "orders", request.path, json=dict(request.body), headers=headers)
    except httpx.TransportError:
        await cluster.load.shop.send(request)  # in doubt: it must be asked until it is known, as everybody's
        return 0
    if answer.status_code == 503:
        return 1
    await cluster.load.shop.send(request)  # it was taken: the history has to know
    return 0


_ALONE = frozenset({"postgres", "kafka", "topics"})
FAULTS = (
    Fault(
        name="disks.database_full",
        row=24,
        says="PostgreSQL's disk is full",
        strike=database_full,
        lasts=FULL_S + 25,
        occupies=_ALONE,
        needs=frozenset({Feature.SMALL_DATABASE_DISK}),
        always=True,
    ),
    Fault(
        name="disks.broker_full",
        row=25,
        says="the broker's disk is full",
        strike=broker_full,
        lasts=FULL_S + 40,
        occupies=_ALONE,
        needs=frozenset({Feature.SMALL_BROKER_DISK}),
        always=True,
    ),
)
