"""Any order of arrival ends alike: every interleaving of the topics is tried, exhaustively, on every path of an order."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.orders.domain.order import Order
from services.orders.domain.standing import Status
from shared.contracts.logistics import TrackingStatus
from shared.contracts.orders import (
    HoldCleared,
    HoldPlaced,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderRejected,
    PaymentRequested,
)
from shared.contracts.registry import Event
from shared.contracts.risk import ReviewCause
from shared.effects import Effect
from tests.builders import orders as b
from tests.unit.orders.world import Silence, Wish, World, after, ends, events_of, outcomes

CARD = ReviewCause.CARD_MISMATCH
PAID = (after(PaymentRequested, b.authorised()),)
KEPT = (b.reserved(), after(OrderConfirmed, b.committed()))
UNDONE = (*KEPT, after(OrderCancelled, b.released()))
PAID_BACK = (*PAID, after(OrderCancelled, b.voided()))
SHIPPED = (after(OrderConfirmed, b.booked()), b.dispatched(), b.tracked(), b.delivered())
STOPPED = (after(OrderConfirmed, b.booked()), after(OrderCancellationRequested, b.shipment_cancelled()))
TOO_LATE = (
    after(OrderConfirmed, b.booked()),
    b.dispatched(),
    after(OrderCancellationRequested, b.cancellation_refused()),
    b.delivered(),
)
BOOKED_AND_BACK = (*PAID, b.captured())
CAPTURED = (*PAID, after(OrderConfirmed, b.captured()))

STEPS = (PaymentRequested, OrderConfirmed)

# name: (order, status at the end, what is published beside holds, the topics)
PATHS: dict[str, tuple[Order, Status, tuple[type[Event], ...], tuple[Sequence[Any], ...]]] = {
    "delivered": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        ((*KEPT, b.consumed()), [b.approved()], [b.cleared()], CAPTURED, SHIPPED),
    ),
    "papers came late": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        (KEPT, [b.approved()], [b.held(), after(OrderConfirmed, b.cleared())], CAPTURED, SHIPPED),
    ),
    "captured at once": (
        b.an_order(), Status.CONFIRMED, STEPS, (KEPT, [b.approved()], [b.cleared()], (*PAID, b.captured())),
    ),
    "paid at the door": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted), (KEPT, [b.approved()], [b.cleared()], CAPTURED, SHIPPED),
    ),
    "reviewed and approved": (
        b.an_order(), Status.CONFIRMED, STEPS, (KEPT, [b.review_opened(), b.review_decided()], [b.cleared()], PAID),
    ),
    "3-D Secure": (
        b.an_order(), Status.CONFIRMED, STEPS,
        (KEPT, [b.approved()], [b.cleared()], (after(PaymentRequested, b.action_required()), b.authorised())),
    ),
    "the provider was silent for a while": (
        b.an_order(), Status.CONFIRMED, STEPS,
        (KEPT, [b.approved()], [b.cleared()], (after(PaymentRequested, b.unknown()), b.authorised())),
    ),
    "the provider was silent about the capture": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        (
            KEPT, [b.approved()], [b.cleared()], (*PAID, after(OrderConfirmed, b.unknown(operation="capture")), b.captured()), SHIPPED,
        ),
    ),
    "the promise was lost on the way, and charged anew": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        (
            KEPT, [b.approved()], [b.cleared()],
            (*PAID, after(OrderConfirmed, b.unknown(attention="payment.promise_lost")), b.captured()),
            SHIPPED,
        ),
    ),
    "another amount was charged, and the provider corrected it": (
        b.an_order(), Status.CONFIRMED, STEPS,
        (
            KEPT, [b.approved()], [b.cleared()],
            (after(PaymentRequested, b.unknown(attention="payment.conflicted")), b.authorised()),
        ),
    ),
    "another card, and a person approves it": (
        b.an_order(), Status.CONFIRMED, STEPS,
        (
            KEPT,
            [b.approved(), after(PaymentRequested, b.review_opened(cause=CARD)), b.review_decided(cause=CARD)],
            [b.cleared()],
            [after(PaymentRequested, b.authorised(card_matches=False))],
        ),
    ),
    "another card, and a person refuses it": (
        b.an_order(), Status.REJECTED, (PaymentRequested, OrderRejected),
        (
            [b.reserved(), after(OrderRejected, b.released())],
            [b.approved(), after(PaymentRequested, b.review_opened(cause=CARD)), b.review_decided(cause=CARD, approved=False)],
            [b.cleared()],
            [after(PaymentRequested, b.authorised(card_matches=False)), after(OrderRejected, b.voided())],
        ),
    ),
    "no stock": (
        b.an_order(), Status.REJECTED, (OrderRejected,), ([b.refused()], [b.approved()], [b.cleared()]),
    ),
    "rejected by risk": (
        b.an_order(), Status.REJECTED, (OrderRejected,),
        ([b.reserved(), after(OrderRejected, b.released())], [b.rejected()], [b.cleared()]),
    ),
    "reviewed and refused": (
        b.an_order(), Status.REJECTED, (OrderRejected,),
        ([b.reserved()], [b.review_opened(), b.review_decided(approved=False)], [b.cleared()]),
    ),
    "prohibited": (
        b.an_order(), Status.REJECTED, (OrderRejected,), ([b.reserved()], [b.approved()], [b.prohibited()]),
    ),
    "declined": (
        b.an_order(), Status.REJECTED, (PaymentRequested, OrderRejected),
        ([b.reserved(), after(OrderRejected, b.released())], [b.approved()], [b.cleared()], [after(PaymentRequested, b.declined())]),
    ),
    "3-D Secure, and the buyer went away": (
        b.an_order(), Status.REJECTED, (PaymentRequested, OrderRejected),
        ([b.reserved()], [b.approved()], [b.cleared()], [after(PaymentRequested, b.action_required()), b.declined()]),
    ),
    "the hold expired, and stock was still there": (
        b.an_order(), Status.CONFIRMED, STEPS,
        ([b.reserved(), b.expired(), after(OrderConfirmed, b.reserved()), b.committed()], [b.approved()], [b.cleared()], PAID),
    ),
    "the hold expired, and stock was gone": (
        b.an_order(), Status.CANCELLED, (*STEPS, OrderCancellationRequested, OrderCancelled),
        ([b.reserved(), b.expired(), after(OrderConfirmed, b.refused())], [b.approved()], [b.cleared()], PAID_BACK, STOPPED),
    ),
    "a count took the stock, and more came": (
        b.an_order(), Status.CONFIRMED, STEPS,
        ([b.reserved(), b.broken(), after(OrderConfirmed, b.reserved()), b.committed()], [b.approved()], [b.cleared()], PAID),
    ),
    "a count took the stock after it was committed": (
        b.an_order(), Status.CANCELLED, (*STEPS, OrderCancellationRequested, OrderCancelled),
        ((*KEPT, b.broken()), [b.approved()], [b.cleared()], PAID_BACK, STOPPED),
    ),
    "cancelled before dispatch": (
        b.an_order(), Status.CANCELLED, (*STEPS, OrderCancellationRequested, OrderCancelled),
        (UNDONE, [b.approved()], [b.cleared()], PAID_BACK, STOPPED, [after(OrderConfirmed, Wish())]),
    ),
    "prohibited after the confirmation": (
        b.an_order(), Status.CANCELLED, (*STEPS, OrderCancellationRequested, OrderCancelled),
        (UNDONE, [b.approved()], [b.held(), after(OrderConfirmed, b.prohibited())], PAID_BACK, STOPPED),
    ),
    "prohibited when it was dispatched already": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCancellationRequested, OrderCompleted),
        (KEPT, [b.approved()], [b.cleared(), after(OrderConfirmed, b.prohibited())], CAPTURED, TOO_LATE),
    ),
    "risk changed its mind after the confirmation": (
        b.an_order(), Status.CANCELLED, (*STEPS, OrderCancellationRequested, OrderCancelled),
        (UNDONE, [b.approved(), after(OrderConfirmed, b.review_decided(approved=False))], [b.cleared()], PAID_BACK, STOPPED),
    ),
    "sold by a channel, and short for a while": (
        b.a_sold_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        ([b.refused(waiting=True), *KEPT], [b.approved()], [b.cleared()], (*PAID, b.captured()), SHIPPED),
    ),
    "sold by a channel, and risk says no": (
        b.a_sold_order(), Status.PLACED, (), ([b.reserved()], [b.rejected()], [b.cleared()]),
    ),
    "sold by a channel, and prohibited": (
        b.a_sold_order(), Status.REJECTED, (PaymentRequested, OrderRejected),
        ([b.reserved()], [b.approved()], [b.prohibited()], BOOKED_AND_BACK, [after(OrderRejected, b.refunded())]),
    ),
    "sold by a channel, and refused by a person": (
        b.a_sold_order(), Status.REJECTED, (PaymentRequested, OrderRejected),
        (
            [b.reserved()], [b.review_opened(), b.review_decided(approved=False)], [b.cleared()], BOOKED_AND_BACK,
            [after(OrderRejected, b.refunded())],
        ),
    ),
    "sold by a channel, short, and given up": (
        b.a_sold_order(), Status.CANCELLED, (PaymentRequested, OrderCancelled),
        ([b.refused(waiting=True)], [b.approved()], [b.cleared()], BOOKED_AND_BACK, [after(HoldPlaced, Wish())], [after(OrderCancelled, b.refunded())]),
    ),
    "sold by a channel, and lost from the shelf after the confirmation": (
        b.a_sold_order(), Status.CONFIRMED, STEPS,
        ((*KEPT, b.broken(waiting=True), b.reserved(), b.committed()), [b.approved()], [b.cleared()], (*PAID, b.captured())),
    ),
    "damaged on the way, and delivered after all": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        (KEPT, [b.approved()], [b.cleared()], CAPTURED, (*SHIPPED[:2], b.in_trouble(), b.tracked(), b.delivered())),
    ),
    "lost by the carrier, and found": (
        b.an_order(), Status.COMPLETED, (*STEPS, OrderCompleted),
        (KEPT, [b.approved()], [b.cleared()], CAPTURED, (*SHIPPED[:2], b.lost(), b.delivered())),
    ),
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_every_interleaving_of_a_path_ends_alike(path: str) -> None:
    order, status, steps, topics = PATHS[path]
    found = outcomes(order, *topics)
    assert {world.order.status for world in found} == {status}
    published = {tuple(sorted(repr(event) for event in world.published)) for world in found}
    assert len(published) == 1, "\n\n".join(sorted("\n".join(one) for one in published))
    assert sorted(kinds(found[0])) == sorted(kind.__name__ for kind in steps)
    assert len(found) == 1, "the same was published, but not the same is known"


def kinds(world: World) -> list[str]:
    return [type(event).__name__ for event in world.published if not isinstance(event, HoldPlaced | HoldCleared)]


def test_every_hold_is_cleared_in_the_end() -> None:
    for order, _, _, topics in PATHS.values():
        for world in outcomes(order, *topics):
            open_holds: set[str] = set()
            for event in world.published:
                if isinstance(event, HoldPlaced):
                    open_holds.add(event.code)
                elif isinstance(event, HoldCleared):
                    open_holds.remove(event.code)  # raises where nothing was held
            assert open_holds == set(world.order.holds)
            assert not (world.order.status.ended and open_holds)


# Here the moment decides, as it must: whoever is first wins. What may not differ is that somebody wins, once.

RACES: dict[str, tuple[Order, set[Status], tuple[Sequence[Any], ...]]] = {
    "cancelled at any moment before hand-over": (
        b.an_order(),
        {Status.CANCELLED},
        (
            [b.reserved()],
            [b.approved()],
            [b.held(), b.cleared()],
            PAID,
            [after(OrderCancellationRequested, b.shipment_cancelled())],
            [Wish()],
        ),
    ),
    "asked again at any moment": (
        b.an_order(),
        {Status.COMPLETED},
        (KEPT, [b.approved()], [b.held(), b.cleared()], CAPTURED, SHIPPED, [Silence()]),
    ),
    "silent for long at any moment": (
        b.an_order(),
        {Status.COMPLETED, Status.REJECTED},
        (KEPT, [b.approved()], [b.cleared()], CAPTURED, SHIPPED, [Silence(), Silence(), Silence()]),
    ),
    "sold by a channel, and silent for long at any moment": (
        b.a_sold_order(),
        {Status.COMPLETED},
        (KEPT, [b.approved()], [b.cleared()], (*PAID, b.captured()), SHIPPED, [Silence(), Silence(), Silence()]),
    ),
    "sold by a channel, prohibited, and payments is silent": (
        b.a_sold_order(),
        {Status.REJECTED},
        ([b.reserved()], [b.prohibited()], BOOKED_AND_BACK, [Silence(), Silence()]),
    ),
    "cancelled, and logistics is silent": (
        b.an_order(),
        {Status.CANCELLED},
        (
            KEPT,
            [b.approved()],
            [b.cleared()],
            PAID,
            [after(OrderConfirmed, Wish())],
            STOPPED,
            [after(OrderCancellationRequested, Silence()), Silence()],
        ),
    ),
    "two who object": (b.an_order(), {Status.REJECTED}, ([b.refused()], [b.rejected()], [b.held(), b.prohibited()])),
    "prohibited while the buyer pays": (
        b.an_order(),
        {Status.REJECTED, Status.CANCELLED},
        (
            [b.reserved()],
            [b.approved()],
            [b.held(), b.prohibited()],
            PAID,
            [after(OrderCancellationRequested, b.shipment_cancelled())],
        ),
    ),
    "sold by a channel, and cancelled at any moment before hand-over": (
        b.a_sold_order(),
        {Status.CANCELLED},
        (
            [b.reserved()],
            [b.approved()],
            [b.held(), b.cleared()],
            BOOKED_AND_BACK,
            [after(OrderCancellationRequested, b.shipment_cancelled())],
            [Wish()],
        ),
    ),
    "sold by a channel, prohibited and given up at once": (
        b.a_sold_order(),
        {Status.REJECTED, Status.CANCELLED},
        (
            [b.reserved()],
            [b.approved()],
            [b.held(), b.prohibited()],
            BOOKED_AND_BACK,
            [after(OrderCancellationRequested, b.shipment_cancelled())],
            [Wish()],
        ),
    ),
}


@pytest.mark.parametrize("race", RACES)
def test_in_a_race_somebody_wins_exactly_once(race: str) -> None:
    order, statuses, topics = RACES[race]
    found = [(world.order.status, kinds(world)) for world in ends(order, *topics)]
    assert {status for status, _ in found} == statuses
    for _, published in found:
        assert sum(published.count(kind) for kind in ("OrderRejected", "OrderCancelled", "OrderCompleted")) == 1


ANYTHING = st.sampled_from(
    [
        b.reserved(), b.refused(), b.refused(waiting=True), b.committed(), b.broken(), b.broken(waiting=True), b.expired(),
        b.released(), b.consumed(), b.approved(), b.rejected(), b.review_opened(), b.review_opened(cause=CARD),
        b.review_decided(), b.review_decided(approved=False), b.review_decided(cause=CARD),
        b.review_decided(cause=CARD, approved=False), b.cleared(), b.held(), b.prohibited(), b.authorised(),
        b.authorised(card_matches=False), b.action_required(), b.declined(), b.captured(), b.voided(), b.unknown(),
        b.unknown(operation="capture"), b.unknown(attention="payment.conflicted"),
        b.unknown(operation="renew", attention="payment.promise_expiring"), b.refunded(), b.refunded(amount=1), b.booked(), b.dispatched(), b.tracked(),
        b.tracked(status=TrackingStatus.LOST), b.delivered(), b.in_trouble(), b.lost(), b.shipment_cancelled(),
        b.cancellation_refused(), Silence(), Silence(),
    ]
)  # fmt: skip


def silence(order: Order) -> Sequence[Effect]:
    return order.lose_patience(order.patient_until or b.NOON, b.an_announcement())


UNASKED: list[Event | Silence] = [
    b.reserved(),
    b.review_decided(),
    b.authorised(),
]  # no papers yet, and nobody had asked for the payment


@given(st.lists(ANYTHING, max_size=30), st.booleans())
@example(UNASKED, False)
def test_even_nonsense_is_answered_and_no_step_is_taken_twice(messages: list[Event | Silence], sold: bool) -> None:
    order = b.a_sold_order() if sold else b.an_order()
    published: list[Event] = []
    for message in messages:
        ended = order.status.ended
        told = events_of(silence(order) if isinstance(message, Silence) else order.hear(message, b.NOON))
        assert not (ended and told), "an order that has ended publishes nothing more"
        published += told
    names = [type(event).__name__ for event in published]
    for once in ("PaymentRequested", "OrderConfirmed", "OrderCancellationRequested"):
        assert names.count(once) <= 1
    assert sum(names.count(end) for end in ("OrderRejected", "OrderCancelled", "OrderCompleted")) == order.status.ended
    if "OrderConfirmed" in names:
        assert names.index("PaymentRequested") < names.index("OrderConfirmed")
