"""A first start that cannot go on, or that somebody loses patience with: it says why and leaves nothing running."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from freeport.layout import ROOT, SERVICES, Home
from freeport.platform import delete_platform, free_port_base
from freeport.processes import free_port
from tests.fixtures.embedded import open_directory
from tests.runtime.waiting import processes_of, wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def home() -> Iterator[Home]:
    parent = open_directory()
    found = Home(parent / "freeport")
    yield found
    delete_platform(found)
    shutil.rmtree(parent)


def test_without_a_network_the_first_start_fails_clearly_and_stops_what_it_had_started(home: Home) -> None:
    answer = up(home, "--detach", repository=f"http://127.0.0.1:{free_port()}").communicate(timeout=60)
    words = " ".join(answer)
    assert "could not be fetched" in words
    assert "Connect this machine to the network once" in words
    assert not processes_of(home)


def test_a_repository_that_never_answers_can_be_left_with_a_second_ctrl_c(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = up(home, repository=f"http://127.0.0.1:{silent.getsockname()[1]}")
        wait_until(home.log("postgres").exists, "PostgreSQL to be started")
        process.send_signal(signal.SIGINT)
        wait_until(lambda: '"stop' in home.state.read_text(), "it to begin to stop")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode in (130, 0)
    wait_until(lambda: not processes_of(home), "everything to be gone")


def up(home: Home, *options: str, repository: str) -> "subprocess.Popen[str]":
    left_out = [word for service in SERVICES for word in ("--without", service)]
    command = ("up", *options, "--home", str(home.directory), "--port-base", str(free_port_base()), *left_out)
    return subprocess.Popen(
        (sys.executable, "-m", "freeport", *command),
        cwd=ROOT,
        env={**os.environ, "FREEPORT_CACHE": str(home.directory.parent / "cache"), "FREEPORT_MAVEN_URL": repository},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
