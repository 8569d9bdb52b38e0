"""The rule language: what it means, and that nothing malformed gets through or breaks it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.risk.domain.language import LARGEST, MOST_DEEP, MOST_NODES, Compiled, Problem, compile_condition
from services.risk.domain.operands import FACTS, MEASURES, SIGNALS, WINDOWS
from tests.builders.risk import velocity

TOTAL = {"fact": "total"}
COUNTRY = {"fact": "country"}


def outcome(tree: Any, **values: Any) -> bool | None:
    """What a condition says of these operand values."""
    compiled = compile_condition(tree, "/when")
    assert isinstance(compiled, Compiled), compiled
    return compiled.test(values)


def problems(tree: Any) -> list[Problem]:
    """What is wrong with a condition."""
    found = compile_condition(tree, "/when")
    return found if isinstance(found, list) else []


@pytest.mark.parametrize(
    ("tree", "values", "expected"),
    [
        ({"ge": [TOTAL, 100]}, {"total": 100}, True),
        ({"gt": [TOTAL, 100]}, {"total": 100}, False),
        ({"le": [TOTAL, 100]}, {"total": 101}, False),
        ({"lt": [99, TOTAL]}, {"total": 100}, True),
        ({"eq": [COUNTRY, "DE"]}, {"country": "DE"}, True),
        ({"ne": [COUNTRY, {"fact": "market_country"}]}, {"country": "DE", "market_country": "FR"}, True),
        ({"in": [COUNTRY, ["DE", "FR"]]}, {"country": "FR"}, True),
        ({"in": [COUNTRY, ["DE", "FR"]]}, {"country": "US"}, False),
        ({"in": [{"fact": "lines"}, [1, 2]]}, {"lines": 2}, True),
        ({"present": "card"}, {"present(card)": False}, False),
        ({"not": {"present": "card"}}, {"present(card)": False}, True),
        ({"ge": [velocity("card", "10m"), 5]}, {"velocity(card,10m,orders)": 5}, True),
        ({"gt": [{"mul": [TOTAL, 2]}, {"add": [TOTAL, {"sub": [10, 3]}]}]}, {"total": 8}, True),
        ({"eq": [{"div": [TOTAL, 3]}, 2]}, {"total": 8}, True),
        ({"eq": [{"div": [TOTAL, 3]}, -3]}, {"total": -8}, True),
    ],
)
def test_a_condition_means(tree, values, expected) -> None:
    assert outcome(tree, **values) is expected


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"ge": [TOTAL, 100]}, None),
        ({"not": {"ge": [TOTAL, 100]}}, None),
        ({"in": [COUNTRY, ["DE"]]}, None),
        ({"eq": [{"add": [TOTAL, 1]}, 1]}, None),
        ({"eq": [{"div": [1, 0]}, 1]}, None),
        ({"all": [{"ge": [TOTAL, 100]}, {"eq": [1, 1]}]}, None),
        ({"all": [{"ge": [TOTAL, 100]}, {"eq": [1, 2]}]}, False),
        ({"all": [{"eq": [1, 2]}, {"ge": [TOTAL, 100]}]}, False),
        ({"any": [{"ge": [TOTAL, 100]}, {"eq": [1, 1]}]}, True),
        ({"any": [{"ge": [TOTAL, 100]}, {"eq": [1, 2]}]}, None),
    ],
)
def test_what_is_unknown_stays_unknown_unless_the_rest_decides(tree, expected) -> None:
    assert outcome(tree, total=None, country=None) is expected


truths = st.sampled_from([True, False, None])


@given(st.lists(truths, min_size=1, max_size=5))
def test_all_and_any_follow_kleene(parts) -> None:
    leaf = {True: {"eq": [1, 1]}, False: {"eq": [1, 2]}, None: {"eq": [TOTAL, 1]}}
    trees = [leaf[part] for part in parts]
    assert outcome({"all": trees}, total=None) is (False if False in parts else None if None in parts else True)
    assert outcome({"any": trees}, total=None) is (True if True in parts else None if None in parts else False)
    # De Morgan holds in three values, too.
    negated = {"not": {"all": trees}}
    assert outcome(negated, total=None) is outcome({"any": [{"not": tree} for tree in trees]}, total=None)


@pytest.mark.parametrize(
    ("tree", "pointer"),
    [
        (None, "/when"),
        ([], "/when"),
        ({}, "/when"),
        ({"all": [], "any": []}, "/when"),
        ({"all": []}, "/when/all"),
        ({"all": [{"eq": [1, 1]}, {"nor": []}]}, "/when/all/1/nor"),
        ({"not": {"not": {"perhaps": 1}}}, "/when/not/not/perhaps"),
        ({"a/b~c": 1}, "/when/a~1b~0c"),
        ({"ge": [TOTAL]}, "/when/ge"),
        ({"ge": [TOTAL, 1, 2]}, "/when/ge"),
        ({"ge": [TOTAL, "100"]}, "/when/ge"),
        ({"ge": [COUNTRY, "DE"]}, "/when/ge"),
        ({"ge": [TOTAL, 1.5]}, "/when/ge/1"),
        ({"ge": [TOTAL, True]}, "/when/ge/1"),
        ({"ge": [TOTAL, None]}, "/when/ge/1"),
        ({"ge": [TOTAL, LARGEST + 1]}, "/when/ge/1"),
        ({"eq": [COUNTRY, ""]}, "/when/eq/1"),
        ({"eq": [COUNTRY, "\x00"]}, "/when/eq/1"),
        ({"eq": [COUNTRY, "x" * 201]}, "/when/eq/1"),
        ({"eq": [{"fact": "name"}, "x"]}, "/when/eq/0/fact"),
        ({"eq": [{"fact": ["total"]}, 1]}, "/when/eq/0/fact"),
        ({"eq": [{"eval": "1"}, 1]}, "/when/eq/0/eval"),
        ({"ge": [velocity("cards", "10m"), 1]}, "/when/ge/0/velocity/key"),
        ({"ge": [velocity("card", "1h"), 1]}, "/when/ge/0/velocity/window"),
        ({"ge": [velocity("card", "10m", "sum"), 1]}, "/when/ge/0/velocity/measure"),
        ({"ge": [{"velocity": {"key": "card"}}, 1]}, "/when/ge/0/velocity"),
        ({"ge": [{"velocity": {"key": ["card"], "window": {}, "measure": None}}, 1]}, "/when/ge/0/velocity/key"),
        ({"ge": [{"add": [TOTAL, COUNTRY]}, 1]}, "/when/ge/0/add/1"),
        ({"in": [COUNTRY, []]}, "/when/in"),
        ({"in": [COUNTRY, ["DE", 1]]}, "/when/in/1/1"),
        ({"in": [COUNTRY, [COUNTRY]]}, "/when/in/1/0"),
        ({"present": "nobody"}, "/when/present"),
        ({"present": {"card": 1}}, "/when/present"),
    ],
)
def test_a_malformed_condition_is_refused_where_it_is_wrong(tree, pointer) -> None:
    assert pointer in [problem.pointer for problem in problems(tree)]


def test_every_mistake_is_told_at_once() -> None:
    tree = {"all": [{"ge": [{"fact": "x"}, 1]}, {"eq": [TOTAL, 1]}, {"in": [COUNTRY, [1]]}]}
    assert [problem.pointer for problem in problems(tree)] == ["/when/all/0/ge/0/fact", "/when/all/2/in/1/0"]


def test_depth_and_size_are_bounded() -> None:
    tree: Any = {"eq": [1, 1]}
    for _ in range(MOST_DEEP - 1):
        tree = {"not": tree}
    assert problems(tree) == []
    assert problems({"not": tree})
    assert problems({"in": [COUNTRY, [str(number) for number in range(MOST_NODES)]]})
    deep: Any = 1
    for _ in range(5_000):
        deep = {"add": [deep, 1]}
    assert problems({"eq": [deep, 1]})


def test_conditions_tell_what_they_look_at() -> None:
    compiled = compile_condition(
        {"all": [{"present": "card"}, {"ge": [velocity("card", "10m"), {"add": [TOTAL, 1]}]}]}, "/r"
    )
    assert isinstance(compiled, Compiled)
    told = [(condition.pointer, condition.text, condition.operands) for condition in compiled.conditions]
    assert told == [
        ("/r/all/0", "present(card)", ("present(card)",)),
        ("/r/all/1", "velocity(card,10m,orders) ≥ (total + 1)", ("velocity(card,10m,orders)", "total")),
    ]


# ── Fuzz ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
terms = st.recursive(
    st.integers(-100, 100)
    | st.sampled_from(["DE", "storefront"])
    | st.sampled_from([{"fact": name} for name in FACTS])
    | st.builds(velocity, st.sampled_from(SIGNALS), st.sampled_from(list(WINDOWS)), st.sampled_from(MEASURES)),
    lambda inner: st.builds(
        lambda verb, a, b: {verb: [a, b]}, st.sampled_from(["add", "sub", "mul", "div"]), inner, inner
    ),
    max_leaves=4,
)
conditions = st.recursive(
    st.builds(lambda verb, a, b: {verb: [a, b]}, st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]), terms, terms)
    | st.builds(lambda a, members: {"in": [a, members]}, terms, st.lists(st.integers(0, 9), max_size=3))
    | st.builds(lambda name: {"present": name}, st.sampled_from([*SIGNALS, *FACTS])),
    lambda inner: (
        st.builds(lambda verb, parts: {verb: parts}, st.sampled_from(["all", "any"]), st.lists(inner, max_size=3))
        | st.builds(lambda part: {"not": part}, inner)
    ),
    max_leaves=6,
)


@given(json_values | conditions)
@example({"all": [{"not": []}]})
@settings(max_examples=500, deadline=None)
def test_any_document_is_compiled_or_refused_and_never_breaks(tree) -> None:
    found = compile_condition(tree, "/when")
    if isinstance(found, list):
        assert found
        assert all(problem.pointer.startswith("/when") and problem.problem for problem in found)


@given(conditions, st.data())
@settings(max_examples=500, deadline=None)
def test_whatever_compiles_gives_one_of_three_answers(tree, data) -> None:
    found = compile_condition(json.loads(json.dumps(tree)), "/when")
    if isinstance(found, list):
        return
    values: dict[str, Any] = {}
    for operand in found.operands:
        of_type = {"number": st.integers(-50, 50), "text": st.sampled_from(["DE", "US"])}[
            FACTS.get(operand.name, "number")
        ]
        truth = operand.name.startswith("present(")
        values[operand.name] = data.draw(st.booleans() if truth else of_type | st.none())
    assert found.test(values) in (True, False, None)
    assert all(condition.test(values) in (True, False, None) for condition in found.conditions)
