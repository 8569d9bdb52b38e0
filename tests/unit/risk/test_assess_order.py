"""Orders and the shipped rules: who is asked about, who is let through, and what is told of it."""

from datetime import timedelta
from itertools import permutations

import pytest

from services.risk.domain.order_file import IllegalTransition
from services.risk.domain.review import ANSWER_WITHIN
from services.risk.domain.rule_set import Decision
from services.risk.rules import shipped_rule_set
from services.risk.usecases.assess_order import assess_order
from shared.contracts.risk import ReviewCause, RiskApproved, RiskRejected, RiskReviewOpened
from shared.effects import Deadline
from shared.money import Money
from tests.builders.risk import (
    NOON,
    Desk,
    a_buyer,
    a_moment,
    a_rule,
    a_rule_set,
    authorised,
    declined,
    only,
    order_id,
    placed,
    refunded,
    return_received,
    return_requested,
    seconds,
    velocity,
)

ALWAYS = {"eq": [1, 1]}


def _rules(told: object) -> set[str]:
    """The rules that a review was opened for."""
    assert isinstance(told, RiskReviewOpened)
    return {reason.rule for reason in told.reasons}


def test_an_ordinary_order_is_approved_under_the_rule_set_that_decided() -> None:
    approved = only(Desk().settle(placed(signals=a_buyer(1))), RiskApproved)
    assert (approved.order_id, approved.score, approved.rule_set) == (order_id(1), 0, shipped_rule_set().id)


def test_an_order_without_any_signal_is_approved() -> None:
    assert only(Desk().settle(placed()), RiskApproved).score == 0


def test_a_ring_of_forty_buyers_on_one_card_is_asked_about_from_the_fourth_on() -> None:
    desk = Desk()
    told = [
        desk.settle(placed(n, at=NOON + seconds(n), signals=a_buyer(n) | {"card": "ring"}))[0] for n in range(1, 41)
    ]
    assert [type(event) for event in told] == [RiskApproved] * 3 + [RiskReviewOpened] * 37
    assert [_rules(event) for event in told[3:5]] == [{"card_of_many"}, {"card_ring", "card_of_many"}]


def test_a_ring_of_one_buyer_with_one_of_everything_is_reviewed_and_not_rejected() -> None:
    desk = Desk()
    told = [desk.settle(placed(n, at=NOON + seconds(n), signals=a_buyer(7)))[0] for n in range(1, 41)]
    assert [type(event) for event in told] == [RiskApproved] * 4 + [RiskReviewOpened] * 36
    assert _rules(told[-1]) == {"card_ring", "device_ring", "address_ring"}


def test_few_orders_of_many_units_on_one_card_are_a_ring_too() -> None:
    desk = Desk()
    told = [desk.settle(placed(n, quantities={"MUG": 20}, card="ring"))[0] for n in range(1, 4)]
    assert [type(event) for event in told] == [RiskApproved, RiskApproved, RiskReviewOpened]


def test_two_hundred_buyers_of_a_flash_sale_behind_one_address_of_the_internet_pass() -> None:
    desk = Desk()
    told = [
        desk.settle(placed(n, at=NOON + seconds(n / 100), signals=a_buyer(n) | {"ip": "office"}))[0]
        for n in range(1, 201)
    ]
    assert {type(event) for event in told} == {RiskApproved}


def test_orders_on_one_card_far_apart_are_no_ring() -> None:
    desk = Desk()
    told = [desk.settle(placed(n, at=NOON + timedelta(minutes=6 * n), card="regular"))[0] for n in range(1, 21)]
    assert {type(event) for event in told} == {RiskApproved}


def test_orders_of_a_channel_without_hashes_pass_however_many_and_dear() -> None:
    desk = Desk()
    told = [desk.settle(placed(n, channel="ebay", total=Money(5_000_000, "GBP")))[0] for n in range(1, 101)]
    assert {type(event) for event in told} == {RiskApproved}


def test_the_shop_of_another_country_and_a_high_first_order_alone_pass_and_with_a_very_high_one_do_not() -> None:
    assert (
        only(Desk().settle(placed(country="AT", total=Money(200_000, "EUR"), signals=a_buyer(1))), RiskApproved).score
        == 35
    )
    review = only(Desk().settle(placed(total=Money(1_000_000, "EUR"), signals=a_buyer(1))), RiskReviewOpened)
    assert [reason.rule for reason in review.reasons] == ["very_high_value", "first_order_high_value"]


def test_a_total_in_a_currency_without_a_rate_is_asked_about_and_not_waved_through() -> None:
    review = only(Desk().settle(placed(total=Money(1000, "KWD"))), RiskReviewOpened)
    assert review.reasons[0].message.endswith("cannot be told: channel = storefront, total = unknown")


def test_four_cards_on_one_device_are_asked_about() -> None:
    desk = Desk()
    told = [desk.settle(placed(n, at=NOON + timedelta(hours=n), device="d", card=f"card-{n}"))[0] for n in range(1, 5)]
    assert [type(event) for event in told] == [RiskApproved] * 3 + [RiskReviewOpened]


def test_declines_of_a_card_count_and_ten_of_them_reject() -> None:
    desk = Desk()
    desk.settle(placed(1, card="tested"))
    desk.settle(*(declined(1, attempt) for attempt in range(1, 4)))
    assert only(desk.settle(placed(2, at=NOON + seconds(1), card="tested")), RiskReviewOpened)
    desk.settle(*(declined(2, attempt) for attempt in range(4, 11)))
    rejected = only(desk.settle(placed(3, at=NOON + seconds(2), card="tested")), RiskRejected)
    assert "card_testing" in {reason.rule for reason in rejected.reasons}


def test_the_same_decline_twice_counts_once() -> None:
    desk = Desk()
    desk.settle(
        placed(1, card="c"),
        declined(1),
        declined(1),
        refunded(1),
        refunded(1),
        return_requested(1),
        return_requested(1),
    )
    assert desk.measure("card", "c", "declines", "24h") == 1
    assert desk.measure("card", "c", "refunds", "24h") == 1
    assert desk.measure("card", "c", "returns", "24h") == 1


def test_refunds_and_returns_count_under_every_key_of_their_order() -> None:
    desk = Desk()
    desk.settle(
        placed(1, signals=a_buyer(1)),
        refunded(1, amount=Money(1250, "USD")),
        return_requested(1),
        return_received(1, missing=2),
    )
    for kind in ("customer", "email", "phone", "device", "address", "ip", "card"):
        seen = [
            desk.measure(kind, f"{kind}-1", measure, "30d") for measure in ("refunds", "returns", "received", "missing")
        ]
        assert seen == [1, 1, 1, 2], kind
    assert desk.measure("card", "card-1", "refunded", "30d") == round(1250 / 1.034)


def test_refunds_to_a_customer_make_the_next_order_a_question() -> None:
    desk = Desk()
    for number in range(1, 6):
        desk.settle(
            placed(number, at=NOON + timedelta(days=number), customer="c"),
            refunded(number),
            at=NOON + timedelta(days=number),
        )
    review = only(desk.settle(placed(6, at=NOON + timedelta(days=6), customer="c")), RiskReviewOpened)
    assert [reason.rule for reason in review.reasons] == ["goods_do_not_come_back"]


def test_what_comes_before_its_order_counts_when_the_order_comes() -> None:
    for sequence in permutations([placed(1, card="c"), declined(1), refunded(1), return_requested(1)]):
        desk = Desk()
        desk.settle(*sequence)
        seen = [desk.measure("card", "c", measure, "24h") for measure in ("orders", "declines", "refunds", "returns")]
        assert seen == [1, 1, 1, 1]


def test_an_order_counts_when_it_was_placed_but_never_later_than_it_was_told() -> None:
    desk = Desk()
    late = placed(1, at=NOON - timedelta(days=3), card="c")
    desk.settle(late)
    assert desk.measure("card", "c", "orders", "24h") == 0
    assert desk.measure("card", "c", "orders", "24h", NOON - timedelta(days=3)) == 1
    ahead = placed(2, at=NOON + timedelta(days=9999), card="d")
    assess_order(ahead, desk.casework, a_moment(at=NOON))
    assert desk.measure("card", "d", "orders", "10m", NOON) == 1


def test_a_review_has_four_hours_by_the_clock_of_this_service() -> None:
    effects = Desk(a_rule_set(a_rule(ALWAYS))).settle(placed(), decided_at=NOON + timedelta(hours=1))
    review = only(effects, RiskReviewOpened)
    assert review.due_at == NOON + timedelta(hours=1) + ANSWER_WITHIN
    assert only(effects, Deadline) == Deadline("review.due", review.review_id, review.due_at)
    assert review.cause is ReviewCause.ORDER


def test_rules_reject_what_the_shop_sells_and_ask_about_what_a_channel_has_sold() -> None:
    rule_set = a_rule_set(a_rule(ALWAYS, action="reject"))
    assert only(Desk(rule_set).settle(placed()), RiskRejected).reasons[0].rule == "rule"
    desk = Desk(rule_set)
    review = only(desk.settle(placed(channel="amazon")), RiskReviewOpened)
    assert [reason.code for reason in review.reasons] == ["risk.rule", "risk.sold_by_channel"]
    assessment = desk.casework.files[order_id(1)].assessment
    assert assessment is not None
    assert (assessment.decision, assessment.verdict.decision) == (Decision.REVIEW, Decision.REJECT)


def test_what_was_stored_of_an_assessment_gives_the_same_verdict_again() -> None:
    desk = Desk()
    for number in range(1, 10):
        desk.settle(placed(number, signals=a_buyer(number % 3) | {"card": "ring"}))
    for file in desk.casework.files.values():
        assert file.assessment is not None
        assert shipped_rule_set().judge(dict(file.assessment.values)) == file.assessment.verdict


def test_a_history_that_is_forgotten_makes_the_answer_unknown_and_asks() -> None:
    desk = Desk(a_rule_set(a_rule({"all": [{"present": "card"}, {"ge": [velocity("card", "30d"), 5]}]})))
    assert only(desk.settle(placed(1, card="c")), RiskApproved)
    review = only(desk.settle(placed(2, at=NOON - timedelta(days=200), card="c")), RiskReviewOpened)
    assert review.reasons[0].message == "A rule cannot be told: velocity(card,30d,orders) = unknown"


def test_placing_an_order_twice_is_loud() -> None:
    desk = Desk()
    desk.settle(placed(1))
    with pytest.raises(IllegalTransition):
        desk.settle(placed(1))


def test_stores_do_not_share_what_they_saw() -> None:
    desk = Desk()
    for number in range(1, 6):
        desk.casework.files[order_id(number)].store_id = f"str_{number}"
        assert only(desk.settle(placed(number, card="c")), RiskApproved)


def test_the_card_that_was_really_charged_counts_when_another_was_announced() -> None:
    desk = Desk()
    for number in range(1, 6):
        desk.settle(placed(number, at=NOON + seconds(number), device=f"d-{number}", card=f"made-up-{number}"))
        desk.settle(authorised(number, card="real", matches=False))
    assert desk.measure("card", "real", "orders", "10m", NOON + seconds(5)) == 5
    assert desk.measure("device", "d-1", "distinct_cards", "10m", NOON + seconds(5)) == 2
    review = only(desk.settle(placed(6, at=NOON + seconds(6), card="real")), RiskReviewOpened)
    assert [reason.rule for reason in review.reasons] == ["card_ring"]
