"""Crash points: named, armed by the environment alone, biting once, and nothing where they are not armed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from shared import failpoints
from shared.failpoints import Point, Spelling, Trap, parse

_REACH = """
from shared import failpoints
for _ in range({times}):
    failpoints.reach(failpoints.Point.RELAY_ACKED)
print("survived")
"""


def _reach(trap: str, times: int) -> "subprocess.CompletedProcess[str]":
    command = (sys.executable, "-c", _REACH.format(times=times))
    environment = {**os.environ, failpoints.VARIABLE: trap}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_is_armed_where_the_environment_says_nothing() -> None:
    assert not failpoints.ARMED
    failpoints.reach(Point.RELAY_ACKED)


def test_a_point_kills_its_process_the_time_that_it_was_told_and_says_so_first() -> None:
    assert _reach("relay.acked=kill@3", times=2).stdout == "survived\n"
    killed = _reach("relay.acked=kill@3", times=3)
    assert killed.returncode == -signal.SIGKILL
    assert json.loads(killed.stdout) == {"event": "failpoint.bit", "point": "relay.acked", "action": "kill"}


def test_a_pause_holds_the_process_up_once() -> None:
    began = time.monotonic()
    paused = _reach("relay.acked=pause:0.3", times=5)
    assert paused.stdout.count("failpoint.bit") == 1
    assert paused.stdout.endswith("survived\n")
    assert time.monotonic() - began >= 0.3


def test_several_points_are_armed_at_once() -> None:
    traps = parse("relay.acked=kill@3, events.uncommitted=pause:15")
    assert traps == {
        Point.RELAY_ACKED: Trap("kill", 0, 3),
        Point.EVENTS_UNCOMMITTED: Trap("pause", 15, 1),
    }


@pytest.mark.parametrize("text", ["relay.akced=kill", "relay.acked", "relay.acked=explode", "relay.acked=kill@0"])
def test_a_misspelt_trap_is_refused_with_what_can_be_written(text: str) -> None:
    with pytest.raises(Spelling, match=r"relay\.acked"):
        parse(text)
