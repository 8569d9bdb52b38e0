"""The house rules over the whole of the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.orders.domain.timeline import SUMMARIES
from shared.contracts.registry import EVENTS
from tests.architecture import rules
from tests.architecture.rules import Rule

ROOT = Path(__file__).parent.parent.parent
SERVICES = sorted(path.parent for path in (ROOT / "services").glob("*/main.py"))


def _files(*patterns: str) -> list[Path]:
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern) if "migrations" not in path.parts})


def _breaches(rule: Rule, files: list[Path]) -> Iterator[str]:
    assert files, "the rule looks at nothing"
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(ROOT)} {breach}" for breach in rule(tree))


def test_there_are_seven_services() -> None:
    names = [path.name for path in SERVICES]
    assert names == ["catalog", "inventory", "logistics", "orders", "payments", "risk", "support"]


def test_nobody_but_the_shell_begins_or_commits() -> None:
    assert list(_breaches(rules.only_the_shell_commits, _files("services/**/*.py"))) == []


def test_decisions_read_no_clock_draw_no_id_and_never_wait() -> None:
    assert (
        list(_breaches(rules.decisions_are_arithmetic, _files("services/*/domain/*.py", "services/*/usecases/*.py")))
        == []
    )


def test_topics_and_event_types_are_spelt_in_the_contracts_only() -> None:
    # The timeline has words for every type; that each of them exists is checked below.
    apart = [ROOT / "services/orders/domain/timeline.py", *(ROOT / "shared/contracts").glob("*.py")]
    files = [path for path in _files("services/**/*.py", "shared/**/*.py", "freeport/**/*.py") if path not in apart]
    assert list(_breaches(rules.topics_are_named_once, files)) == []


def test_the_timelines_words_are_of_events_that_exist() -> None:
    assert SUMMARIES.keys() <= EVENTS.keys()


def test_metric_labels_are_bounded() -> None:
    assert list(_breaches(rules.metric_labels_are_bounded, _files("services/**/*.py", "shared/**/*.py"))) == []


def test_consumers_are_routing_tables() -> None:
    assert list(_breaches(rules.a_consumer_only_routes, _files("services/*/consumers.py"))) == []


@pytest.mark.parametrize(
    "path", [path for path in _files("services/*/usecases/*.py") if path.name != "__init__.py"], ids=lambda p: p.stem
)
def test_a_use_case_is_called_after_its_verb(path: Path) -> None:
    assert list(_breaches(rules.has_the_verb(path.stem), [path])) == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_has_the_shape_of_all_services(service: Path) -> None:
    parts = [
        "README.md",
        "api.py",
        "consumers.py",
        "repository.py",
        "schemas.py",
        "tables.py",
        "settings.py",
        "main.py",
    ]
    folders = ["domain", "usecases", "migrations/versions"]
    missing = [name for name in (*parts, *folders) if not (service / name).exists()]
    assert missing == []
