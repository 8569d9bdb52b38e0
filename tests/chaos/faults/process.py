"""Processes that are killed, frozen and restarted."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from freeport.layout import SERVICES
from tests.chaos.cluster import Cluster
from tests.chaos.fault import Fault

Strike = Callable[[Cluster, Random], Awaitable[str]]


def killed(service: str) -> Strike:
    """kill -9 of one replica of the service, in the middle of whatever it does."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        victim = rng.choice(cluster.replicas(service))
        await asyncio.sleep(rng.uniform(0, 1))
        before = victim.restarts
        died = victim.kill()
        now = await victim.until_serving(after=died)
        return f"{victim.name} {died} died, {now} serves after restart {victim.restarts - before}"

    return strike


FAULTS = tuple(
    Fault(
        name=f"{service}.killed",
        row=1 if service == "orders" else 5,
        says=f"kill -9 of a replica of {service}",
        strike=killed(service),
        lasts=5,
        occupies=frozenset({service}),
        always=True,
    )
    for service in SERVICES
)
