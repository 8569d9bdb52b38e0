"""One run: start, let faults strike under load, heal, judge, sum up."""

import asyncio
import contextlib
import logging
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from freeport.platform import delete_platform, free_port_base
from tests.chaos.cluster import Cluster
from tests.chaos.fault import Fault, Feature
from tests.chaos.faults import FAULTS
from tests.chaos.faults.clock import can_skew
from tests.chaos.judge import Resources, judge
from tests.chaos.load import Load
from tests.chaos.schedule import Tell, draw, play
from tests.chaos.servers import MIB, NoSmallDisk, small_disk
from tests.chaos.summary import Summary

JUDGED_WITHIN_S = 90.0  # for everything to be known and at rest after the last fault
RESERVE_S = 110.0  # of the budget, for healing, judging and stopping on an idle machine
_WARM_UP_S = 4.0
NO_DISK = "none"
_THREE_BROKERS = 0.25  # of all seeds
_SMALL_DISKS = (60, 20, 20)
_BROKERS = {1: Feature.ONE_BROKER, 3: Feature.THREE_BROKERS}
_DISKS = {"postgres": Feature.SMALL_DATABASE_DISK, "kafka": Feature.SMALL_BROKER_DISK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run. `only` names the faults (or the beginnings of their names) where not all are to be drawn from."""

    seed: int
    minutes: float = 6.0
    rate: float = 4.0
    only: tuple[str, ...] = ()
    brokers: int = 1
    disk: str = NO_DISK
    """`postgres` or `kafka`: whose disk is a small one. `none`: nobody's."""
    port_base: int | None = None

    @classmethod
    def drawn(cls, seed: int, *, brokers: int | None = None, disk: str | None = None, **more: Any) -> "Plan":
        """What is not said about the cluster comes from the seed, as far as this machine allows it."""
        rng = Random(f"{seed}/cluster")
        many, small = rng.random() < _THREE_BROKERS, rng.choices((NO_DISK, *_DISKS), _SMALL_DISKS)[0]
        brokers = brokers or (3 if many else 1)
        if disk is None:
            disk = small if brokers == 1 and _may_mount() else NO_DISK
        return cls(seed=seed, brokers=brokers, disk=disk, **more)

    @property
    def command(self) -> str:
        only = f" ONLY={','.join(self.only)}" if self.only else ""
        return f"make chaos SEED={self.seed} MINUTES={self.minutes:g} BROKERS={self.brokers} DISK={self.disk}{only}"

    @property
    def features(self) -> frozenset[Feature]:
        """What the cluster is to have, and what this machine has."""
        features = {_BROKERS[self.brokers]}
        if self.disk in _DISKS:
            features.add(_DISKS[self.disk])
        if can_skew():
            features.add(Feature.COMPILER)
        return frozenset(features)

    def faults(self) -> Sequence[Fault]:
        """Those to draw from. ValueError when `only` names none."""
        found = [fault for fault in FAULTS if not self.only or fault.name.startswith(self.only)]
        if not found:
            raise ValueError(f"no fault is named {', '.join(self.only)}")
        return found


async def run(plan: Plan, tell: Tell = lambda _: None) -> Summary:
    """Run it, telling of each fault; the logs are kept where the summary says when it is not ok, and are gone when it is."""
    directory = Path(tempfile.mkdtemp(prefix="fp-chaos-"))
    directory.chmod(0o755)  # PostgreSQL's account passes through when we are root
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # of our own clients, which meet the same faults
    port_base = free_port_base() if plan.port_base is None else plan.port_base
    began = time.monotonic()
    _stop_in_order_on_sigterm()
    async with Cluster.running(directory, port_base, plan.features) as cluster:
        summary = await _run(cluster, plan, began, tell)
    await asyncio.to_thread(_tidy, cluster, summary)
    return summary


def _stop_in_order_on_sigterm() -> None:
    """Whoever ends a run must not leave its twenty processes behind."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _may_mount() -> bool:
    with contextlib.suppress(NoSmallDisk), tempfile.TemporaryDirectory() as place, small_disk(Path(place), MIB):
        return True
    return False


async def _run(cluster: Cluster, plan: Plan, began: float, tell: Tell) -> Summary:
    async with Load.opened(cluster, plan.seed, plan.rate) as load:
        cluster.load = load
        load.start()
        await asyncio.sleep(_WARM_UP_S)
        before = await Resources.of(cluster)
        ready = time.monotonic()
        for_faults = plan.minutes * 60 - (ready - began) - RESERVE_S
        faults = draw(plan.faults(), cluster.features, plan.seed, for_faults)
        record = await play(cluster, faults, plan.seed, for_faults, tell)
        healed_at = time.monotonic()
        judgement = await judge(cluster, load, before, healed_at=healed_at, within=JUDGED_WITHIN_S, seed=plan.seed)
        seconds = {
            "start": round(ready - began, 1),
            "faults": round(healed_at - ready, 1),
            "judge": round(time.monotonic() - healed_at, 1),
        }
        return Summary(
            seed=plan.seed,
            minutes=plan.minutes,
            command=plan.command,
            record=record,
            history=tuple(load.shop.history),
            judgement=judgement,
            seconds=seconds,
            logs=cluster.home.log("any").parent,
        )


def _tidy(cluster: Cluster, summary: Summary) -> None:
    """Nothing stays of a run that is ok; of another its logs and the sandboxes' books."""
    if summary.ok:
        delete_platform(cluster.home)
