"""Orders asks again: risk tells its present word once more, or decides what it never heard of. Nothing counts twice."""

from services.risk.domain.review import DUE, Act
from services.risk.usecases.decide_review import DecideReview
from shared.contracts.orders import AnswerAwaited
from shared.contracts.risk import ReviewCause, RiskApproved, RiskRejected, RiskReviewDecided, RiskReviewOpened
from shared.effects import Deadline, Effect
from tests.builders.risk import (
    STORE,
    Desk,
    a_buyer,
    a_rule,
    a_rule_set,
    authorised,
    cancelled,
    only,
    order_id,
    placed,
)

ALWAYS = {"eq": [1, 1]}


def asked(*whom: str, matter: str = "agreement") -> AnswerAwaited:
    return AnswerAwaited(
        order_id=order_id(1), matter=matter, whom=whom or ("risk",), placed=placed(1, signals=a_buyer(1))
    )


def a_desk(score: int = 0) -> Desk:
    """Where every order scores that much: 50 is a review, 100 a rejection."""
    return Desk(a_rule_set(*([a_rule(ALWAYS, points=score)] if score else [])))


def told(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, Deadline)]


def test_a_question_to_others_is_not_answered() -> None:
    assert a_desk().settle(asked("inventory")) == []


def test_an_order_that_was_never_heard_of_is_assessed_now() -> None:
    desk = a_desk()
    assert isinstance(only(desk.settle(asked()), RiskApproved), RiskApproved)
    assert desk.measure("card", "card-1", "orders", "24h") == 1


def test_an_approval_is_told_again_and_the_order_counts_once() -> None:
    desk = a_desk()
    first = desk.settle(placed(1, signals=a_buyer(1)))
    assert desk.settle(asked()) == first
    assert desk.measure("card", "card-1", "orders", "24h") == 1


def test_a_rejection_is_told_again() -> None:
    desk = a_desk(100)
    first = only(desk.settle(placed(1)), RiskRejected)
    assert desk.settle(asked()) == [first]


def test_an_open_review_is_told_again_and_not_opened_twice() -> None:
    desk = a_desk(50)
    first = only(desk.settle(placed(1)), RiskReviewOpened)
    assert desk.settle(asked()) == [first]
    assert len(desk.casework.reviews) == 1


def test_what_a_person_decided_is_told_again() -> None:
    desk = a_desk(50)
    review_id = only(desk.settle(placed(1)), RiskReviewOpened).review_id
    decision = DecideReview(store_id=STORE, review_id=review_id, act=Act.REJECT, note="", actor="ann")
    decided = only(desk.settle(decision), RiskReviewDecided)
    assert desk.settle(asked()) == [decided]


def test_another_card_that_was_never_heard_of_is_reviewed_now() -> None:
    desk = a_desk()
    desk.settle(placed(1))
    effects = desk.settle(asked(matter="card"))
    assert only(effects, RiskReviewOpened).cause is ReviewCause.CARD_MISMATCH
    assert only(effects, Deadline).kind == DUE


def test_the_review_of_another_card_is_told_again() -> None:
    desk = a_desk()
    desk.settle(placed(1))
    first = only(desk.settle(authorised(1, card="fp_other", matches=False)), RiskReviewOpened)
    assert desk.settle(asked(matter="card")) == [first]


def test_a_question_about_the_card_of_an_order_that_was_never_heard_of_assesses_it_and_opens_the_review() -> None:
    effects = a_desk().settle(asked(matter="card"))
    assert only(effects, RiskApproved).order_id == order_id(1)
    assert only(effects, RiskReviewOpened).cause is ReviewCause.CARD_MISMATCH


def test_an_order_that_has_ended_gets_no_answer() -> None:
    desk = a_desk()
    desk.settle(placed(1), cancelled(1))
    assert desk.settle(asked()) == []
    assert desk.settle(asked(matter="card")) == []
