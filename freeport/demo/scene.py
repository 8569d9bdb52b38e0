"""A scene: what is expected, what was observed, and whether that is the same."""

import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

W = TypeVar("W")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scene saw. `ok` is decided by the scene from what it saw, never assumed."""

    ok: bool
    observed: str


@dataclass(frozen=True, slots=True)
class Scene(Generic[W]):
    """`play` acts in the world and reports; `expected` is the promise in words."""

    name: str
    expected: str
    play: Callable[[W], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Result:
    """A scene that was played. `trace` is where an error came from, for a scene that could not end."""

    name: str
    expected: str
    observed: str
    ok: bool
    seconds: float
    trace: str = ""

    def as_json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "name": self.name,
            "expected": self.expected,
            "observed": self.observed,
            "ok": self.ok,
            "seconds": round(self.seconds, 2),
        }
        return shown | ({"trace": self.trace} if self.trace else {})


async def play(scene: Scene[W], world: W) -> Result:
    """Play one scene. An error is an observation: the scene fails with it, and the next one is played."""
    began = time.monotonic()
    trace = ""
    try:
        outcome = await scene.play(world)
    except Exception as error:  # noqa: BLE001 (a scene that breaks is a failed scene, shown with its error)
        outcome = Outcome(False, f"{type(error).__name__}: {error}")
        trace = traceback.format_exc()
    return Result(scene.name, scene.expected, outcome.observed, outcome.ok, time.monotonic() - began, trace)


def verdict(results: Iterable[Result]) -> str:
    """`pass` when there were scenes and each was as expected, else `fail`."""
    seen = list(results)
    return "pass" if seen and all(result.ok for result in seen) else "fail"
