"""The import contracts of pyproject.toml really forbid what they say.

import-linter keeps silent about a forbidden module that does not exist, so a contract with a misspelt name is always green.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
CONTRACTS: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
_INTERNAL = ("services", "shared", "freeport")
# Two services of different kind are enough to break every contract, and quick to read.
_COPIED = ("catalog", "risk")

PLANTED = {
    "Services never import each other": ("services/risk/queries.py", "from services.catalog.domain import product"),
    "Shared code knows no service, and neither knows the command line": ("shared/money.py", "import freeport.layout"),
    "Inside a service, imports point from the edge to the domain": (
        "services/risk/domain/review.py",
        "from services.risk import repository",
    ),
    "Domain, use cases and contracts are pure": ("services/risk/domain/velocity.py", "import asyncpg"),
}


def _named_modules() -> list[str]:
    lists = ("modules", "source_modules", "forbidden_modules", "containers")
    return sorted({name for contract in CONTRACTS for part in lists for name in contract.get(part, ())})


@pytest.mark.parametrize("name", _named_modules())
def test_every_module_that_a_contract_names_exists(name: str) -> None:
    if name.partition(".")[0] in _INTERNAL:
        pattern = name.replace(".", "/")
        assert [path for suffix in ("", ".py") for path in ROOT.glob(pattern + suffix)], name
    else:
        assert importlib.util.find_spec(name) is not None, name


def test_every_contract_has_a_planted_violation() -> None:
    assert PLANTED.keys() == {contract["name"] for contract in CONTRACTS}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of two services, with the contracts of all."""
    place = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", "static", "schemas")
    shutil.copy(ROOT / "pyproject.toml", place)
    for package in ("shared", "freeport", *(f"services/{service}" for service in _COPIED)):
        shutil.copytree(ROOT / package, place / package, ignore=ignored)
    shutil.copy(ROOT / "services" / "__init__.py", place / "services")
    return place


def _broken(place: Path) -> set[str]:
    """The contracts that import-linter reports as broken there."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache', '--no-logo'])"
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=place, capture_output=True, text=True, timeout=100, check=False
    )
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)$", done.stdout, re.MULTILINE))
    assert verdicts.keys() == PLANTED.keys(), done.stdout + done.stderr
    return {name for name, verdict in verdicts.items() if verdict == "BROKEN"}


def test_the_source_as_it_is_breaks_no_contract(copy: Path) -> None:
    assert _broken(copy) == set()


@pytest.mark.parametrize("contract", PLANTED)
def test_a_violation_is_caught_by_its_contract(copy: Path, contract: str) -> None:
    path, line = PLANTED[contract]
    file = copy / path
    before = file.read_text(encoding="utf-8")
    # Inside a function, where only a reader of the tree finds it.
    file.write_text(f"{before}\n\ndef _planted() -> None:\n    {line}\n", encoding="utf-8")
    try:
        assert contract in _broken(copy)
    finally:
        file.write_text(before, encoding="utf-8")
