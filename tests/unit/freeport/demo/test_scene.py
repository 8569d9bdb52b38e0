"""Scenes and their verdict."""

from pathlib import Path

import orjson

from freeport.audit.check import Verdict
from freeport.demo.report import DemoReport
from freeport.demo.scene import Outcome, Result, Scene, play, verdict

GOOD = Result("a", "one", "one", ok=True, seconds=0.1)
BAD = Result("b", "one", "two", ok=False, seconds=0.1)
KEPT = Verdict("x", "x holds", 3, ())
BROKEN = Verdict("x", "x holds", 3, ("not here",))


async def _as_expected(world: int) -> Outcome:
    return Outcome(world == 7, f"the world is {world}")


async def _breaks(world: int) -> Outcome:
    raise TimeoutError("nobody answered")


async def test_a_scene_is_judged_by_what_it_saw() -> None:
    scene = Scene("seven", "the world is 7", _as_expected)
    assert [(await play(scene, world)).ok for world in (7, 8)] == [True, False]


async def test_a_scene_that_breaks_fails_with_its_error_and_where_it_came_from() -> None:
    result = await play(Scene("broken", "an answer", _breaks), 0)
    assert not result.ok
    assert result.observed == "TimeoutError: nobody answered"
    assert "_breaks" in result.as_json()["trace"]


def test_the_verdict_needs_every_scene_and_at_least_one() -> None:
    assert (verdict([GOOD]), verdict([GOOD, BAD]), verdict([])) == ("pass", "fail", "fail")


def test_a_demo_passes_only_with_a_clean_audit() -> None:
    verdicts = [DemoReport("now", 1, "r", [GOOD], audit).verdict for audit in ([KEPT], [KEPT, BROKEN], [])]
    assert verdicts == ["pass", "fail", "fail"]


def test_the_report_file_has_the_verdict_and_every_scene(tmp_path: Path) -> None:
    file = tmp_path / "demo-report.json"
    DemoReport("2026-01-01T00:00:00Z", 1.04, "r1", [GOOD, BAD], [BROKEN]).write(file)
    written = orjson.loads(file.read_bytes())
    assert written["verdict"] == "fail"
    assert written["scenes"][1] == {"name": "b", "expected": "one", "observed": "two", "ok": False, "seconds": 0.1}
    assert written["audit"]["checks"] == [{"name": "x", "ok": False, "checked": 3, "violations": ["not here"]}]
    assert [path.name for path in tmp_path.iterdir()] == ["demo-report.json"]
