"""Keep programs running: start each, notice its end, start it again after a growing pause, stop it on request."""

import asyncio
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from freeport.errors import StartupError
from freeport.processes import Program, halt, launch
from freeport.state import Condition, ProcessId, ProgramState, utc_text

LOOK_EVERY = 0.1  # seconds between looks at whether a program still runs


class Part(Protocol):
    """Something that runs as a process: a service, the broker, the database. `start` and `stop` may block."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int | None: ...

    def start(self) -> None: ...

    def stop(self) -> bool: ...

    def exit_code(self) -> int | None: ...


class ProgramPart:
    """A program that is started as it is; whether it serves is asked over HTTP, elsewhere."""

    def __init__(self, program: Program, *, patience: float = 10.0) -> None:
        self.program = program
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._process = launch(self.program)

    def stop(self) -> bool:
        return self._process is None or halt(self._process, patience=self._patience)

    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds before a start: doubling from `first` to `longest`, from the beginning after a steady run."""

    first: float = 0.25
    longest: float = 30.0
    steady: float = 30.0

    def pause(self, quick_deaths: int) -> float:
        """The pause after `quick_deaths` ends in a row (1 for the first)."""
        return min(self.first * 2.0 ** min(quick_deaths - 1, 20), self.longest)


class Keeper:
    """Keeps one part running and reports every change of its state."""

    def __init__(self, part: Part, report: Callable[[ProgramState], None], backoff: Backoff | None = None) -> None:
        self.part = part
        self.state = ProgramState(name=part.name, condition=Condition.STARTING)
        self._report = report
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start the part for the first time; its `StartupError` is the caller's. From then on it is kept running."""
        await self._start()
        self._keeping = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """Stop the part and keep it no longer."""
        self._stopping.set()
        await self._end_start()
        await asyncio.to_thread(self.part.stop)
        if self._keeping is not None:
            await self._keeping
        self._change(condition=Condition.STOPPED, process=None, next_start=None)

    async def _start(self) -> None:
        self._change(condition=Condition.STARTING, next_start=None)
        self._starting = asyncio.create_task(asyncio.to_thread(self.part.start))
        # Whoever gives up on this wait must not forget the thread, which would start the process later.
        await asyncio.shield(self._starting)
        pid = self.part.pid
        self._change(condition=Condition.RUNNING, process=None if pid is None else ProcessId.of(pid))

    async def _end_start(self) -> None:
        """Stop a start that is under way, also when it has not launched its process yet."""
        while self._starting is not None and not self._starting.done():
            await asyncio.to_thread(self.part.stop)
            await asyncio.wait((self._starting,), timeout=LOOK_EVERY)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        quick_deaths = 0
        while True:
            started = loop.time()
            ended_by = await self._ended()
            if self._stopping.is_set():
                return
            quick_deaths = 1 if loop.time() - started >= self._backoff.steady else quick_deaths + 1
            while not await self._start_again(ended_by, quick_deaths):
                if self._stopping.is_set():
                    return
                quick_deaths += 1
                ended_by = "did not start"

    async def _start_again(self, ended_by: str, quick_deaths: int) -> bool:
        pause = self._backoff.pause(quick_deaths)
        self._change(
            condition=Condition.BACKING_OFF,
            process=None,
            restarts=self.state.restarts + 1,
            last_exit=ended_by,
            next_start=utc_text(datetime.now(UTC) + timedelta(seconds=pause)),
        )
        if await self._stopped_within(pause):
            return False
        try:
            await self._start()
        except (StartupError, OSError):
            # Its words are in the program's log (an OSError: no memory or disk for a process); the state says that it is
            # tried again.
            return False
        return True

    async def _ended(self) -> str:
        # A process that we only started tells nobody of its end: it is looked at.
        while (code := self.part.exit_code()) is None:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY)
        return describe_exit(code)

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _change(self, **changes: object) -> None:
        self.state = replace(self.state, since=utc_text(datetime.now(UTC)), **changes)  # pyright: ignore[reportArgumentType]
        self._report(self.state)


def describe_exit(code: int) -> str:
    """An exit code in words: `exit code 3`, or `signal SIGKILL` (the system reports it as a negative number)."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
