"""Everything that can be wrong with a machine is told before anything starts: what, why, how to fix it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from freeport.checks import require_disk, require_ports
from freeport.errors import StartupError
from freeport.interpreter import require_python
from freeport.layout import ROOT, Home, Ports
from freeport.platform import Platform, free_port_base


def test_a_python_that_is_too_old_is_named() -> None:
    with pytest.raises(StartupError) as refused:
        require_python((3, 9))
    assert refused.value.what == "Python is too old"
    assert "this is 3.9" in refused.value.why
    assert "make PYTHON=" in refused.value.fix


def test_the_setup_script_refuses_an_old_python(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    answer = subprocess.run((ROOT / "scripts" / "setup", old), capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert "Freeport needs Python 3.11 or newer" in answer.stderr
    assert "Python 3.8.1" in answer.stderr


def test_a_python_without_the_libraries_says_where_they_are(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", bare), check=True)
    answer = subprocess.run(
        (bare / "bin" / "python", "-m", "freeport", "up"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "libraries are not installed" in answer.stderr
    assert "make setup" in answer.stderr


def test_a_full_disk_is_told_in_gigabytes(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"has 0\.5 GiB left, the platform needs 2 GiB"):
        require_disk(Home(tmp_path), free=512 * 1024**2)


def test_a_disk_with_room_is_fine(tmp_path: Path) -> None:
    require_disk(Home(tmp_path), free=3 * 1024**3)


def test_a_taken_port_names_the_program_that_holds_it_and_the_way_round() -> None:
    ports = Ports(free_port_base())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", ports.of("orders")))
        holder.listen()
        with pytest.raises(StartupError) as refused:
            require_ports(ports)
    assert f"{ports.of('orders')} (orders) is held by" in refused.value.why
    assert f"(pid {os.getpid()})" in refused.value.why
    assert f"--port-base {ports.base + 10000}" in refused.value.fix


def test_free_ports_are_fine() -> None:
    require_ports(Ports(free_port_base()))


def test_a_platform_that_does_not_run_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="nothing runs in"):
        Platform.load(tmp_path)


@pytest.mark.parametrize("command", ["urls", "status", "logs"])
def test_on_the_command_line_an_error_is_words_and_an_exit_code_and_never_a_traceback(
    command: str, tmp_path: Path
) -> None:
    answer = freeport(command, "--home", str(tmp_path))
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr + answer.stdout
    assert "not running" in answer.stderr + answer.stdout or "There is no log" in answer.stderr


def test_down_where_nothing_runs_is_no_error(tmp_path: Path) -> None:
    answer = freeport("down", "--home", str(tmp_path), "--json")
    assert (answer.returncode, answer.stdout.split()) == (0, ["{", '"stopped":', "false", "}"])


def test_reset_asks_first(tmp_path: Path) -> None:
    (tmp_path / "state.kept").touch()
    answer = freeport("reset", "--home", str(tmp_path), say="n\n")
    assert answer.returncode == 130
    assert (tmp_path / "state.kept").exists()


def test_reset_with_yes_deletes(tmp_path: Path) -> None:
    home = tmp_path / "freeport"
    home.mkdir()
    assert freeport("reset", "--yes", "--home", str(home)).returncode == 0
    assert not home.exists()


def freeport(*arguments: str, say: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "freeport", *arguments), cwd=ROOT, input=say, capture_output=True, text=True, check=False
    )
