"""The running platform as an object: for the demo, the audit, the replay and the end-to-end tests.

    from freeport.platform import Platform, start_platform

    platform = Platform.load()                    # of the checkout's .freeport; StartupError when it does not run
    platform.urls["orders"]                       # http://127.0.0.1:8003 (services and sandboxes, by name)
    platform.test_key                             # sk_test_…: store str_demo, all scopes
    platform.other_key                            # a second store, str_other
    platform.operator_key                         # sk_op_…: no store; dead letters, in every service
    platform.database_url("payments")             # postgresql://… as the owner role
    platform.kafka                                # 127.0.0.1:8094
    platform.sandbox_directory("provider")        # its durable book
    platform.kill("inventory")                    # SIGKILL; the supervisor starts it again
    platform.wait_ready("inventory")              # blocks until it serves again

    with start_platform(directory, free_port_base()) as platform:   # one of its own, beside any other
        …                                                           # stopped at the end, whatever happens

In tests the fixture `platform` (tests/fixtures/embedded.py) is such a platform, shared by the session.

Everything here blocks; from asynchronous code use `asyncio.to_thread`.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freeport.environment import admin_url, kafka_bootstrap, service_database
from freeport.errors import StartupError
from freeport.health import which_answer
from freeport.layout import ROOT, SANDBOXES, SERVICES, Home, Ports
from freeport.processes import port_is_free
from freeport.secrets import Secrets
from freeport.secrets import load as load_secrets
from freeport.state import Condition, Phase, ProcessId, State, is_owned, read


@dataclass(frozen=True, slots=True)
class Platform:
    """One embedded platform that was started; see the module's page."""

    home: Home
    ports: Ports
    secrets: Secrets

    @classmethod
    def load(cls, directory: Path | None = None) -> "Platform":
        """The platform of the directory (`FREEPORT_HOME` or the checkout's unless given).

        Raises `StartupError` when none runs there.
        """
        home = Home.default() if directory is None else Home(directory)
        state = read(home)
        if state is None or not is_owned(home) or not home.secrets.exists():
            raise StartupError(
                "Freeport is not running", why=f"nothing runs in {home.directory}", fix="Start it: `freeport up`"
            )
        return cls(home, Ports(state.port_base), load_secrets(home.secrets))

    @property
    def urls(self) -> dict[str, str]:
        """Base URLs of the services and sandboxes that run here, by name."""
        programs = self.state().programs
        absent = (None, Condition.NOT_BUILT, Condition.LEFT_OUT)
        conditions = {name: programs[name].condition if name in programs else None for name in (*SERVICES, *SANDBOXES)}
        return {name: self.ports.url(name) for name, condition in conditions.items() if condition not in absent}

    def addresses(self) -> dict[str, Any]:
        """What `freeport urls --json` prints. `console` is null: it is not built yet."""
        urls = self.urls
        return {
            "console": None,
            "services": {name: url for name, url in urls.items() if name in SERVICES},
            "sandboxes": {name: url for name, url in urls.items() if name in SANDBOXES},
            "test_key": self.test_key,
            "operator_key": self.secrets.operator_key,
            "kafka": self.kafka,
            "postgres": self.postgres,
        }

    @property
    def test_key(self) -> str:
        return self.secrets.test_key

    @property
    def other_key(self) -> str:
        return self.secrets.other_key

    @property
    def operator_key(self) -> str:
        """The key for dead letters and other operations, for every service. Raises `StartupError` where there is none yet."""
        if not self.secrets.operator_key:
            raise StartupError(
                "There is no operator's key",
                why="an older release of Freeport started this platform",
                fix="`freeport down`, then `freeport up`: nothing is lost",
            )
        return self.secrets.operator_key

    @property
    def kafka(self) -> str:
        """Bootstrap server, host:port."""
        return kafka_bootstrap(self.ports)

    @property
    def postgres(self) -> str:
        """The superuser's URL."""
        return admin_url(self.ports, self.secrets)

    def database_url(self, service: str) -> str:
        """The URL of a service's database as its owner role."""
        return service_database(service, self.secrets).owner_url(self.postgres)

    def sandbox_directory(self, name: str) -> Path:
        return self.home.sandbox(name)

    def state(self) -> State:
        """What the supervisor last wrote."""
        state = read(self.home)
        if state is None:
            raise StartupError("Freeport is not running", why="its state is gone", fix="Start it: `freeport up`")
        return state

    def process_of(self, name: str) -> ProcessId | None:
        """The process of a service, a sandbox, `kafka` or `postgres`; None while it is down."""
        return self.state().programs[name].process

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> ProcessId:
        """Send the signal to the process; gives which one it was, for `wait_ready(name, after=…)`."""
        process = self.process_of(name)
        if process is None or process.process() is None:
            raise RuntimeError(f"{name} does not run")
        os.kill(process.pid, how)
        return process

    def wait_ready(self, name: str, *, after: ProcessId | None = None, within: float = 30.0) -> None:
        """Block until it serves, in another process than `after` when that is given.

        Raises TimeoutError after `within` seconds.
        """
        deadline = time.monotonic() + within
        while not (self.process_of(name) not in (None, after) and self._is_ready(name)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is not ready after {within:.0f} s; see {self.home.log(name)}")
            time.sleep(0.05)

    def _is_ready(self, name: str) -> bool:
        return asyncio.run(which_answer({name: self.ports.probe(name)}))[name]


def free_port_base() -> int:
    """The start of a block of ports of which none is in use at this moment, for a platform beside any other."""
    # Below the ports that systems give to outgoing connections.
    bases = random.sample(range(20000, 32000, 100), 120)
    return next(base for base in bases if all(port_is_free(port) for port in Ports(base).all().values()))


def delete_platform(home: Home) -> bool:
    """Delete the directory, and PostgreSQL's where that had to be kept elsewhere. True when there was one."""
    if home.postgres.is_symlink():
        shutil.rmtree(home.postgres.resolve())
    if not home.directory.exists():
        return False
    shutil.rmtree(home.directory)
    return True


@contextmanager
def start_platform(directory: Path, port_base: int, *, without: Collection[str] = ()) -> Generator[Platform]:
    """Start a platform of its own in the directory, on the block of ports at `port_base`; stop it at the end.

    The services named in `without` are left out.

    The directory keeps its data. Raises `StartupError` with the supervisor's own words when it does not come up.
    """
    place = ("--home", str(directory))
    left_out = [word for name in without for word in ("--without", name)]
    started = _freeport("up", "--detach", "--port-base", str(port_base), *left_out, *place)
    if started.returncode:
        raise _why_not(Home(directory), started)
    try:
        yield Platform.load(directory)
    finally:
        _freeport("down", *place).check_returncode()


def _freeport(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "freeport", *arguments), cwd=ROOT, capture_output=True, text=True, check=False
    )


def _why_not(home: Home, started: subprocess.CompletedProcess[str]) -> StartupError:
    state = read(home)
    if state is not None and state.phase is Phase.FAILED and state.failure is not None:
        return state.failure.error()
    return StartupError("Freeport did not start", why=started.stderr.strip(), fix=f"See {home.log('supervisor')}")
