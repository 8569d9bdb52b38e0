"""What a fault is: it strikes the running cluster, proves that it bit, and undoes itself.

    async def broker_killed(cluster: Cluster, rng: Random) -> str:
        broker = rng.choice(cluster.brokers)
        died = broker.kill()
        await broker.until_serving(after=died)
        return f"{broker.name} {died} died, {broker.pid} serves"          # the evidence; `Harmless` when there is none

    FAULTS = (
        Fault(name="kafka.killed", row=11, says="kill -9 of a broker", strike=broker_killed, lasts=8,
              occupies=frozenset({"kafka"}), always=True),
    )

Each module of `tests/chaos/faults` has such a tuple, and `faults/__init__.py` puts them together. The rows are those of
the fault matrix in `docs/chaos.md`. What the cluster offers a fault is at the top of `cluster.py`.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING

from freeport.layout import SANDBOXES, SERVICES

if TYPE_CHECKING:
    from tests.chaos.cluster import Cluster

Strike = Callable[["Cluster", Random], Awaitable[str]]

EVERYTHING = frozenset({"postgres", "kafka", "topics", "clients", *SERVICES, *SANDBOXES})
"""What a fault may occupy; and what one occupies that stops the whole platform for longer than others wait for their effect."""
BITES_WITHIN_S = 45.0  # most faults wait so long for their effect

MADE_UP = "poison-"
"""How the keys of streams begin that a fault made up: consumers know them, and no publisher does."""


class Feature(StrEnum):
    """What a cluster may have beyond the plain one, and what some faults cannot do without."""

    ONE_BROKER = "one broker"
    THREE_BROKERS = "three brokers"
    SMALL_DATABASE_DISK = "the database on a small disk"
    SMALL_BROKER_DISK = "the broker on a small disk"
    COMPILER = "a C compiler"


class Harmless(Exception):
    """The fault was inflicted and had no effect: what it was to prove is not proven, and the run fails for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way in which things break.

    `strike(cluster, rng)` inflicts it, stays until the damage is undone (or is for others to undo: the supervisor), and returns
    in words what proves that it bit. It raises `Harmless` when nothing does. It may be cancelled at any await, and must
    then undo its damage, too (`try … finally`). All choices come from `rng`, so that a seed repeats them.
    """

    name: str
    """Dotted, what is hit first: `kafka.killed`."""
    row: int
    """Its row in the fault matrix, 1 to 30."""
    says: str
    strike: Strike
    lasts: float
    """About how many seconds on an idle machine; the schedule reckons with it."""
    occupies: frozenset[str] = frozenset()
    """What no other fault may touch meanwhile: some of `EVERYTHING`."""
    needs: frozenset[Feature] = frozenset()
    """It is drawn only for a cluster that has all of these."""
    always: bool = False
    """Part of every run, however short."""


def of_services(
    services: Collection[str],
    what: str,
    strike: Callable[[str], Strike],
    *,
    row: int,
    says: str,
    lasts: float,
    also: Collection[str] = (),
    needs: frozenset[Feature] = frozenset(),
    always: Collection[str] = (),
) -> tuple[Fault, ...]:
    """One kind of fault, `<service>.<what>` for each of the services, whose name stands for `{}` in `says`.

    Each occupies its service and `also`; those of the services in `always` are part of every run.
    """
    return tuple(
        Fault(
            name=f"{service}.{what}",
            row=row,
            says=says.format(service),
            strike=strike(service),
            lasts=lasts,
            occupies=frozenset({service, *also}),
            needs=needs,
            always=service in always,
        )
        for service in services
    )
