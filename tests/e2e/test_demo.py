"""Every scene of the demo is a test, and the demo's command line keeps its word."""

import json
import subprocess
import sys

import pytest

from freeport.audit.command import CHECKS, audit_platform
from freeport.demo.scene import Result
from freeport.demo.scenes import SCENES
from freeport.layout import ROOT
from freeport.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.mark.parametrize("name", [scene.name for scene in SCENES])
async def test_the_scene_goes_as_expected(played: dict[str, Result], name: str) -> None:
    result = played[name]
    assert result.ok, f"expected: {result.expected}; observed: {result.observed}\n{result.trace}"


async def test_after_all_scenes_every_invariant_holds_and_was_really_looked_at(
    played: dict[str, Result], platform: Platform
) -> None:
    verdicts = await audit_platform(platform, wait=60)
    assert {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok} == {}
    assert [verdict.name for verdict in verdicts if verdict.skipped] == []
    # No scene moves goods between warehouses.
    assert [verdict.name for verdict in verdicts if not verdict.checked] == ["stock.in_transit_is_the_ledger"]
    assert len(verdicts) == len(CHECKS) + 1


def test_the_command_plays_a_scene_on_the_running_platform_and_leaves_it_running(platform: Platform) -> None:
    done = freeport(platform, "demo", "3-D Secure", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["verdict"] == "pass"
    assert [(scene["name"], scene["ok"]) for scene in report["scenes"]] == [("3-D Secure", True)]
    assert json.loads((platform.home.directory / "demo-report.json").read_bytes()) == report
    assert platform.process_of("orders") is not None


def test_an_unknown_scene_is_refused_with_the_names_of_all(platform: Platform) -> None:
    done = freeport(platform, "demo", "moon landing")
    assert done.returncode == 1
    assert "flash sale" in done.stderr


def test_the_audit_command_tells_programs_what_it_looked_at(platform: Platform) -> None:
    done = freeport(platform, "audit", "--json", "--wait", "60")
    report = json.loads(done.stdout)
    assert done.returncode == 0, report
    assert report["ok"] is True
    assert set(report["checks"][0]) >= {"name", "ok", "checked", "violations"}


def freeport(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "freeport", *arguments, "--home", str(platform.home.directory))
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
