"""Batching is never visible in what risk says and remembers."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.risk.consumers import routes
from services.risk.domain.casework import Casework
from services.risk.domain.operands import MEASURES, WINDOWS
from services.risk.domain.order_file import OrderFile
from services.risk.domain.review import DUE, Act, Review
from services.risk.domain.rule_set import RuleSet
from services.risk.domain.velocity import History
from services.risk.rules import shipped_rule_set
from services.risk.usecases.activate_rule_set import ActivateRuleSet
from services.risk.usecases.decide_review import DecideReview
from shared.contracts.risk import ReviewCause
from shared.effects import Due
from shared.ids import derive_id
from shared.messaging.message import Message
from shared.messaging.routing import Router
from tests.builders.risk import (
    NOON,
    STORE,
    a_casework,
    a_document,
    a_history,
    a_moment,
    a_rule,
    authorised,
    cancelled,
    declined,
    order_id,
    placed,
    refunded,
    return_requested,
    velocity,
)
from tests.unit.batching import batch_sizes, check_batching

_STRICT = a_document(
    a_rule({"all": [{"present": "card"}, {"ge": [velocity("card", "24h"), 2]}]}, id="second_on_a_card")
)


class MemoryStore:
    """Rows in memory; like the repository it gives copies of what the messages need, and folds histories between batches."""

    def __init__(self) -> None:
        self.files: dict[str, OrderFile] = {}
        self.histories: dict[str, History] = {}
        self.reviews: dict[str, Review] = {}
        self.rule_sets: dict[str, RuleSet] = {}

    def load(self, messages: Sequence[Message]) -> Casework:
        casework = a_casework(shipped_rule_set())
        casework.files.update(copy.deepcopy(self.files))
        casework.histories.update(copy.deepcopy(self.histories))
        casework.reviews = copy.deepcopy(self.reviews)
        casework.rule_sets = dict(self.rule_sets)
        for history in casework.histories.values():
            if len(history.entries) >= 3:
                history.fold()
        return casework

    def save(self, state: Casework) -> None:
        self.files.update(state.files)
        self.histories.update(state.histories)
        self.reviews.update(state.reviews)
        self.rule_sets.update(state.rule_sets)

    def rows(self) -> Any:
        files = {key: replace(file, changed=False) for key, file in self.files.items()}
        reviews = {key: replace(review, changed=False) for key, review in self.reviews.items()}
        return files, reviews, {key: _windows(history) for key, history in self.histories.items()}


def _windows(history: History) -> dict[tuple[str, str], Any]:
    end = int(NOON.timestamp()) + 60
    return {(measure, window): history.measure(measure, window, end) for measure in MEASURES for window in WINDOWS}


orders = st.integers(1, 6)
cards = st.sampled_from(["", "a", "b"])
bodies = st.one_of(
    st.builds(authorised, orders, card=cards, matches=st.booleans()),
    st.builds(declined, orders, st.integers(1, 2)),
    st.builds(refunded, orders),
    st.builds(return_requested, orders),
    st.builds(
        lambda number, act, cause: DecideReview(
            store_id=STORE, review_id=derive_id("rev", order_id(number), cause.value), act=act, note="", actor="sk_test"
        ),
        orders,
        st.sampled_from([Act.APPROVE, Act.REJECT]),
        st.sampled_from(ReviewCause),
    ),
    st.builds(lambda number: Due(DUE, derive_id("rev", order_id(number), "order")), orders),
    st.just(ActivateRuleSet(store_id=STORE, document=_STRICT, actor="sk_test")),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """Orders placed once each, perhaps cancelled after, among whatever else happens to them."""
    drawn: list[Any] = draw(st.lists(bodies, max_size=25))
    for number in draw(st.lists(orders, unique=True)):
        at = NOON - timedelta(seconds=draw(st.integers(0, 1200)))
        order = placed(number, at=at, card=draw(cards), device=draw(st.sampled_from(["", "d"])))
        place = draw(st.integers(0, len(drawn)))
        drawn.insert(place, order)
        if draw(st.booleans()):
            drawn.insert(draw(st.integers(place + 1, len(drawn))), cancelled(number))
    return [Message(body=body, moment=a_moment(number, at=NOON)) for number, body in enumerate(drawn)]


@given(streams(), batch_sizes())
@settings(max_examples=100, deadline=None)
def test_batching_is_never_visible(messages, sizes) -> None:
    router: Router[Casework] = Router()
    routes(router)
    check_batching(messages, sizes, MemoryStore, router)


def test_the_store_folds_so_that_the_test_means_something() -> None:
    history = a_history()
    for second in range(3):
        history.record(second, (1,) * 10)
    store = MemoryStore()
    store.histories["key"] = history
    assert store.load([]).histories["key"].folded
