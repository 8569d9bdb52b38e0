"""The seller decides what becomes of what is sold and short: it waits for stock, or it ends."""

from datetime import datetime, timedelta

import pytest

from services.orders.domain.book import OrderBook
from services.orders.domain.holds import stock_choices
from services.orders.domain.order import STOCK_WAIT, Order
from services.orders.domain.standing import Status
from services.orders.usecases.decide_stock import DecideStock, GiveUp, Wait, decide_stock, end_stock_wait
from shared.contracts.orders import HoldPlaced, OrderCancellationRequested, PaymentRequested
from shared.effects import Deadline, Due, Effect, Forget, Reply
from shared.errors import Refusal
from tests.builders import orders as b
from tests.unit.orders.world import events_of

UNTIL = b.NOON + timedelta(days=3)


def short(order: Order | None = None) -> Order:
    order = order or b.a_sold_order()
    order.hear(b.refused(waiting=True), b.NOON)
    return order


def decided(order: Order, decision: Wait | GiveUp, *, store_id: str = b.STORE) -> list[Effect] | Refusal:
    book = OrderBook(orders={order.id: order})
    command = DecideStock(store_id=store_id, order_id=order.id, decision=decision)
    decision_made = decide_stock(command, book, b.a_moment())
    return decision_made if isinstance(decision_made, Refusal) else list(decision_made)


def waiting(until: datetime = UNTIL) -> Order:
    order = short()
    assert not isinstance(decided(order, Wait(until=until)), Refusal)
    return order


def refused_code(order: Order, decision: Wait | GiveUp, *, store_id: str = b.STORE) -> str:
    refusal = decided(order, decision, store_id=store_id)
    assert isinstance(refusal, Refusal)
    return refusal.code


def due(order: Order, at: datetime) -> list[Effect]:
    effects = end_stock_wait(Due(STOCK_WAIT, order.id), OrderBook(orders={order.id: order}), b.a_moment(at=at))
    assert not isinstance(effects, Refusal)
    return list(effects)


def test_an_order_that_waits_has_a_deadline_and_goes_on_being_held() -> None:
    order = short()
    effects = decided(order, Wait(until=UNTIL))
    assert not isinstance(effects, Refusal)
    assert Deadline(STOCK_WAIT, order.id, UNTIL) in effects
    assert [effect.status for effect in effects if isinstance(effect, Reply)] == [200]
    assert (set(order.holds), order.status) == ({"stock"}, Status.PLACED)


def test_a_person_is_told_when_the_time_is_over_and_it_is_still_short() -> None:
    order = waiting()
    (told,) = events_of(due(order, UNTIL))
    assert isinstance(told, HoldPlaced)
    assert (told.code, [reason.code for reason in told.reasons]) == ("needs_attention", ["stock.wait_over"])


def test_stock_that_comes_in_time_ends_the_waiting() -> None:
    order = waiting()
    assert Forget(STOCK_WAIT, order.id) in order.hear(b.reserved(), b.NOON)
    assert due(order, UNTIL) == []
    assert order.holds == {}


def test_stock_that_comes_late_clears_what_the_person_was_told() -> None:
    order = waiting()
    due(order, UNTIL)
    order.hear(b.reserved(), UNTIL)
    assert order.holds == {}


def test_another_shortage_is_another_decision() -> None:
    order = waiting()
    due(order, UNTIL)
    order.hear(b.reserved(), UNTIL)
    order.hear(b.broken(waiting=True), UNTIL)
    assert set(order.holds) == {"stock"}
    assert order.facts.stock_wait_until is None


def test_a_longer_wait_takes_the_place_of_a_shorter_one_and_of_what_followed_from_it() -> None:
    order = waiting()
    due(order, UNTIL)
    decision = order.wait_for_stock(UNTIL + timedelta(days=1), UNTIL)
    assert not isinstance(decision, Refusal)
    assert set(order.holds) == {"stock"}
    assert due(order, UNTIL) == []


def test_giving_up_is_the_sellers_cancellation() -> None:
    order = short()
    effects = decided(order, GiveUp(reason="out_of_stock"))
    assert not isinstance(effects, Refusal)
    assert [type(event) for event in events_of(effects)] == [PaymentRequested], (
        "what the channel collected is booked first"
    )
    assert [effect.status for effect in effects if isinstance(effect, Reply)] == [202]
    assert (order.facts.cancel_reason, order.facts.cancel_by) == ("out_of_stock", "seller")


def test_a_confirmed_order_that_lost_its_stock_is_given_up_through_logistics() -> None:
    order = b.a_sold_order(status=Status.CONFIRMED)
    order.hear(b.reserved(), b.NOON)
    order.hear(b.committed(), b.NOON)
    order.hear(b.broken(), b.NOON)
    assert "stock" in order.holds
    effects = decided(order, GiveUp(reason="out_of_stock"))
    assert not isinstance(effects, Refusal)
    assert OrderCancellationRequested in [type(event) for event in events_of(effects)]


@pytest.mark.parametrize("decision", [Wait(until=UNTIL), GiveUp(reason="out_of_stock")])
def test_an_order_that_is_not_short_or_is_anothers_is_not_decided_about(decision: Wait | GiveUp) -> None:
    assert refused_code(b.a_sold_order(), decision) == "order.not_short"
    assert refused_code(short(), decision, store_id="str_other") == "order.not_found"


def test_an_order_that_is_about_to_end_waits_for_nothing_and_offers_no_choice() -> None:
    order = short()
    assert stock_choices(order.facts) == ("wait", "cancel")
    decided(order, GiveUp(reason="out_of_stock"))
    assert stock_choices(order.facts) == ()
    assert refused_code(order, Wait(until=UNTIL)) == "order.cancellation_pending"


def test_nobody_waits_until_yesterday() -> None:
    assert refused_code(short(), Wait(until=b.NOON)) == "stock_decision.past"
