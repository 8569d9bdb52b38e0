"""What the database's module computes without one."""

import pytest

from shared.database import columns


def test_rows_become_one_array_a_column() -> None:
    assert columns([("a", 1), ("b", 2), ("c", 3)]) == [["a", "b", "c"], [1, 2, 3]]


def test_rows_may_come_from_a_generator() -> None:
    assert columns((name, len(name)) for name in ("ab", "c")) == [["ab", "c"], [2, 1]]


def test_no_row_has_no_column() -> None:
    assert columns([]) == []


def test_rows_of_different_lengths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="shorter"):
        columns([("a", 1), ("b",)])
