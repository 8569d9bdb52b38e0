"""The README's commands are run as they stand there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from freeport.demo.scenes import SCENES
from freeport.layout import DEFAULT_PORT_BASE, ROOT
from freeport.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

README = (ROOT / "README.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README calls with curl")
def test_the_calls_of_the_readme_place_an_order_and_show_its_timeline(platform: Platform, tmp_path: Path) -> None:
    [script] = [block for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) if "curl" in block]
    script = re.sub(r"127\.0\.0\.1:8(\d\d\d)", lambda port: f"127.0.0.1:{platform.ports.base + int(port[1])}", script)
    assert str(DEFAULT_PORT_BASE + 3) not in script or platform.ports.base == DEFAULT_PORT_BASE
    script = script.replace(".venv/bin/python", str(ROOT / ".venv" / "bin" / "python"))
    env = os.environ | {"FREEPORT_HOME": str(platform.home.directory), "PYTHONPATH": str(ROOT)}

    def run_it() -> dict[str, Any]:
        """The timeline that it ends with."""
        command = ("bash", "-euc", script)
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    run_it()
    first = json.loads((tmp_path / "order.json").read_text())
    timeline = run_it()
    order = json.loads((tmp_path / "order.json").read_text())
    assert order["id"] == first["id"]
    assert order["status"] in ("confirmed", "completed")
    assert timeline["order_id"] == order["id"]
    assert {"orders", "inventory", "risk", "payments", "logistics"} <= {event["service"] for event in timeline["data"]}


def test_the_scenes_of_the_readme_are_those_that_are_played() -> None:
    table = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE))
    assert {scene.name: scene.expected for scene in SCENES}.items() <= table.items()


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
