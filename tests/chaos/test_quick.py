"""The quick run of the chaos suite, as continuous integration has it: six minutes, the commit's hash as the seed."""

import os
import subprocess
import sys

import orjson
import pytest

from freeport.layout import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(900)]
MINUTES = 6


def test_nothing_is_lost_or_done_twice_whatever_is_killed() -> None:
    seed = os.environ.get("FREEPORT_CHAOS_SEED") or str(_seed_of_the_commit())
    command = (sys.executable, "-m", "tests.chaos", "--seed", seed, "--minutes", str(MINUTES))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            told, words = run.communicate()
        finally:
            run.terminate()  # it stops its cluster in order; nothing when it has ended
    said = words.decode(errors="replace")
    assert told, said
    summary = orjson.loads(told)
    assert summary["violations"] == [], said
    assert summary["ok"], said
    assert run.returncode == 0


def _seed_of_the_commit() -> int:
    """The first eight digits of the commit's hash; 1 outside of a checkout."""
    asked = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=False)
    return int(asked.stdout[:8], 16) if asked.returncode == 0 else 1
