"""Each house rule finds what it is there for, and lets the rest be."""

import ast

import pytest

from tests.architecture import rules
from tests.architecture.rules import Rule


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (rules.only_the_shell_commits, "async def f(c): await c.commit()"),
        (rules.only_the_shell_commits, "async def f(d):\n async with d.transaction(): pass"),
        (rules.only_the_shell_commits, "async def f(c): await c.execute('BEGIN')"),
        (rules.only_the_shell_commits, "async def f(c): await c.execute(' ROLLBACK;')"),
        (rules.decisions_are_arithmetic, "import random"),
        (rules.decisions_are_arithmetic, "import os.path"),
        (rules.decisions_are_arithmetic, "from time import monotonic"),
        (rules.decisions_are_arithmetic, "from uuid import uuid4"),
        (rules.decisions_are_arithmetic, "from shared.ids import derive_id, new_id"),
        (rules.decisions_are_arithmetic, "def f(): return datetime.now(UTC)"),
        (rules.decisions_are_arithmetic, "def f(): return date.today()"),
        (rules.decisions_are_arithmetic, "async def f(): pass"),
        (rules.decisions_are_arithmetic, "def f(): return open('rates')"),
        (rules.topics_are_named_once, "TOPIC = 'orders.order.v1'"),
        (rules.topics_are_named_once, "def f(e): return e.type == 'orders.order.placed.v1'"),
        (rules.metric_labels_are_bounded, "C = Counter('freeport_x_total', 'X.', ('order_id',))"),
        (rules.metric_labels_are_bounded, "C = Gauge('freeport_x', 'X.', labelnames=['sku'])"),
        (rules.metric_labels_are_bounded, "C = Histogram('requests', 'X.')"),
        (rules.a_consumer_only_routes, "LIMIT = 3"),
        (rules.a_consumer_only_routes, "def routes(on):\n if 1: on(A, b)"),
        (rules.a_consumer_only_routes, "def decide(a, b, c): return []"),
        (rules.has_the_verb("place_order"), "def places(): pass"),
        (rules.has_the_verb("place_order"), "def f():\n def place_order(): pass"),
    ],
)
def test_a_breach_is_found(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source)))


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (
            rules.only_the_shell_commits,
            "async def f(c): await c.execute('SELECT 1')\nWORDS = 'Begin anew. COMMIT is a word'",
        ),
        (rules.decisions_are_arithmetic, "from datetime import datetime\ndef f(now): return now.decided_at"),
        (rules.decisions_are_arithmetic, "from shared.ids import derive_id"),
        (rules.topics_are_named_once, "from shared.contracts.topics import ORDER\nNAME = 'orders.order'"),
        (rules.metric_labels_are_bounded, "C = Counter('freeport_x_total', 'X.', ('decision', 'market'))"),
        (rules.metric_labels_are_bounded, "C = Counter(line.sku for line in lines)"),
        (rules.a_consumer_only_routes, "'''Doc.'''\nfrom a import b\ndef routes(on):\n '''Doc.'''\n on(A, b)"),
        (rules.has_the_verb("place_order"), "def place_order(): pass"),
        (rules.has_the_verb("capture_payment"), "def capture_at_dispatch(): pass\ndef capture_at_delivery(): pass"),
    ],
)
def test_what_is_allowed_is_let_be(rule: Rule, source: str) -> None:
    assert list(rule(ast.parse(source))) == []
