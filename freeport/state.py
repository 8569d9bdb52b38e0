"""What the supervisor writes about itself for every other command: `.freeport/state.json`, replaced whole each time."""

import fcntl
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import IO

import psutil
from pydantic import TypeAdapter

from freeport.errors import StartupError
from freeport.layout import Home
from freeport.processes import is_alive


class Phase(StrEnum):
    """Of the platform as a whole."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Condition(StrEnum):
    """Of one program."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"
    NOT_BUILT = "not built"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A process id that survives reuse: the number and the second in which the process began."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        try:
            return cls(pid=pid, created=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """The live process, or None when it ended."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 1
        except psutil.NoSuchProcess:
            return None
        return process if same and is_alive(process) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramState:
    """One supervised program, as `status` shows it. Times are RFC 3339 UTC."""

    name: str
    condition: Condition
    process: ProcessId | None = None
    restarts: int = 0
    since: str | None = None
    next_start: str | None = None
    """When a program that is backing off will be started again."""
    last_exit: str | None = None
    """How it ended last: `exit code 1`, `signal SIGKILL`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A step of starting up; `seconds` is None while it runs."""

    name: str
    detail: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    what: str
    why: str
    fix: str

    @classmethod
    def of(cls, error: StartupError) -> "Failure":
        return cls(what=error.what, why=error.why, fix=error.fix)

    def error(self) -> StartupError:
        return StartupError(self.what, why=self.why, fix=self.fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The whole of `.freeport/state.json`."""

    supervisor: ProcessId
    port_base: int
    phase: Phase
    started_at: str
    stages: tuple[Stage, ...] = ()
    programs: dict[str, ProgramState] = field(default_factory=dict[str, ProgramState])
    failure: Failure | None = None

    def with_program(self, program: ProgramState) -> "State":
        return replace(self, programs={**self.programs, program.name: program})

    def with_stage(self, stage: Stage) -> "State":
        """Add the stage, or put it in the place of the one with its name."""
        if any(known.name == stage.name for known in self.stages):
            return replace(self, stages=tuple(stage if known.name == stage.name else known for known in self.stages))
        return replace(self, stages=(*self.stages, stage))


_FILE = TypeAdapter(State)


def write(home: Home, state: State) -> None:
    unfinished = home.state.with_suffix(".new")
    unfinished.write_bytes(_FILE.dump_json(state, indent=2))
    unfinished.replace(home.state)


def read(home: Home) -> State | None:
    """What the last supervisor wrote, whether or not it lives; None before the first start."""
    try:
        return _FILE.validate_json(home.state.read_bytes())
    except FileNotFoundError:
        return None


class Ownership:
    """The lock that says a supervisor lives. The system drops it with the process, however that ends."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._file: IO[str] | None = None

    def take(self, *, patience: float = 1.0) -> bool:
        """True when it is ours now; False when another supervisor lives.

        `patience` (seconds) outlasts a `status` that looks at the lock at this very moment.
        """
        self._home.directory.mkdir(parents=True, exist_ok=True)
        file = self._home.lock.open("a")
        deadline = time.monotonic() + patience
        while not _locked(file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                file.close()
                return False
            time.sleep(0.05)
        self._file = file
        return True

    def give_up(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def is_owned(home: Home) -> bool:
    """Whether a supervisor lives in this directory."""
    if not home.lock.exists():
        return False
    with home.lock.open() as file:
        return not _locked(file, fcntl.LOCK_SH)


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def utc_text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
