"""The rule language: a JSON tree in, typed closures out. Nothing is evaluated as code.

    condition  {"all": [c, …]}  {"any": [c, …]}  {"not": c}  {"present": signal or fact}
               {"eq" | "ne" | "lt" | "le" | "gt" | "ge": [term, term]}  {"in": [term, [literal, …]]}
    term       whole number | text | {"fact": name} | {"velocity": {"key": …, "window": …, "measure": …}}
               {"add" | "sub" | "mul" | "div": [term, term]}   (whole numbers; div rounds down)

Truth has three values (Kleene): a comparison with an unknown operand, or a division by zero, is unknown, not false; `all` is
false as soon as one part is false, so `{"all": [{"present": "card"}, …]}` guards a rule about cards. Every node is checked
when the tree is read: types, names, depth and size; each problem names its place as a JSON pointer.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar, cast

from services.risk.domain.operands import (
    FACTS,
    MEASURES,
    SIGNALS,
    WINDOWS,
    Fact,
    Operand,
    Present,
    Type,
    Value,
    Values,
    Velocity,
)

Test: TypeAlias = Callable[[Values], bool | None]
T = TypeVar("T")

MOST_DEEP = 12
MOST_NODES = 200
LARGEST = 10**15
LONGEST = 200

_COMPARISONS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "eq": ("=", operator.eq),
    "ne": ("≠", operator.ne),
    "lt": ("<", operator.lt),
    "le": ("≤", operator.le),
    "gt": (">", operator.gt),
    "ge": ("≥", operator.ge),
}
_EQUALITIES = frozenset({"eq", "ne"})
_ARITHMETIC: Mapping[str, tuple[str, Callable[[int, int], int]]] = {
    "add": ("+", lambda a, b: a + b),
    "sub": ("-", lambda a, b: a - b),
    "mul": ("×", lambda a, b: a * b),
    "div": ("÷", lambda a, b: a // b),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a document, and where (RFC 6901 pointer)."""

    pointer: str
    problem: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A leaf of a rule: a comparison or a presence, with the operands it looks at."""

    pointer: str
    text: str
    operands: tuple[str, ...]
    test: Test


@dataclass(frozen=True, slots=True)
class Compiled:
    """A tree made callable."""

    test: Test
    conditions: tuple[Condition, ...]
    operands: frozenset[Operand]


@dataclass(frozen=True, slots=True)
class _Term:
    type: Type | None  # None after a problem, which fits everything: one mistake is told once
    text: str
    read: Callable[[Values], Value]
    operands: tuple[str, ...] = ()


_BROKEN = _Term(None, "?", lambda _: None)


def compile_condition(tree: object, pointer: str) -> Compiled | list[Problem]:
    """Check and compile a rule's `when`. `pointer` is where it stands in the document."""
    reading = _Reading()
    test = reading.condition(tree, pointer, 1)
    if reading.problems:
        return reading.problems
    return Compiled(test, tuple(reading.conditions), frozenset(reading.operands))


def child(pointer: str, *steps: str | int) -> str:
    """The pointer of a child: `child("/rules", 0, "when")` is `/rules/0/when`."""
    escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
    return "/".join((pointer, *escaped))


@dataclass(slots=True)
class _Reading:
    problems: list[Problem] = field(default_factory=list[Problem])
    conditions: list[Condition] = field(default_factory=list[Condition])
    operands: set[Operand] = field(default_factory=set[Operand])
    nodes: int = 0

    def condition(self, node: object, at: str, depth: int) -> Test:
        opened = self._open(node, at, depth, "a condition")
        if opened is None:
            return _unknown
        verb, body = opened
        inside = child(at, verb)
        if verb in ("all", "any"):
            return self._several(verb, body, inside, depth)
        if verb == "not":
            return _negated(self.condition(body, inside, depth + 1))
        if verb == "present":
            return self._presence(body, at, inside)
        if verb == "in":
            return self._membership(body, at, inside, depth)
        if verb in _COMPARISONS:
            return self._comparison(verb, body, at, depth)
        return self._fail(inside, f"there is no condition {_cut(verb)!r}", _unknown)

    def _several(self, verb: str, body: object, at: str, depth: int) -> Test:
        if not isinstance(body, list) or not body:
            return self._fail(at, f"{verb!r} takes a list of one or more conditions", _unknown)
        parts = cast("list[object]", body)
        tests = tuple(self.condition(part, child(at, index), depth + 1) for index, part in enumerate(parts))
        return _all_of(tests) if verb == "all" else _any_of(tests)

    def _presence(self, body: object, at: str, inside: str) -> Test:
        if not isinstance(body, str) or not (body in SIGNALS or body in FACTS):
            return self._fail(
                inside, f"names no signal and no fact; there are {', '.join((*SIGNALS, *FACTS))}", _unknown
            )
        operand = Present(body)
        self.operands.add(operand)
        name = operand.name
        return self._leaf(at, name, (name,), lambda values: bool(values[name]))

    def _membership(self, body: object, at: str, inside: str, depth: int) -> Test:
        pair = cast("list[object]", body) if isinstance(body, list) else []
        if len(pair) != 2 or not isinstance(pair[1], list) or not pair[1]:
            return self._fail(inside, "'in' takes a term and a list of one or more literals", _unknown)
        term = self._term(pair[0], child(inside, 0), depth + 1)
        literals = cast("list[object]", pair[1])
        for index, literal in enumerate(literals):
            found = self._literal(literal, child(inside, 1, index))
            if found is not None and term.type is not None and found.type not in (None, term.type):
                self._fail(child(inside, 1, index), f"{term.text} is a {term.type}, this is a {found.type}", None)
        members = frozenset(literal for literal in literals if isinstance(literal, int | str))
        read = term.read

        def test(values: Values) -> bool | None:
            value = read(values)
            return None if value is None else value in members

        return self._leaf(at, f"{term.text} in {_listed(members)}", term.operands, test)

    def _comparison(self, verb: str, body: object, at: str, depth: int) -> Test:
        inside = child(at, verb)
        terms = self._pair(body, inside, depth)
        if terms is None:
            return _unknown
        left, right = terms
        symbol, compare = _COMPARISONS[verb]
        if left.type is not None and right.type is not None:
            if left.type is not right.type:
                return self._fail(inside, f"{left.text} is a {left.type}, {right.text} is a {right.type}", _unknown)
            if verb not in _EQUALITIES and left.type is not Type.NUMBER:
                return self._fail(inside, f"{verb!r} compares numbers, {left.text} is a {left.type}", _unknown)
        a, b = left.read, right.read

        def test(values: Values) -> bool | None:
            x, y = a(values), b(values)
            return None if x is None or y is None else compare(x, y)

        return self._leaf(at, f"{left.text} {symbol} {right.text}", (*left.operands, *right.operands), test)

    def _leaf(self, at: str, text: str, operands: tuple[str, ...], test: Test) -> Test:
        self.conditions.append(Condition(at, text, tuple(dict.fromkeys(operands)), test))
        return test

    def _term(self, node: object, at: str, depth: int) -> _Term:
        if not isinstance(node, dict):
            literal = self._literal(node, at)
            return _BROKEN if literal is None else literal
        opened = self._open(cast("object", node), at, depth, "a term")
        if opened is None:
            return _BROKEN
        verb, body = opened
        inside = child(at, verb)
        if verb == "fact":
            return self._fact(body, inside)
        if verb == "velocity":
            return self._velocity(body, inside)
        if verb in _ARITHMETIC:
            return self._arithmetic(verb, body, inside, depth)
        return self._fail(inside, f"there is no term {_cut(verb)!r}", _BROKEN)

    def _literal(self, node: object, at: str) -> _Term | None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            return self._fail(at, f"a rule has {MOST_NODES} parts at most", None)
        if isinstance(node, int) and not isinstance(node, bool):
            if abs(node) > LARGEST:
                return self._fail(at, f"a number goes to {LARGEST} at most", None)
            return _Term(Type.NUMBER, str(node), lambda _: node)
        if isinstance(node, str):
            if not node or len(node) > LONGEST or "\x00" in node:
                return self._fail(at, f"a text has 1 to {LONGEST} characters, NUL not among them", None)
            return _Term(Type.TEXT, repr(node), lambda _: node)
        return self._fail(at, "a whole number, a text or an operand is expected", None)

    def _fact(self, body: object, at: str) -> _Term:
        if not isinstance(body, str) or body not in FACTS:
            return self._fail(at, f"names no fact; there are {', '.join(FACTS)}", _BROKEN)
        return self._operand(Fact(body), FACTS[body])

    def _velocity(self, body: object, at: str) -> _Term:
        if not isinstance(body, dict) or set(cast("dict[str, object]", body)) != {"key", "window", "measure"}:
            return self._fail(at, "a velocity has key, window and measure", _BROKEN)
        chosen = cast("dict[str, object]", body)
        for part, known in (("key", SIGNALS), ("window", tuple(WINDOWS)), ("measure", MEASURES)):
            if chosen[part] not in known:
                return self._fail(child(at, part), f"names no {part}; there are {', '.join(known)}", _BROKEN)
        return self._operand(Velocity(str(chosen["key"]), str(chosen["window"]), str(chosen["measure"])), Type.NUMBER)

    def _operand(self, operand: Fact | Velocity, of_type: Type) -> _Term:
        self.operands.add(operand)
        name = operand.name
        return _Term(of_type, name, lambda values: values[name], (name,))

    def _arithmetic(self, verb: str, body: object, at: str, depth: int) -> _Term:
        terms = self._pair(body, at, depth)
        if terms is None:
            return _BROKEN
        for index, term in enumerate(terms):
            if term.type not in (None, Type.NUMBER):
                return self._fail(child(at, index), f"{verb!r} takes numbers, {term.text} is a {term.type}", _BROKEN)
        left, right = terms
        symbol, compute = _ARITHMETIC[verb]
        a, b = left.read, right.read

        def read(values: Values) -> Value:
            x, y = a(values), b(values)
            if not isinstance(x, int) or not isinstance(y, int) or (y == 0 and verb == "div"):
                return None
            return compute(x, y)

        return _Term(Type.NUMBER, f"({left.text} {symbol} {right.text})", read, (*left.operands, *right.operands))

    def _pair(self, body: object, at: str, depth: int) -> tuple[_Term, _Term] | None:
        pair = cast("list[object]", body) if isinstance(body, list) else []
        if len(pair) != 2:
            return self._fail(at, "takes a list of two terms", None)
        return self._term(pair[0], child(at, 0), depth + 1), self._term(pair[1], child(at, 1), depth + 1)

    def _open(self, node: object, at: str, depth: int, what: str) -> tuple[str, object] | None:
        """The one verb of a node and what it is applied to."""
        self.nodes += 1
        if depth > MOST_DEEP:
            return self._fail(at, f"a rule goes {MOST_DEEP} levels deep at most", None)
        if self.nodes > MOST_NODES:
            return self._fail(at, f"a rule has {MOST_NODES} parts at most", None)
        if not isinstance(node, dict) or len(cast("dict[str, object]", node)) != 1:
            return self._fail(at, f"{what} is an object with exactly one member", None)
        return next(iter(cast("dict[str, object]", node).items()))

    def _fail(self, at: str, problem: str, instead: T) -> T:
        self.problems.append(Problem(at, problem))
        return instead


def _unknown(values: Values) -> bool | None:
    return None


def _negated(test: Test) -> Test:
    def negated(values: Values) -> bool | None:
        outcome = test(values)
        return None if outcome is None else not outcome

    return negated


def _all_of(tests: Sequence[Test]) -> Test:
    def all_of(values: Values) -> bool | None:
        unknown = False
        for test in tests:
            outcome = test(values)
            if outcome is False:
                return False
            unknown = unknown or outcome is None
        return None if unknown else True

    return all_of


def _any_of(tests: Sequence[Test]) -> Test:
    def any_of(values: Values) -> bool | None:
        unknown = False
        for test in tests:
            outcome = test(values)
            if outcome is True:
                return True
            unknown = unknown or outcome is None
        return None if unknown else False

    return any_of


def _listed(members: frozenset[int | str]) -> str:
    shown = [repr(member) for member in sorted(members, key=str)[:8]]
    return "[" + ", ".join(shown) + (", …" if len(members) > len(shown) else "") + "]"


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
