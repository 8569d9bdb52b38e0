"""After the faults: is everything back, is everything known, and is it all true?

The letters are the invariants of `docs/chaos.md`: the audit asks for L, S, A, E and V; here are K, D, Q and R.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
import httpx
import psutil
from aiokafka import AIOKafkaConsumer

from freeport.audit.command import examine
from freeport.audit.quiet import Outside, books_at_rest
from freeport.demo.world import UNTIL_DELIVERED_H, UNTIL_PICKED_UP_H
from freeport.layout import SERVICES
from shared.settings import ServiceSettings
from tests.chaos.cluster import CONSUMING, Cluster
from tests.chaos.fault import MADE_UP
from tests.chaos.load import Load, Outcome, Request
from tests.chaos.waiting import until
from tests.fixtures import administration

REPLAYED = 60  # acknowledged requests that are asked again, for their stored answer
_MORE_RSS = 150 * 1024**2  # bytes that a process may have grown by, above what is usual for its kind
_LAG_WITHIN_S = 15.0
_ASKED_WITHIN_S = 90.0
_TERMINAL = frozenset({"completed", "rejected", "cancelled"})
_SESSIONS = """
SELECT count(*) AS open,
    count(*) FILTER (WHERE state LIKE 'idle in transaction%' AND state_change < now() - interval '2 seconds') AS stuck
FROM pg_stat_activity WHERE application_name = ANY($1)
"""
_ORDERS = """
SELECT id, number, status, payment_status, fulfilment_status, channel, external_id,
    (SELECT array_agg(h.code) FROM order_hold h WHERE h.order_id = orders.id) AS holds
FROM orders
"""
# The audit calls a call at rest while somebody makes it or waits to make it again. Here all of these have to be over.
_CALLS = "SELECT count(*) FROM outside_call WHERE done_at IS NULL AND next_at < now() + interval '70 seconds'"
_RECEIPTS = "SELECT sku, sum(on_hand)::bigint AS units FROM movement WHERE kind = 'receipt' GROUP BY sku"


@dataclass(frozen=True, slots=True)
class Resources:
    """What the cluster uses when it is quiet: database sessions, and resident bytes by service."""

    sessions: int
    stuck: int
    memory: Mapping[str, int]

    @classmethod
    async def of(cls, cluster: Cluster) -> "Resources":
        admin = await asyncpg.connect(cluster.admin_url)
        try:
            [row] = await admin.fetch(_SESSIONS, list(SERVICES))
        finally:
            await admin.close()
        memory: dict[str, int] = {}
        for process in cluster.services:
            if process.pid is not None:
                used = psutil.Process(process.pid).memory_info().rss
                memory[process.service] = max(memory.get(process.service, 0), used)
        return cls(row["open"], row["stuck"], memory)


@dataclass(slots=True)
class Judgement:
    """What came of a run. `recovered_s`: from the last fault's end until all was known and at rest; None when it was not."""

    recovered_s: float | None = None
    violations: list[str] = field(default_factory=list[str])
    checked: dict[str, int] = field(default_factory=dict[str, int])
    statuses: Counter[str] = field(default_factory=Counter[str])
    holds: Counter[str] = field(default_factory=Counter[str])

    def found(self, letter: str, checked: int, violations: Iterable[str]) -> None:
        self.checked[letter] = self.checked.get(letter, 0) + checked
        self.violations += [f"{letter}: {violation}" for violation in violations]


async def judge(
    cluster: Cluster, load: Load, before: Resources, *, healed_at: float, within: float, seed: int
) -> Judgement:
    """Wait at most `within` seconds for rest, let every parcel arrive, and ask everything that must be true."""
    judgement = Judgement()
    deadline = time.monotonic() + within
    try:
        await cluster.heal(within=within)
    except TimeoutError as error:
        judgement.found("Q", 1, [str(error)])
    unknown = await load.stop(within=max(1.0, deadline - time.monotonic()))
    judgement.found("K", len(load.shop.history), (f"{request} stayed unknown" for request in unknown))
    judgement.found("Q", 0, load.shop.complaints)
    try:
        restless = await _restless(cluster, max(1.0, deadline - time.monotonic()))
    except (OSError, asyncpg.PostgresError) as error:
        restless = f"no database to ask: {error!r}"
    if restless:
        judgement.found("Q", 1, [f"after {within:.0f} s there is still {restless}"])
    else:
        judgement.recovered_s = round(time.monotonic() - healed_at, 1)
        await _answered(_let_parcels_arrive(load, cluster), judgement)
    for question in (
        _ask_the_audit(cluster, judgement),
        _ask_about_orders(cluster, load, judgement),
        _ask_again(cluster, load, judgement, Random(f"{seed}/judge")),
        _ask_kafka(cluster, judgement),
        _ask_for_resources(cluster, before, judgement),
    ):
        await _answered(question, judgement)
    return judgement


async def _answered(question: Coroutine[Any, Any, None], judgement: Judgement) -> None:
    """A question that cannot be asked, or takes for ever, is a violation: then something is down still."""
    name = question.__name__
    try:
        async with asyncio.timeout(_ASKED_WITHIN_S):
            await question
    except Exception as error:  # noqa: BLE001 (whatever keeps it from being asked is what the run has to tell)
        judgement.found("Q", 1, [f"{name} could not be asked: {error!r}"])


async def _restless(cluster: Cluster, within: float) -> str:
    """What is still under way when the time is over; empty at rest."""
    urls = {service: cluster.database_url(service) for service in SERVICES}
    books = {name: cluster.home.sandbox(name) / f"{name}.sqlite3" for name in Outside.names()}
    deadline = time.monotonic() + within
    while True:
        async with books_at_rest(urls, Outside(**books), max(0.0, deadline - time.monotonic())) as (read, work):
            if work.any:
                return str(work)
            calls = {service: await read.databases[service].fetchval(_CALLS) for service in SERVICES}
        if not any(calls.values()):
            return ""
        if time.monotonic() > deadline:
            return ", ".join(f"{n} calls of {service}" for service, n in calls.items() if n)
        await asyncio.sleep(0.5)


async def _let_parcels_arrive(load: Load, cluster: Cluster) -> None:
    """What is confirmed shall be completed: it is picked up, captured, delivered; and what goes back comes back."""
    for hours in (UNTIL_PICKED_UP_H, UNTIL_DELIVERED_H, UNTIL_DELIVERED_H):
        await load.world.pass_hours(hours)
        await _restless(cluster, 20)


async def _ask_the_audit(cluster: Cluster, judgement: Judgement) -> None:
    examination = await examine(cluster.platform, wait=10)
    for verdict in examination.verdicts:
        # Streams that a fault made up are what the audit says they are: known to consumers, and published by nobody.
        real = (text for text in verdict.violations if f" {MADE_UP}" not in text)
        judgement.found("audit", verdict.checked, (f"{verdict.name}: {text}" for text in real))
    for findings in examination.attention:
        if findings.name == "letters.open":  # for the audit a matter of a person; here nobody may have left one
            judgement.found("V", len(findings.items), (f"{item.about}: {item.says}" for item in findings.items))


async def _ask_about_orders(cluster: Cluster, load: Load, judgement: Judgement) -> None:
    """D: every 2xx is there. K: nothing else is. Q: each has ended, or is held with a reason."""
    orders = {row["id"]: row for row in await cluster.fetch("orders", _ORDERS)}
    judgement.statuses = Counter(row["status"] for row in orders.values())
    judgement.holds = Counter(code for row in orders.values() for code in row["holds"] or ())
    placed = load.orders(Outcome.OK)
    imported = [
        result["id"]
        for request in load.shop.history
        if request.kind == "import" and request.outcome is Outcome.OK
        for result in request.answer["data"]
        if result["id"]
    ]
    acknowledged = Counter([request.order_id for request in placed])
    judgement.found(
        "D",
        len(acknowledged) + len(imported),
        (f"{order} was acknowledged and is not there" for order in {*acknowledged, *imported} - orders.keys()),
    )
    judgement.found("K", len(acknowledged), (f"{order} answers {n} keys" for order, n in acknowledged.items() if n > 1))
    strangers = orders.keys() - acknowledged.keys() - set(imported)
    judgement.found("K", len(orders), (f"{order} is there and nobody was told" for order in sorted(strangers)))
    waiting = (
        f"{order} is {row['status']}, {row['payment_status']}, {row['fulfilment_status']}, and nothing holds it"
        for order, row in orders.items()
        if row["status"] not in _TERMINAL and not row["holds"]
    )
    judgement.found("Q", len(orders), waiting)
    units = {row["sku"]: row["units"] for row in await cluster.fetch("inventory", _RECEIPTS)}
    judgement.found(
        "K",
        len(load.received),
        (
            f"{told} units of {sku} were acknowledged, {units.get(sku, 0)} came in"
            for sku, told in load.received.items()
            if units.get(sku, 0) != told
        ),
    )


async def _ask_again(cluster: Cluster, load: Load, judgement: Judgement, rng: Random) -> None:
    """K: an acknowledged request that is sent again, to either replica, gets the stored answer."""
    known = [
        request
        for request in load.shop.history
        if request.outcome is Outcome.OK and request.kind in ("order", "return")
    ]
    sample = rng.sample(known, min(REPLAYED, len(known)))
    wrong: list[str] = []
    for number, request in enumerate(sample):
        replica = 1 + number % len(cluster.replicas(request.service))
        wrong += await _replay(load, request, replica)
    judgement.found("K", len(sample), wrong)


async def _replay(load: Load, request: Request, replica: int) -> list[str]:
    headers = {"Idempotency-Key": request.key}
    try:
        response = await load.shop.ask(
            "POST", request.service, request.path, replica=replica, json=request.body, headers=headers
        )
    except httpx.TransportError as error:
        return [f"{request} asked again: {error!r}"]
    if not response.is_success or response.json()["id"] != request.answer["id"]:
        return [f"{request} asked again: {response.status_code} {response.text[:200]}"]
    if response.headers.get("idempotent-replayed") != "true":
        return [f"{request} asked again was done again"]
    return []


async def _ask_kafka(cluster: Cluster, judgement: Judgement) -> None:
    """Q: the consumers' lag is 0."""
    left: list[str] = []
    try:
        await until(lambda: _lag(cluster), lambda behind: not behind, "every record to be read", _LAG_WITHIN_S)
    except TimeoutError as error:
        left = [str(error)]
    judgement.found("Q", len(CONSUMING), left)


async def _lag(cluster: Cluster) -> dict[str, int]:
    """Records that wait in Kafka, by consumer group; those of which none waits are left out."""
    reader = AIOKafkaConsumer(bootstrap_servers=cluster.direct)
    await reader.start()
    try:
        behind: dict[str, int] = {}
        for service in CONSUMING:
            group = f"freeport.{service}"
            reached = await administration.committed(cluster.direct, group)
            ends = await reader.end_offsets(list(reached))
            # A group without any offset has read nothing.
            lag = sum(max(0, ends[place] - offset) for place, offset in reached.items()) if reached else 1
            if lag:
                behind[group] = lag
        return behind
    finally:
        await reader.stop()


def worse(before: Resources, now: Resources, processes: int) -> list[str]:
    """What a quiet cluster of so many processes should not use."""
    found = [f"{now.stuck} sessions are idle in a transaction"] if now.stuck else []
    pools = (ServiceSettings.model_fields[name].default for name in ("pool_size", "worker_pool_size"))
    most = sum(pools) * processes
    if now.sessions > most:
        found.append(f"{now.sessions} database sessions, {most} at most")
    return found + [
        f"{service} has grown from {before.memory[service] >> 20} to {used >> 20} MiB"
        for service, used in now.memory.items()
        if used > before.memory.get(service, used) + _MORE_RSS
    ]


async def _ask_for_resources(cluster: Cluster, before: Resources, judgement: Judgement) -> None:
    """R: no session is stuck in a transaction, no pool has more than it may, no process has swollen."""
    now = await Resources.of(cluster)
    judgement.found("R", now.sessions + len(now.memory), worse(before, now, len(cluster.services)))
