"""House rules that no linter knows, each with the mishap that it prevents. A rule takes a module's tree and says what breaks it."""

import ast
from collections.abc import Callable, Iterator

from shared.contracts.registry import EVENTS
from shared.contracts.topics import BY_NAME

Rule = Callable[[ast.Module], Iterator[str]]


def only_the_shell_commits(tree: ast.Module) -> Iterator[str]:
    """State, events and positions commit together, once. A use case or a query that commits by itself loses its events."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("commit", "rollback", "transaction"):
                yield f"line {node.lineno}: calls {node.func.attr}()"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.strip().rstrip(";").split(maxsplit=2)
            if words and words[0] in ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT") and len(words) <= 2:
                yield f"line {node.lineno}: says {words[0]}"


_UNCERTAIN_MODULES = frozenset(
    {"random", "secrets", "time", "uuid", "uuid_utils", "os", "asyncio", "socket", "subprocess"}
)
_UNCERTAIN_CALLS = frozenset({"now", "utcnow", "today", "uuid4", "uuid7", "urandom", "random"})


def decisions_are_arithmetic(tree: ast.Module) -> Iterator[str]:
    """What reads a clock, draws an id or awaits cannot be decided again in a retried batch with the same result."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    if name.name.partition(".")[0] in _UNCERTAIN_MODULES:
                        yield f"line {node.lineno}: imports {name.name}"
            case ast.ImportFrom(module=str(module), names=names):
                if module.partition(".")[0] in _UNCERTAIN_MODULES:
                    yield f"line {node.lineno}: imports from {module}"
                elif module == "shared.ids" and any(name.name == "new_id" for name in names):
                    yield f"line {node.lineno}: draws ids; derive them"
            case ast.Call(func=ast.Attribute(attr=attribute)) if attribute in _UNCERTAIN_CALLS:
                yield f"line {node.lineno}: calls {attribute}()"
            case ast.AsyncFunctionDef(name=name):
                yield f"line {node.lineno}: {name} is async"
            case ast.Call(func=ast.Name(id="open" | "input" | "print" as called)):
                yield f"line {node.lineno}: calls {called}()"
            case _:
                pass


_ON_THE_WIRE = BY_NAME.keys() | EVENTS.keys()


def topics_are_named_once(tree: ast.Module) -> Iterator[str]:
    """A topic or event type spelt out twice is misspelt once, and a consumer of nothing reports no error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in _ON_THE_WIRE:
            yield f"line {node.lineno}: spells {node.value!r}; take it from shared.contracts"


_METRICS = frozenset({"Counter", "Gauge", "Histogram", "Summary"})
_UNBOUNDED = frozenset(
    {"id", "key", "order", "sku", "customer", "buyer", "email", "store", "path", "url", "ip", "error", "message"}
)


def metric_labels_are_bounded(tree: ast.Module) -> Iterator[str]:
    """Every value of a label is a time series for ever: a label with ids in it is a slow outage of Prometheus."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _METRICS):
            continue
        if not (node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)):
            continue  # the other Counter, of collections
        if not node.args[0].value.startswith("freeport_"):
            yield f"line {node.lineno}: {node.args[0].value} does not begin with freeport_"
        for label in _labels(node):
            if not _UNBOUNDED.isdisjoint(label.split("_")):
                yield f"line {node.lineno}: {node.args[0].value} has the label {label}"


def _labels(call: ast.Call) -> list[str]:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "labelnames"] + call.args[2:3]
    return [
        inner.value
        for argument in given
        for inner in ast.walk(argument)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    ]


def a_consumer_only_routes(tree: ast.Module) -> Iterator[str]:
    """`consumers.py` is a table. A decision that hides in it is found by nobody who reads the use cases."""
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant()):
                pass
            case ast.FunctionDef(name="routes", body=body):
                yield from (
                    f"line {line.lineno}: decides in a routing table"
                    for line in body
                    if not isinstance(line, ast.Expr | ast.For)
                )
            case _:
                yield f"line {node.lineno}: is no part of a routing table"


def has_the_verb(file_name: str) -> Rule:
    """`ls services/*/usecases` is the feature list: a file holds the function it is called after, or several of its verb.

    `capture_payment.py` may hold `capture_at_dispatch` and `capture_at_delivery`.
    """
    verb = file_name.partition("_")[0]

    def rule(tree: ast.Module) -> Iterator[str]:
        public = [
            node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        ]
        if file_name not in public and not any(name == verb or name.startswith(f"{verb}_") for name in public):
            yield f"has no function {file_name} and none that begins with {verb}_"

    return rule
