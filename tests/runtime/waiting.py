"""Wait for a fact with a deadline, and look which processes belong to a platform."""

import time
from collections.abc import Callable

import psutil

from freeport.layout import Home


def wait_until(fact: Callable[[], bool], what: str, within: float = 60.0) -> None:
    """Return when `fact()` is true; AssertionError after `within` seconds."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, f"waited {within:.0f} s for {what}"
        time.sleep(0.02)


def processes_of(home: Home) -> list[int]:
    """Processes that work in the platform's directory or name it on their command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cwd", "cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(home.directory) in f"{process.info['cwd']} {process.info['cmdline']}"
    ]
