"""What a channel has collected goes back to the buyer, however the order ends: orders and payments, played together."""

from collections.abc import Callable

import pytest

from services.orders.domain.order import Order
from services.orders.domain.standing import Status
from services.payments.domain.payment import State
from shared.contracts.orders import OrderCancelled, OrderConfirmed, OrderRejected, PaymentRequested
from shared.contracts.payments import RefundRequested, RefundSucceeded
from shared.contracts.registry import Event
from shared.errors import Refusal
from tests.builders import orders as b
from tests.builders.payments import World as Payments
from tests.unit.orders.world import events_of


class Both:
    """An order and its payment, each hearing what the other publishes until both are still."""

    def __init__(self, order: Order) -> None:
        self.order, self.payments = order, Payments()
        self.published: list[Event] = []

    def hear(self, message: Event) -> None:
        self._settle(events_of(self.order.hear(message, b.NOON)))

    def cancel(self, requested_by: str = "seller") -> None:
        effects = self.order.cancel("changed_mind", requested_by, b.NOON)
        assert not isinstance(effects, Refusal)
        self._settle(events_of(effects))

    def _settle(self, told: list[Event]) -> None:
        while told:
            self.published += told
            heard = len(self.payments.events)
            self.payments.hear(
                *(event for event in told if isinstance(event, PaymentRequested | OrderRejected | OrderCancelled))
            )
            answers = self.payments.events[heard:]
            told = [event for answer in answers for event in events_of(self.order.hear(answer, b.NOON))]

    @property
    def given_back(self) -> int:
        (requested,) = self.payments.told(RefundRequested)
        (succeeded,) = self.payments.told(RefundSucceeded)
        assert isinstance(requested, RefundRequested)
        assert isinstance(succeeded, RefundSucceeded)
        assert requested.through_channel
        return succeeded.amount.amount


def prohibited(both: Both) -> None:
    both.hear(b.prohibited())


def refused_by_a_person(both: Both) -> None:
    both.hear(b.review_opened())
    both.hear(b.review_decided(approved=False))


def cancelled_at_once(both: Both) -> None:
    both.cancel("buyer")


def oversold_and_given_up(both: Both) -> None:
    both.hear(b.refused(waiting=True))
    both.cancel("seller")


def rejected_by_the_rules_and_given_up(both: Both) -> None:
    both.hear(b.rejected())
    both.cancel("channel")


ENDS: dict[str, tuple[Callable[[Both], None], Status]] = {
    "prohibited goods": (prohibited, Status.REJECTED),
    "a person of risk says no": (refused_by_a_person, Status.REJECTED),
    "cancelled at once": (cancelled_at_once, Status.CANCELLED),
    "oversold, and a person gives it up": (oversold_and_given_up, Status.CANCELLED),
    "risk's rules say no, and a person agrees": (rejected_by_the_rules_and_given_up, Status.CANCELLED),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_the_channel_collected_is_booked_and_goes_back_through_it(end: str) -> None:
    play, status = ENDS[end]
    both = Both(b.a_sold_order())
    play(both)
    assert both.order.status is status
    assert both.given_back == b.TOTAL.amount
    assert both.order.facts.refunded == b.TOTAL.amount
    assert both.payments.payment(b.ORDER).state is State.CAPTURED
    kinds = [type(event) for event in both.published]
    assert kinds.index(PaymentRequested) < kinds.index(OrderRejected if status is Status.REJECTED else OrderCancelled)


@pytest.mark.parametrize("end", ENDS)
def test_what_is_asked_before_it_is_promised_ends_without_a_payment(end: str) -> None:
    play, _ = ENDS[end]
    both = Both(b.a_sold_order(refusable=True))
    play(both)
    assert both.order.status.ended
    assert both.payments.events == []


def test_the_order_does_not_end_before_payments_has_booked_the_money() -> None:
    order = b.a_sold_order()
    told = events_of(order.hear(b.prohibited(), b.NOON))
    assert PaymentRequested in [type(event) for event in told]
    assert order.status is Status.PLACED
    assert set(order.holds) == {"customs_papers"}, "whoever looks meanwhile sees why it ends"
    assert order.awaits == "payment"
    (ended,) = [event for event in events_of(order.hear(b.captured(), b.NOON)) if isinstance(event, OrderRejected)]
    assert [reason.code for reason in ended.reasons] == ["goods.prohibited"]
    assert order.holds == {}


def test_a_wish_to_cancel_waits_for_the_booking_and_cannot_be_repeated() -> None:
    order = b.a_sold_order()
    order.cancel("changed_mind", "buyer", b.NOON)
    again = order.cancel("changed_mind", "buyer", b.NOON)
    assert isinstance(again, Refusal)
    assert (again.code, again.clears_with) == (
        "order.cancellation_pending",
        "payments, which books what the channel collected",
    )
    assert events_of(order.hear(b.captured(), b.NOON)) == [
        OrderCancelled(order_id=b.ORDER, reason="changed_mind", requested_by="buyer")
    ]


def test_what_was_booked_already_ends_at_once() -> None:
    both = Both(b.a_sold_order())
    for message in (b.reserved(), b.approved(), b.cleared()):
        both.hear(message)
    assert OrderConfirmed in [type(event) for event in both.published]
    waiting = b.a_sold_order()
    for message in (b.captured(), b.prohibited()):
        waiting.hear(message, b.NOON)
    assert waiting.status is Status.REJECTED


def test_goods_that_are_allowed_after_all_go_on_when_the_money_is_booked() -> None:
    order = b.a_sold_order()
    for message in (b.prohibited(), b.cleared(), b.reserved(), b.approved(), b.captured()):
        order.hear(message, b.NOON)
    assert order.status is Status.CONFIRMED


def test_money_that_we_are_to_collect_for_a_channel_is_not_asked_for_in_order_to_refuse() -> None:
    order = b.a_sold_order(terms=b.CARD)
    told = events_of(order.hear(b.prohibited(), b.NOON))
    assert [type(event) for event in told] == [OrderRejected]
