"""docs/guarantees.md names a test for every promise: each of them is there, and each crash point and fault is one that exists."""

import re

import pytest

from freeport.layout import ROOT
from shared.failpoints import Point
from tests.chaos.faults import FAULTS

PAGE = (ROOT / "docs" / "guarantees.md").read_text()
_CODE = re.compile(r"`([^`\n]+)`")
_NAMED = sorted({code for code in _CODE.findall(PAGE) if code.startswith("tests/")})


@pytest.mark.parametrize("named", _NAMED)
def test_every_test_that_the_page_names_is_there(named: str) -> None:
    """`tests/a/test_b.py::test_c…` names the tests of that file whose names begin so."""
    path, _, beginning = named.partition("::")
    assert (ROOT / path).exists()
    if beginning:
        tests = re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE)
        assert any(test.startswith(beginning.removesuffix("…")) for test in tests)


def test_every_row_of_promises_names_what_shows_it() -> None:
    promises = PAGE.partition("## The crash points")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| Promise")]
    assert rows
    assert [row for row in rows if "tests/" not in row and "chaos" not in row] == []


def test_every_crash_point_is_told() -> None:
    told = set(_CODE.findall(PAGE))
    assert [point for point in Point if point not in told and point.partition(".")[0] + ".*" not in told] == []


def test_every_fault_that_the_page_names_can_strike() -> None:
    shown = re.findall(r"chaos `([a-z_.]+)`", PAGE)
    assert shown
    assert set(shown) <= {fault.name for fault in FAULTS}
