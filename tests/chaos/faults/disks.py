"""Disks that are full: the database's and the broker's (rows 24 and 25). Only where the cluster was given small ones."""

import asyncio
import time
from random import Random

import httpx

from tests.chaos.cluster import Cluster, Process
from tests.chaos.fault import EVERYTHING, Fault, Feature, Harmless
from tests.chaos.load import Load, Request
from tests.chaos.servers import SmallDisk
from tests.chaos.waiting import until

FULL_S = 20.0
_BITES_WITHIN_S = 60.0
_RECOVERS_WITHIN_S = 90.0
_PATIENCE_S = 25.0  # a service says after ten seconds that it does not know
_NO_SPACE = b"No space left on device"
Asked = tuple[Request, int]


async def database_full(cluster: Cluster, rng: Random) -> str:
    """PostgreSQL can write nothing: who orders is told to come again; with room again everything goes on."""
    assert cluster.load is not None
    disk, server, mark = cluster.disks["postgres"], cluster.postgres, cluster.postgres.mark()
    asked: list[asyncio.Task[Asked]] = []
    try:
        taken = await _filled(disk)
        await _until_said(server, mark, disk)
        deadline = time.monotonic() + FULL_S
        while time.monotonic() < deadline:
            await _filled(disk)  # what PostgreSQL has given back meanwhile
            asked.append(asyncio.create_task(_ask(cluster.load)))
            await asyncio.sleep(2)
        answers = await asyncio.gather(*asked)
    finally:
        disk.empty()
        for task in asked:
            task.cancel()
    began = time.monotonic()
    # Each may have been queued and may still take effect: the history has to know what became of it.
    async with asyncio.timeout(_RECOVERS_WITHIN_S):
        await asyncio.gather(*(cluster.load.shop.send(request) for request, _ in answers))
    refused = sum(status == 503 for _, status in answers)
    if not refused:
        raise Harmless(f"nobody was refused: {[status for _, status in answers]}")
    return (
        f"{taken >> 20} MiB of ballast; PostgreSQL complained {_times_said(server, mark)} times, {refused} of {len(answers)}"
        f" orders were answered 503; all were known {time.monotonic() - began:.1f} s after there was room"
    )


async def broker_full(cluster: Cluster, rng: Random) -> str:
    """The broker's only log directory fails and it stops: the outboxes hold what is committed, and drain afterwards."""
    assert cluster.load is not None
    disk, broker = cluster.disks["kafka-1"], cluster.process("kafka-1")
    mark, restarts = broker.mark(), broker.restarts
    before = await cluster.unpublished()
    try:
        taken = await _filled(disk)
        await _until_said(broker, mark, disk)
        await cluster.load.place()  # an order is taken all the same
        await asyncio.sleep(FULL_S)
        held = await cluster.unpublished() - before
    finally:
        disk.empty()
    began = time.monotonic()
    if held <= 0:
        raise Harmless("the outboxes held nothing back")
    await until(
        cluster.unpublished,
        lambda found: found < max(1, held / 4),
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
    """Until the server says that its disk is full, which goes on being filled."""

    async def said() -> int:
        await _filled(disk)
        return _times_said(server, mark)

    await until(said, bool, f"{server.name} to miss the room", _BITES_WITHIN_S)


def _times_said(server: Process, mark: int) -> int:
    with server.log.open("rb") as log:
        log.seek(mark)
        return log.read().count(_NO_SPACE)


async def _ask(load: Load) -> Asked:
    """Ask for a new order once; the status of the answer, 0 without one."""
    request = load.request()
    headers = {"Idempotency-Key": request.key, **request.headers}
    try:
        answer = await load.shop.ask(
            "POST", "orders", request.path, json=dict(request.body), headers=headers, timeout=_PATIENCE_S
        )
    except httpx.TransportError:
        return request, 0
    return request, answer.status_code


FAULTS = (
    Fault(
        name="disks.database_full",
        row=24,
        says="PostgreSQL's disk is full",
        strike=database_full,
        lasts=FULL_S + 30,
        occupies=EVERYTHING,
        needs=frozenset({Feature.SMALL_DATABASE_DISK}),
        always=True,
    ),
    Fault(
        name="disks.broker_full",
        row=25,
        says="the broker's disk is full",
        strike=broker_full,
        lasts=FULL_S + 40,
        occupies=EVERYTHING,
        needs=frozenset({Feature.SMALL_BROKER_DISK}),
        always=True,
    ),
)
