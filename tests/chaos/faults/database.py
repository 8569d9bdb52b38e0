"""A database server that stops at once, freezes, throws its clients out, or is full."""

import asyncio
import contextlib
import os
import signal
from contextlib import AsyncExitStack
from random import Random

import asyncpg
import httpx
import psutil

from freeport.layout import SERVICES
from tests.chaos.cluster import Cluster
from tests.chaos.fault import EVERYTHING, Fault, Harmless

FROZEN_S = 60
EXHAUSTED_S = 8.0
_ROUNDS = 3
_AT_ONCE = 16
_MORE_THAN_THERE_ARE = 400
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = ANY($1) ORDER BY pid"
_REFUSED = (asyncpg.TooManyConnectionsError, asyncpg.CannotConnectNowError)


async def stopped_at_once(cluster: Cluster, rng: Random) -> str:
    """SIGQUIT, "immediate": no checkpoint, and every commit under way is ambiguous for whoever waits for it."""
    await asyncio.sleep(rng.uniform(0, 1))
    died = cluster.postgres.kill(signal.SIGQUIT)
    now = await cluster.postgres.until_serving(after=died)
    return f"server {died} stopped at once, {now} recovered"


async def sessions_terminated(cluster: Cluster, rng: Random) -> str:
    """pg_terminate_backend of sessions by chance, whatever they are at."""
    ended = 0
    admin = await asyncpg.connect(cluster.admin_url)
    try:
        for _ in range(_ROUNDS):
            pids = [row["pid"] for row in await admin.fetch(_SESSIONS, list(SERVICES))]
            chosen = rng.sample(pids, len(pids) // 3)
            results = await admin.fetch(
                "SELECT pg_terminate_backend(pid) AS ended FROM unnest($1::int[]) AS pid", chosen
            )
            ended += sum(row["ended"] for row in results)
            await asyncio.sleep(rng.uniform(0.2, 1.5))
    finally:
        await admin.close()
    if not ended:
        raise Harmless("there was no session to end")
    return f"{ended} sessions ended in {_ROUNDS} rounds"


async def server_frozen(cluster: Cluster, rng: Random) -> str:
    """SIGSTOP of the server and all its sessions: connections stay open, and nobody is answered."""
    pid = cluster.postgres.pid
    if pid is None:
        raise Harmless("the server does not run")
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        _send(process, signal.SIGSTOP)
    try:
        silent = await _is_silent(cluster)
        await asyncio.sleep(FROZEN_S)
    finally:
        # Whoever was being born meanwhile is frozen with its parent or not at all.
        for process in reversed(family):
            _send(process, signal.SIGCONT)
    if not silent:
        raise Harmless("the frozen server answered")
    return f"{len(family)} processes frozen for {FROZEN_S} s, nobody was answered"


def _send(process: psutil.Process, how: signal.Signals) -> None:
    try:
        os.kill(process.pid, how)
    except ProcessLookupError:
        return  # a session that ended by itself


async def _is_silent(cluster: Cluster) -> bool:
    try:
        async with asyncio.timeout(3):
            connection = await asyncpg.connect(cluster.admin_url)
    except (TimeoutError, OSError):
        return True
    connection.terminate()
    return False


async def connections_exhausted(cluster: Cluster, rng: Random) -> str:
    """Every connection that the server has is taken, and the services' own are ended: they must do without for a while."""
    async with AsyncExitStack() as taken:
        count = await _take_all(cluster, taken)
        admin = await asyncpg.connect(cluster.admin_url)  # superusers have a few in reserve
        try:
            for _ in range(_ROUNDS):
                # The services fight for what they have lost; each round leaves them less of it.
                await admin.fetch(f"SELECT pg_terminate_backend(pid) FROM ({_SESSIONS}) AS s", list(SERVICES))
                count += await _take_all(cluster, taken)
        finally:
            await admin.close()
        answers = await _answers(cluster, EXHAUSTED_S)
    if 503 not in answers:
        raise Harmless(f"{count} connections were taken, and orders answered {sorted(answers)}")
    wrong = answers - {503, 404}
    if wrong and cluster.load is not None:
        cluster.load.shop.complaints.append(f"without a database orders answered {sorted(wrong)}, expected 503")
    return f"all connections were taken, {count} of them by us; orders answered {sorted(answers)}"


async def _take_all(cluster: Cluster, taken: AsyncExitStack) -> int:
    """Connect, several at a time, until the server refuses; how many were taken."""

    async def take() -> bool:
        try:
            connection = await asyncpg.connect(cluster.database_url("catalog"))
        except _REFUSED:
            return False
        taken.callback(connection.terminate)
        return True

    count = 0
    while count < _MORE_THAN_THERE_ARE:
        won = await asyncio.gather(*(take() for _ in range(_AT_ONCE)))
        count += sum(won)
        if not all(won):
            return count
    raise Harmless(f"the server gave {count} connections and has more")


async def _answers(cluster: Cluster, seconds: float) -> set[int]:
    """The statuses of reads of orders for some seconds; a 503 must say when to come again."""
    seen: set[int] = set()
    assert cluster.load is not None
    shop, loop = cluster.load.shop, asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        with contextlib.suppress(httpx.TransportError):
            answer = await shop.ask("GET", "orders", "/v1/orders/ord_00000000000000000000000000")
            seen.add(answer.status_code)
            if answer.status_code == 503 and "retry-after" not in answer.headers:
                shop.complaints.append("orders answered 503 without Retry-After")
        await asyncio.sleep(0.2)
    return seen


_POSTGRES = frozenset({"postgres"})
FAULTS = (
    Fault(
        name="postgres.stopped",
        row=18,
        says="immediate stop of PostgreSQL",
        strike=stopped_at_once,
        lasts=5,
        occupies=_POSTGRES,
        always=True,
    ),
    Fault(
        name="postgres.terminated",
        row=19,
        says="pg_terminate_backend of sessions at random",
        strike=sessions_terminated,
        lasts=4,
        occupies=_POSTGRES,
        always=True,
    ),
    Fault(
        name="postgres.frozen",
        row=20,
        says=f"SIGSTOP of PostgreSQL for {FROZEN_S} s",
        strike=server_frozen,
        lasts=FROZEN_S + 1,
        occupies=EVERYTHING,
    ),
    Fault(
        name="postgres.exhausted",
        row=21,
        says="max_connections are taken",
        strike=connections_exhausted,
        lasts=14,
        occupies=frozenset({"postgres", *SERVICES}),
    ),
)
