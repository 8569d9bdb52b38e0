"""What earlier versions lived through ends alike today, from its beginning and from every row that they stored."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from services.orders.domain.facts import RECORDERS
from services.orders.domain.standing import Status
from tests.contracts.sagas import FOLDER, Json, begun, end_of, revived, take

RECORDED = sorted(FOLDER.glob("*/*.json"))
NAMES = [f"{path.parent.name}: {path.stem}" for path in RECORDED]
SAGAS: Mapping[str, Json] = {
    name: json.loads(path.read_text(encoding="utf-8")) for name, path in zip(NAMES, RECORDED, strict=True)
}


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_life_is_told_and_ends_as_it_did(name: str) -> None:
    saga = SAGAS[name]
    order, placed = begun(saga)
    for number, step in enumerate(saga["steps"]):
        told = [event.event_type for event in take(order, step, placed)]
        assert told == step["told"], f"step {number}: {step}"
        assert order.status.value == step["row"]["status"], f"step {number}: {step}"
    assert_same_end(end_of(order), saga["end"])


@pytest.mark.parametrize("name", NAMES)
def test_a_life_that_an_upgrade_meets_in_the_middle_goes_on_to_the_same_end(name: str) -> None:
    saga = SAGAS[name]
    steps = saga["steps"]
    for number, met in enumerate(steps):
        order, placed = revived(saga, met["row"])
        told = [event.event_type for step in steps[number + 1 :] for event in take(order, step, placed)]
        assert told == [event for step in steps[number + 1 :] for event in step["told"]], f"from step {number}"
        assert_same_end(end_of(order), saga["end"])


def test_the_newest_recorded_lives_reach_every_status_and_hear_every_event() -> None:
    newest = max((path.parent.name for path in RECORDED), key=lambda version: tuple(map(int, version.split("."))))
    recorded = [saga for name, saga in SAGAS.items() if name.startswith(f"{newest}:")]
    heard = {step.get("type") for saga in recorded for step in saga["steps"]}
    assert {saga["end"]["status"] for saga in recorded} == {status.value for status in Status}
    missing = {kind.event_type for kind in RECORDERS} - heard
    assert not missing, f"record lives that hear them with `python -m scripts.sagas VERSION`: {missing}"
    assert any("cancel" in step for saga in recorded for step in saga["steps"])
    assert any("deadline" in step for saga in recorded for step in saga["steps"])


def test_a_rule_that_changes_is_noticed() -> None:
    saga = json.loads(json.dumps(SAGAS["0.1.0: delivered"]))
    saga["end"]["status"] = "cancelled"
    order, placed = begun(saga)
    for step in saga["steps"]:
        take(order, step, placed)
    with pytest.raises(AssertionError, match="cancelled"):
        assert_same_end(end_of(order), saga["end"])


def assert_same_end(now: Json, then: Json) -> None:
    """The same on every axis; a fact that was known is known, later versions may know more."""
    facts: Any = then["facts"]
    assert {name: value for name, value in now.items() if name != "facts"} == {
        name: value for name, value in then.items() if name != "facts"
    }
    assert {name: now["facts"].get(name) for name in facts} == facts
