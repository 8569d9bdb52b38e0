"""Clients and partners that behave badly: fifty at once with one key, a thousand that hang up, a bank that does not answer."""

import asyncio
import contextlib
from collections import Counter
from random import Random

import httpx
import orjson

from freeport.processes import LOOPBACK
from tests.chaos.cluster import Cluster
from tests.chaos.fault import BITES_WITHIN_S, Fault, Harmless
from tests.chaos.load import Load, Outcome, Request
from tests.chaos.waiting import until

AT_ONCE = 50
HANG_UPS, HANG_UP_KEYS = 1000, 40
_BANKS = (
    "timeout_after_charge",
    "timeout_after_charge",
    "slow",
    "flaky",
    "webhook_twice",
    "webhook_first",
    "capture_timeout",
)


async def one_key_fifty_times(cluster: Cluster, rng: Random) -> str:
    """The same order under the same key, fifty times at once at both replicas."""
    load = _load(cluster)
    request = load.request()
    others = [asyncio.create_task(_ask(load, request)) for _ in range(AT_ONCE - 1)]
    await load.shop.send(request)
    answers = [answer for answer in await asyncio.gather(*others) if answer is not None]
    made = [answer for answer in answers if answer.is_success]
    ids = Counter(answer.json()["id"] for answer in made) + Counter([request.order_id])
    if len(ids) > 1:
        load.shop.complaints.append(f"one key made {len(ids)} orders: {', '.join(ids)}")
    if not made:
        raise Harmless(f"none of {AT_ONCE - 1} further requests was answered with the order")
    statuses = Counter(answer.status_code for answer in answers)
    return f"{AT_ONCE} requests, 1 order; the others were answered {dict(statuses)}"


async def _ask(load: Load, request: Request) -> httpx.Response | None:
    headers = {"Idempotency-Key": request.key, **request.headers}
    with contextlib.suppress(httpx.TransportError):
        return await load.shop.ask("POST", request.service, request.path, json=request.body, headers=headers)
    return None


async def a_thousand_hang_up(cluster: Cluster, rng: Random) -> str:
    """A thousand requests whose client is gone before the answer. Then each of their keys is asked in earnest."""
    load = _load(cluster)
    requests = [load.request() for _ in range(HANG_UP_KEYS)]
    gate = asyncio.Semaphore(25)
    patience = [rng.uniform(0, 0.03) for _ in range(HANG_UPS)]

    async def hang_up(number: int) -> bool:
        async with gate:
            return await _hang_up(cluster, requests[number % HANG_UP_KEYS], number, patience[number])

    sent = sum(await asyncio.gather(*(hang_up(number) for number in range(HANG_UPS))))
    if sent < HANG_UPS / 2:
        raise Harmless(f"only {sent} of {HANG_UPS} requests were sent")
    await asyncio.gather(*(load.shop.send(request) for request in requests))
    replayed = sum(request.replayed for request in requests)
    if not replayed:
        raise Harmless("no request whose client hung up had an effect")
    made = len({request.order_id for request in requests if request.outcome is Outcome.OK})
    return f"{sent} clients hung up; of {HANG_UP_KEYS} keys {replayed} had had their effect, {made} orders in all"


async def _hang_up(cluster: Cluster, request: Request, number: int, patience: float) -> bool:
    """Send the whole request and go away. False when nobody listens."""
    body = orjson.dumps(request.body)
    port = cluster.ports.of(request.service, 1 + number % 2)
    head = (
        f"POST {request.path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {cluster.secrets.test_key}\r\nIdempotency-Key: {request.key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        writer.write(head.encode() + body)
        await writer.drain()
        await asyncio.sleep(patience)
    except OSError:
        return False
    finally:
        writer.transport.abort()
    return True


async def bank_misbehaves(cluster: Cluster, rng: Random) -> str:
    """A bank that charges and never answers, answers late, fails once, tells twice or too early."""
    load = _load(cluster)
    requests = [load.request(bank) for bank in _BANKS]
    await asyncio.gather(*(load.shop.send(request) for request in requests))
    silent = [
        {"id": request.order_id}
        for request, bank in zip(requests, _BANKS, strict=True)
        if bank == "timeout_after_charge" and request.outcome is Outcome.OK
    ]
    charges = await _until_charged(load, silent)
    twice = [order for order, n in Counter(charge["reference"] for charge in charges).items() if n > 1]
    if twice:
        load.shop.complaints.append(f"charged more than once: {', '.join(twice)}")
    return f"{len(charges)} charges that nobody was told of, among {len(_BANKS)} orders with a bank of its own ways"


async def _until_charged(load: Load, orders: list[dict[str, str]]) -> list[dict[str, str]]:
    """The charges of the orders in the bank's book, when each has one."""
    if not orders:
        raise Harmless("no order whose bank charges and does not answer was taken")
    return await until(
        lambda: load.world.charges(orders),
        lambda charges: len({charge["reference"] for charge in charges}) == len(orders),
        f"{len(orders)} orders to be charged",
        BITES_WITHIN_S,
    )


def _load(cluster: Cluster) -> Load:
    if cluster.load is None:
        raise Harmless("there are no clients")
    return cluster.load


FAULTS = (
    Fault(
        name="clients.one_key_fifty_times",
        row=29,
        says="the same key 50 times at once",
        strike=one_key_fifty_times,
        lasts=4,
        occupies=frozenset({"clients"}),
    ),
    Fault(
        name="clients.hang_up",
        row=29,
        says=f"{HANG_UPS} clients hang up before the answer",
        strike=a_thousand_hang_up,
        lasts=20,
        occupies=frozenset({"clients"}),
    ),
    Fault(
        name="bank.misbehaves",
        row=30,
        says="the bank charges and does not answer, answers late, fails, tells twice or too early",
        strike=bank_misbehaves,
        lasts=12,
        occupies=frozenset({"provider"}),
        always=True,
    ),
)
