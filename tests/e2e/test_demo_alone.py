"""The demo where nothing runs yet: on a terminal the platform stays up, otherwise what was started is stopped."""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from freeport.layout import ROOT, Home
from freeport.platform import delete_platform, free_port_base
from freeport.state import is_owned
from tests.fixtures.embedded import open_directory

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SCENE = "3-D Secure"


@pytest.fixture
def home() -> Iterator[Home]:
    place = Home(open_directory() / "freeport")
    try:
        yield place
    finally:
        freeport("down", place)
        delete_platform(place)
        place.directory.parent.rmdir()


def test_on_a_terminal_it_stays_up_and_elsewhere_it_stops_what_it_started(home: Home) -> None:
    shown, code = on_a_terminal("demo", SCENE, "--home", str(home.directory), "--port-base", str(free_port_base()))
    assert code == 0, shown
    assert "PASS" in shown
    assert is_owned(home)
    # The line that it offers works when pasted.
    [line] = re.findall(r"^curl .*$", shown.replace("\r", ""), re.MULTILINE)
    if shutil.which("curl"):
        pasted = subprocess.run(("bash", "-c", line), capture_output=True, text=True, check=True, timeout=30)
        assert json.loads(pasted.stdout)["data"][0]["status"] == "confirmed"

    assert freeport("demo", home, SCENE).returncode == 0
    assert is_owned(home)  # it did not start it, so it does not stop it
    freeport("down", home)

    again = freeport("demo", home, SCENE, "--port-base", str(free_port_base()))
    assert again.returncode == 0, again.stderr
    assert "PostgreSQL" in again.stderr  # the stages are shown
    assert not is_owned(home)
    assert json.loads((home.directory / "demo-report.json").read_bytes())["verdict"] == "pass"


def freeport(command: str, home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    whole = (sys.executable, "-m", "freeport", command, *arguments, "--home", str(home.directory))
    return subprocess.run(
        whole, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=200
    )


def on_a_terminal(*arguments: str) -> tuple[str, int]:
    """Run `freeport` with a pseudo-terminal as its input and output; what it showed, and its exit code."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        (sys.executable, "-m", "freeport", *arguments),
        cwd=ROOT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
    )
    os.close(terminal)
    shown = bytearray()
    while chunk := _read(controller):
        shown += chunk
    os.close(controller)
    return shown.decode(errors="replace"), process.wait(timeout=60)


def _read(controller: int) -> bytes:
    try:
        return os.read(controller, 65536)
    except OSError:  # Linux says EIO when the last holder of the terminal has closed it
        return b""
