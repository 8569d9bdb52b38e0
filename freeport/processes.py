"""Operating-system processes: start one with its log, stop one within a bounded time, find who holds a port."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from freeport.embedded.account import Account

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run: arguments, the whole environment, working directory, log file, and the account when not ours."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    env: Mapping[str, str]
    account: Account | None = None


def base_environment() -> dict[str, str]:
    """What every child needs to run at all, and nothing that may hold a secret."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ}


def launch(program: Program) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, so that Ctrl-C reaches the supervisor alone."""
    program.log.parent.mkdir(parents=True, exist_ok=True)
    account = program.account
    with program.log.open("ab") as log:
        return subprocess.Popen(
            program.argv,
            cwd=program.cwd,
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else (),
        )


def halt(process: subprocess.Popen[bytes], *, by: signal.Signals = signal.SIGTERM, patience: float = 10.0) -> bool:
    """Ask the process to stop; after `patience` seconds kill its whole group. True when it stopped by itself."""
    if process.poll() is not None:
        return True
    process.send_signal(by)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.wait()
        return False
    return True


def kill_group(pid: int) -> None:
    """SIGKILL to the process and to what it started; `launch` made it the leader of its group."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_others(processes: list[psutil.Process], *, by: signal.Signals, patience: float) -> None:
    """End processes that are not our children: ask, wait up to `patience` seconds, kill what still runs."""
    for process in processes:
        _send(process, by)
    alive = _wait_until_gone(processes, patience)
    for process in alive:
        _send(process, signal.SIGKILL)
    _wait_until_gone(alive, patience)


def _wait_until_gone(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    deadline = time.monotonic() + patience
    alive = processes
    while (alive := [process for process in alive if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def is_alive(process: psutil.Process) -> bool:
    """A zombie counts as gone: in a container without an init nobody may ever reap an orphan."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return


def free_port() -> int:
    """A TCP port of the loopback interface that nobody holds at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port that is only cooling down after a restart counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def port_holder(port: int) -> str | None:
    """Who listens on the port, as `name (pid 123)`; None when the system does not tell us."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        # An unconnected socket has an empty tuple for its address.
        address = connection.laddr
        if address and address.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
            return _described(connection.pid)
    return None


def _described(pid: int) -> str | None:
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.NoSuchProcess:
        return None
