"""Tiny fake programs that the supervisor's tests keep running."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from freeport.processes import Program, base_environment
from freeport.state import ProgramState

MakeProgram = Callable[[str], Program]


@pytest.fixture
def make_program(tmp_path: Path) -> MakeProgram:
    """A program from Python source; it runs in `tmp_path` and logs to `fake.log` there."""

    def make(source: str) -> Program:
        return Program(
            name="fake",
            argv=(sys.executable, "-c", source),
            cwd=tmp_path,
            log=tmp_path / "fake.log",
            env=base_environment(),
        )

    return make


class Reports:
    """Every state that a keeper reported, and a way to wait for one."""

    def __init__(self) -> None:
        self.seen: list[ProgramState] = []
        self._changed = asyncio.Event()

    def __call__(self, state: ProgramState) -> None:
        self.seen.append(state)
        self._changed.set()

    async def until(self, wanted: Callable[[ProgramState], bool], within: float = 20.0) -> ProgramState:
        async with asyncio.timeout(within):
            while not (found := next((state for state in self.seen if wanted(state)), None)):
                self._changed.clear()
                await self._changed.wait()
        return found


@pytest.fixture
def reports() -> Reports:
    return Reports()
