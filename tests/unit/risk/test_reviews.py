"""Reviews: a person decides once, a machine never, and the order's end closes what is open."""

from datetime import timedelta
from itertools import product

import pytest

from services.risk.domain.review import DUE, TRANSITIONS, Act, Review, Status
from services.risk.usecases.activate_rule_set import ActivateRuleSet
from services.risk.usecases.decide_review import DecideReview
from shared.contracts.risk import ReviewCause, RiskApproved, RiskReviewDecided, RiskReviewOpened
from shared.effects import Due, Forget, Reply
from shared.errors import Kind, Refusal
from tests.builders.risk import (
    NOON,
    STORE,
    Desk,
    a_document,
    a_rule,
    a_rule_set,
    authorised,
    cancelled,
    only,
    order_id,
    placed,
    rejected,
)

ALWAYS = {"eq": [1, 1]}


def a_reviewed_order() -> tuple[Desk, str]:
    """An order with an open review, and the review's id."""
    desk = Desk(a_rule_set(a_rule(ALWAYS)))
    return desk, only(desk.settle(placed()), RiskReviewOpened).review_id


def decide(
    review_id: str, act: Act = Act.APPROVE, *, store_id: str = STORE, actor: str = "sk_test_ann"
) -> DecideReview:
    """A person's decision."""
    return DecideReview(store_id=store_id, review_id=review_id, act=act, note="called them", actor=actor)


def test_the_transition_table_is_total() -> None:
    assert TRANSITIONS.keys() == set(product(Status, Act))


def test_a_final_status_never_changes() -> None:
    assert all(to in (None, status) for (status, _), to in TRANSITIONS.items() if status is not Status.OPEN)


@pytest.mark.parametrize(("act", "approved"), [(Act.APPROVE, True), (Act.REJECT, False)])
def test_a_person_decides_and_is_named(act, approved) -> None:
    desk, review_id = a_reviewed_order()
    effects = desk.settle(decide(review_id, act))
    decided = only(effects, RiskReviewDecided)
    assert (decided.approved, decided.decided_by, decided.cause) == (approved, "sk_test_ann", ReviewCause.ORDER)
    assert only(effects, Forget) == Forget(DUE, review_id)
    assert only(effects, Reply).body["status"] == ("approved" if approved else "rejected")


def test_the_note_stays_here() -> None:
    desk, review_id = a_reviewed_order()
    desk.settle(decide(review_id))
    assert desk.casework.reviews[review_id].note == "called them"
    assert "called them" not in str(only(desk.published, RiskReviewDecided))


def test_the_same_decision_again_is_answered_and_not_told_twice() -> None:
    desk, review_id = a_reviewed_order()
    first = only(desk.settle(decide(review_id)), Reply)
    (again,) = desk.settle(decide(review_id, actor="sk_test_bob"))
    assert again == first


def test_another_decision_afterwards_is_refused_and_changes_nothing() -> None:
    desk, review_id = a_reviewed_order()
    desk.settle(decide(review_id))
    refusal = desk.answer(decide(review_id, Act.REJECT))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.kind) == ("review.decided", Kind.CONFLICT)
    assert desk.casework.reviews[review_id].status is Status.APPROVED


def test_another_stores_review_is_not_there() -> None:
    desk, review_id = a_reviewed_order()
    refusal = desk.answer(decide(review_id, store_id="str_other"))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.kind) == ("review.not_found", Kind.NOT_FOUND)


def test_an_overdue_review_stays_open_and_says_so() -> None:
    desk, review_id = a_reviewed_order()
    assert desk.settle(Due(DUE, review_id), at=NOON + timedelta(hours=4)) == []
    review = desk.casework.reviews[review_id]
    assert (review.status, review.overdue) == (Status.OPEN, True)
    assert only(desk.settle(decide(review_id)), RiskReviewDecided).approved


def test_a_deadline_that_comes_after_the_decision_changes_nothing() -> None:
    desk, review_id = a_reviewed_order()
    desk.settle(decide(review_id), Due(DUE, review_id), Due(DUE, "rev_unheard_of"))
    assert not desk.casework.reviews[review_id].overdue


@pytest.mark.parametrize("ended", [cancelled(), rejected()])
def test_the_end_of_an_order_closes_its_open_review_without_a_word(ended) -> None:
    desk, review_id = a_reviewed_order()
    assert desk.settle(ended) == [Forget(DUE, review_id)]
    assert desk.casework.reviews[review_id].status is Status.CLOSED
    assert desk.settle(ended) == []
    refusal = desk.answer(decide(review_id))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "review.closed"


def test_the_end_of_an_order_leaves_a_decision_as_it_was() -> None:
    desk, review_id = a_reviewed_order()
    desk.settle(decide(review_id, Act.REJECT))
    assert desk.settle(rejected()) == []
    assert desk.casework.reviews[review_id].status is Status.REJECTED


def test_another_card_than_announced_is_a_review_of_its_own() -> None:
    desk = Desk()
    desk.settle(placed(card="announced"))
    review = only(desk.settle(authorised(card="charged", matches=False)), RiskReviewOpened)
    assert (review.cause, review.reasons[0].code) == (ReviewCause.CARD_MISMATCH, "risk.card_mismatch")
    assert desk.settle(authorised(card="charged", matches=False)) == []
    decided = only(desk.settle(decide(review.review_id)), RiskReviewDecided)
    assert decided.cause is ReviewCause.CARD_MISMATCH


def test_an_order_may_be_reviewed_for_each_cause() -> None:
    desk, review_id = a_reviewed_order()
    desk.settle(decide(review_id))
    other = only(desk.settle(authorised(card="charged", matches=False)), RiskReviewOpened)
    assert other.review_id != review_id
    assert len(desk.casework.reviews_of(order_id(1))) == 2


def test_the_announced_card_opens_no_review() -> None:
    desk = Desk()
    desk.settle(placed(card="announced"))
    assert desk.settle(authorised(card="announced")) == []
    assert desk.settle(authorised()) == []


def test_an_ended_order_is_not_reviewed_any_more() -> None:
    desk = Desk()
    desk.settle(placed(card="announced"), cancelled())
    assert desk.settle(authorised(card="charged", matches=False)) == []
    assert desk.measure("card", "charged", "orders", "24h") == 1


def test_a_mismatch_is_heard_even_when_it_comes_before_the_order() -> None:
    desk = Desk()
    review = only(desk.settle(authorised(card="charged", matches=False)), RiskReviewOpened)
    assert review.cause is ReviewCause.CARD_MISMATCH
    assert only(desk.settle(placed(card="announced")), RiskApproved)
    assert desk.measure("card", "charged", "orders", "24h") == 1
    assert desk.measure("card", "announced", "orders", "24h") == 1


def test_a_new_rule_set_decides_from_the_next_order_on() -> None:
    desk = Desk()
    assert only(desk.settle(placed(1)), RiskApproved)
    document = a_document(a_rule(ALWAYS))
    reply = only(desk.settle(ActivateRuleSet(store_id=STORE, document=document, actor="sk_test_ann")), Reply)
    assert only(desk.settle(placed(2)), RiskReviewOpened).rule_set == reply.body["id"]


def test_a_malformed_rule_set_changes_nothing_and_is_told_where() -> None:
    desk = Desk()
    document = a_document(a_rule({"ge": [{"fact": "totl"}, 1]}))
    refusal = desk.answer(ActivateRuleSet(store_id=STORE, document=document, actor="sk_test_ann"))
    assert isinstance(refusal, Refusal)
    assert refusal.facts["problems"][0]["pointer"] == "/rules/0/when/ge/0/fact"
    assert desk.casework.activations == []


def test_what_a_caller_is_told_of_a_review_is_all_of_it_but_the_inner_workings() -> None:
    desk, review_id = a_reviewed_order()
    told = desk.casework.reviews[review_id].as_told()
    assert told.keys() == set(Review.__dataclass_fields__) - {"store_id", "version", "changed"}
