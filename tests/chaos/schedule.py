"""Which faults strike when: drawn from the seed, one or two at a time, never two at the same thing."""

import asyncio
import contextlib
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from random import Random

from tests.chaos.cluster import Cluster
from tests.chaos.fault import EVERYTHING, Fault, Feature, Harmless

LANES = 2
OVERRUN = 3.0  # a fault that takes so many times as long as it says, and two minutes, is a fault of its own
_BREATH_S = (0.3, 2.5)  # between two faults of a lane


@dataclass(slots=True)
class Struck:
    """What came of one fault. `bit` is the evidence; without one, `why` tells."""

    name: str
    row: int
    began_s: float
    seconds: float = 0.0
    bit: str = ""
    why: str = ""


@dataclass(slots=True)
class Record:
    """All that struck, in order."""

    struck: list[Struck] = field(default_factory=list[Struck])
    left_out: list[str] = field(default_factory=list[str])
    """What time did not allow for."""


def draw(faults: Sequence[Fault], features: frozenset[Feature], seed: int, seconds: float) -> list[Fault]:
    """The faults of a run in their order: all that every run has, and of the others what fits into the time."""
    rng = Random(f"{seed}/schedule")
    possible = [fault for fault in faults if fault.needs <= features]
    chosen = [fault for fault in possible if fault.always]
    others = [fault for fault in possible if not fault.always]
    room = seconds * LANES * 0.85 - sum(_cost(fault) for fault in chosen)
    for fault in _in_turn(others, rng):
        if _cost(fault) <= room:
            chosen.append(fault)
            room -= _cost(fault)
    rng.shuffle(chosen)
    return chosen


def _in_turn(faults: Sequence[Fault], rng: Random) -> list[Fault]:
    """In random order, but one of each row before a second one of any: some rows have many faults, and some one."""
    rows: dict[int, list[Fault]] = {}
    for fault in rng.sample(faults, len(faults)):
        rows.setdefault(fault.row, []).append(fault)
    return [fault for turn in zip_longest(*rows.values()) for fault in turn if fault is not None]


def _cost(fault: Fault) -> float:
    """Seconds of lanes: beside what occupies everything no lane does anything."""
    return (fault.lasts + sum(_BREATH_S) / 2) * (LANES if fault.occupies >= EVERYTHING else 1)


Tell = Callable[[Struck], None]


async def play(
    cluster: Cluster, plan: Sequence[Fault], seed: int, seconds: float, tell: Tell = lambda _: None
) -> Record:
    """Let the faults strike. After `seconds` no more begin but those that belong to every run. `tell` hears of each."""
    stage = _Stage(cluster, list(plan), seed, time.monotonic() + seconds, tell)
    await asyncio.gather(*(stage.lane(number) for number in range(LANES)))
    return stage.record


class _Stage:
    def __init__(self, cluster: Cluster, waiting: list[Fault], seed: int, until: float, tell: Tell) -> None:
        self._tell = tell
        self._cluster = cluster
        self._waiting = waiting
        self._seed = seed
        self._until = until
        self._began = time.monotonic()
        self._occupied: set[str] = set()
        self._freed = asyncio.Event()
        self._took = self._promised = 0.0
        self.record = Record()

    async def lane(self, number: int) -> None:
        rng = Random(f"{self._seed}/lane/{number}")
        while (fault := await self._next()) is not None:
            try:
                await self._strike(fault)
            finally:
                self._occupied -= fault.occupies
                self._freed.set()
            if self._waiting:
                await asyncio.sleep(rng.uniform(*_BREATH_S))

    async def _next(self) -> Fault | None:
        """The first that hits nothing that is being hit, or that an earlier one waits for; None when there are no more."""
        while self._waiting:
            self._drop_what_is_too_late()
            taken = set(self._occupied)
            for fault in self._waiting:
                if not fault.occupies & taken:
                    self._waiting.remove(fault)
                    self._occupied |= fault.occupies
                    return fault
                taken |= fault.occupies
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._freed.wait()
        return None

    def _drop_what_is_too_late(self) -> None:
        """What every run has goes before the others, as long as it takes on this machine at this hour."""
        promised = sum(_cost(fault) for fault in self._waiting if fault.always) / LANES
        left = (self._until - time.monotonic()) / self._slowness - promised
        late = [fault for fault in self._waiting if not fault.always and fault.lasts > left]
        self.record.left_out += [fault.name for fault in late]
        self._waiting = [fault for fault in self._waiting if fault not in late]

    @property
    def _slowness(self) -> float:
        """How many times as long as they say the faults have taken so far; 1 at least."""
        return max(1.0, self._took / self._promised) if self._promised else 1.0

    async def _strike(self, fault: Fault) -> None:
        began = time.monotonic()
        struck = Struck(fault.name, fault.row, round(began - self._began, 1))
        self.record.struck.append(struck)
        # Of its own: what one fault draws does not depend on what others drew before.
        rng = Random(f"{self._seed}/{fault.name}")
        try:
            async with asyncio.timeout(fault.lasts * OVERRUN + 120):
                struck.bit = await fault.strike(self._cluster, rng)
        except Harmless as error:
            struck.why = str(error)
        except Exception as error:  # noqa: BLE001 (a fault that breaks proves nothing: the run says so and fails)
            struck.why = f"{type(error).__name__}: {error} ({_where(error)})"
        struck.seconds = round(time.monotonic() - began, 1)
        self._took += struck.seconds
        self._promised += fault.lasts
        self._tell(struck)


def _where(error: BaseException) -> str:
    """The innermost lines of ours that it came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "chaos" in frame.filename]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-3:]))
