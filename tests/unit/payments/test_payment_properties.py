"""Whatever happens in whatever order: the books balance, nobody pays twice, and in the end everything is settled."""

import copy
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.payments.consumers import routes
from services.payments.domain.books import Books
from services.payments.domain.payment import State
from services.payments.domain.refund import LIVE, RefundState
from services.payments.usecases.hear_webhook import HearWebhook
from services.payments.usecases.request_refund import RequestRefund
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.effects import Answered
from shared.messaging.message import Message
from shared.messaging.routing import Router
from shared.money import Money
from tests.builders.payments import (
    NOON,
    ORDER,
    PAYMENT,
    STORE,
    ToyProvider,
    World,
    a_cancellation,
    a_moment,
    a_payment_request,
)
from tests.unit.batching import batch_sizes, check_batching
from tests.unit.payments.test_refunds import a_return

CURRENCIES = ("EUR", "JPY", "KWD")
KINDS = (
    "provider.authorise",
    "provider.capture",
    "provider.void",
    "provider.refund",
    "provider.look_up",
    "provider.look_up_refund",
)
AT_REST = {
    State.AUTHORISED,
    State.CAPTURED,
    State.VOIDED,
    State.DECLINED,
    State.LAPSED,
    State.CONFLICTED,
    State.ACTION_REQUIRED,
}
DISPATCHED = ShipmentDispatched(order_id=ORDER, shipment_id="shp_1", items=(), dispatched_at=NOON)
DELIVERED = ShipmentDelivered(order_id=ORDER, shipment_id="shp_1", delivered_at=NOON)

happenings = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.just(0)),
    st.tuples(st.just("dispatch"), st.just(0)),
    st.tuples(st.just("deliver"), st.just(0)),
    st.tuples(st.just("webhook"), st.sampled_from(["authorised", "captured", "voided", "declined", "refund"])),
    st.tuples(st.just("refund"), st.integers(1, 1500)),
    st.tuples(st.just("return"), st.integers(1, 1500)),
    st.tuples(st.just("settle_return"), st.integers(1, 1500)),
    st.tuples(st.just("due"), st.just(0)),
    st.tuples(st.just("act"), st.booleans()),
    st.tuples(st.just("expire"), st.just(0)),
    st.tuples(st.just("silent"), st.sets(st.sampled_from(KINDS))),
    st.tuples(st.just("lost"), st.sets(st.sampled_from(KINDS))),
    st.tuples(st.just("refuse_refunds"), st.booleans()),
    st.tuples(st.just("decline"), st.booleans()),
)


def happen(world: World, what: str, how: Any, currency: str) -> None:
    match what:
        case "answer" if world.calls:
            world.answer(sorted(world.calls)[how % len(world.calls)])
        case "cancel":
            world.hear(a_cancellation())
        case "dispatch":
            world.hear(DISPATCHED)
        case "deliver":
            world.hear(DELIVERED)
        case "webhook":
            world.hear(
                HearWebhook(
                    webhook_id="whk", order_id=ORDER, attempt_key=PAYMENT, status=how, about_refund=how == "refund"
                )
            )
        case "refund":
            world.hear(
                RequestRefund(
                    store_id=STORE,
                    order_id=ORDER,
                    amount=Money(how, currency),
                    reason="goodwill",
                    settles_none=how % 2 == 0,
                )
            )
        case "settle_return":
            for return_id, owed in world.payment().owed_returns().items():
                amount = min(owed, Money(how, currency)) if owed.currency == currency else owed
                world.hear(
                    RequestRefund(store_id=STORE, order_id=ORDER, amount=amount, reason="by_hand", return_id=return_id)
                )
        case "return":
            world.hear(a_return(Money(how, currency), f"rtn_{how}"))
        case "due":
            world.come_due()
        case "act" if PAYMENT in world.provider.charges:
            world.provider.act(PAYMENT, complete=how, now=world.now)
        case "expire" if PAYMENT in world.provider.charges:
            world.provider.expire(PAYMENT)
        case "silent":
            world.provider.silent = how
        case "lost":
            world.provider.lost = how
        case "refuse_refunds":
            world.provider.refuses_refunds = how
        case "decline":
            world.provider.declines = how
        case _:
            pass


def check_always(world: World) -> None:
    """What holds at every moment."""
    payment = world.payment()
    sums: Counter[str] = Counter()
    for posting in payment.postings:
        for entry in posting.entries:
            sums[entry.amount.currency] += entry.amount.amount
    assert not any(sums.values()), "the ledger does not add up to zero"
    assert len({posting.id for posting in payment.postings}) == len(payment.postings), "something is booked twice"
    for attempt in payment.attempts:
        given = sum(r.amount.amount for r in payment.refunds if r.attempt == attempt.id and r.state in LIVE)
        assert given <= (attempt.captured or attempt.amount).amount, "more is given back than was taken"
    for charge in world.provider.charges.values():
        assert sum(refund.amount for refund in charge.refunds) <= charge.captured.amount
    for return_id in {refund.return_id for refund in payment.refunds if refund.return_id}:
        owed = payment.owed_to(return_id)
        assert owed is not None
        assert owed.amount >= 0, "a return was given more than it asked for"


def check_at_rest(world: World, *, cancelled: bool) -> None:
    """What holds when the provider answers again and all questions are asked."""
    payment = world.payment()
    assert (world.calls, payment.state in AT_REST) == ({}, True)
    held = [charge for charge in world.provider.charges.values() if charge.status in ("authorised", "captured")]
    kept = [
        charge
        for charge in held
        if charge.status == "authorised" or charge.captured.amount > sum(r.amount for r in charge.refunds)
    ]
    assert len(kept) <= 1, "the buyer pays twice"
    entries = [entry for posting in payment.postings for entry in posting.entries]
    receivable = sum(entry.amount.amount for entry in entries if entry.account == "provider_receivable")
    if payment.state is not State.CONFLICTED:  # what nobody asked for is booked when a person has decided about it
        assert receivable == world.provider.taken, "the ledger and the provider disagree"
    if cancelled:
        assert not [charge for charge in held if charge.status == "authorised"], (
            "a promise is left of a cancelled order"
        )
        failed = sum(refund.amount.amount for refund in payment.refunds if refund.state is RefundState.FAILED)
        assert world.provider.taken <= failed, "money is left of a cancelled order, and no refund of it failed"


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from([PaymentMethod.CARD, PaymentMethod.WALLET]),
    currency=st.sampled_from(CURRENCIES),
    provider=st.builds(ToyProvider, action=st.booleans(), adds=st.sampled_from([0, 0, 0, 1])),
    story=st.lists(happenings, max_size=30),
)
def test_whatever_happens_the_books_balance_and_nobody_pays_twice(
    method: PaymentMethod, currency: str, provider: ToyProvider, story: Sequence[tuple[str, Any]]
) -> None:
    provider = copy.deepcopy(provider)
    world = World(provider)
    world.hear(a_payment_request(method=method, amount=Money(1299, currency)))
    for what, how in story:
        happen(world, what, how, currency)
        check_always(world)
    provider.silent, provider.lost = set(), set()
    world.settle(500)
    check_always(world)
    check_at_rest(world, cancelled=any(what == "cancel" for what, _ in story))


@settings(max_examples=100, deadline=None)
@given(
    amount=st.integers(1, 10**9),
    currency=st.sampled_from(CURRENCIES),
    hand=st.sampled_from(
        [
            (PaymentMode.COLLECT, PaymentMethod.CASH_ON_DELIVERY),
            (PaymentMode.COLLECTED_BY_CHANNEL, PaymentMethod.CHANNEL),
        ]
    ),
    story=st.lists(happenings, max_size=15),
)
def test_cash_and_channel_money_never_touches_the_provider(
    amount: int, currency: str, hand: tuple[PaymentMode, PaymentMethod], story: Sequence[tuple[str, Any]]
) -> None:
    world = World()
    world.hear(a_payment_request(mode=hand[0], method=hand[1], amount=Money(amount, currency), token=""))
    for what, how in story:
        if what not in ("webhook", "answer"):
            happen(world, what, how, currency)
            check_always(world)
    assert (world.calls, world.provider.charges) == ({}, {})


# ── Webhook storms ────────────────────────────────────────────────────────────────────────────────────────────────────

STORM = ("authorised", "captured", "captured", "refund")


def _run_storm(order: Sequence[int]) -> tuple[Any, ...]:
    """A capture and a refund in one go; their webhooks and answers come in the given order, duplicates included."""
    world = World()
    world.hear(a_payment_request(method=PaymentMethod.CARD))
    webhooks = [
        HearWebhook(
            webhook_id=f"whk_{n}", order_id=ORDER, attempt_key=PAYMENT, status=status, about_refund=status == "refund"
        )
        for n, status in enumerate(STORM)
    ]
    for step in order:
        match step:
            case 4:
                world.settle()
            case 5:
                world.hear(DISPATCHED)
            case _:
                world.hear(webhooks[step])
    world.settle()
    payment = world.payment()
    return (
        payment.state,
        payment.captured,
        [r.amount for r in payment.refunds],
        sorted(p.id for p in payment.postings),
        sorted(world.names),
    )


@pytest.mark.parametrize("place_of_dispatch", range(6))
def test_a_storm_of_webhooks_in_any_order_ends_in_the_same_state(place_of_dispatch: int) -> None:
    expected = _run_storm((0, 1, 2, 3, 4, 5))
    for order in permutations(range(5)):
        steps = list(order)
        steps.insert(place_of_dispatch, 5)
        assert _run_storm(steps) == expected, steps


# ── Batching ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Shelf:
    """Payments in memory, as rows would be."""

    def __init__(self) -> None:
        self._payments: dict[str, Any] = {}
        self._early: dict[str, Any] = {}

    def load(self, messages: Sequence[Message]) -> Books:
        return Books(copy.deepcopy(self._payments), copy.deepcopy(self._early))

    def save(self, state: Books) -> None:
        self._payments, self._early = copy.deepcopy(state.payments), copy.deepcopy(state.early)

    def rows(self) -> Any:
        return self._payments, {order: kept for order, kept in self._early.items() if kept}


ORDERS = tuple(f"ord_01jc2v8k9q4t6x0m3n5p7r9s{n}v" for n in range(3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ORDERS), st.integers(0, 5)), min_size=5, max_size=40), batch_sizes())
def test_batching_is_never_visible(story: Sequence[tuple[str, int]], sizes: list[int]) -> None:
    messages = _recorded(story)
    router: Router[Books] = Router()
    routes(router)
    check_batching(messages, sizes, Shelf, router)


def _recorded(story: Sequence[tuple[str, int]]) -> list[Message]:
    """A story of several orders, with the provider's answers, as messages that can be decided again."""
    world = World()
    bodies: list[Any] = []
    for order, what in story:
        body = _next_of(world, order, what)
        if body is not None:
            bodies.append(body)
            world.hear(body)
    return [Message(body=body, moment=a_moment(message_id=f"evt_{n:026d}")) for n, body in enumerate(bodies)]


def _next_of(world: World, order: str, what: int) -> Any:
    match what:
        case 0:
            return a_payment_request(order, method=PaymentMethod.WALLET)
        case 1:
            return a_cancellation(order)
        case 2:
            return HearWebhook(
                webhook_id="whk", order_id=order, attempt_key="pay", status="captured", about_refund=False
            )
        case 3:
            return RequestRefund(store_id=STORE, order_id=order, amount=Money(500, "EUR"), reason="goodwill")
        case _ if world.calls:
            call = world.calls.pop(min(world.calls))
            return Answered(call.id, call.kind, call.key, call.request, world.provider.answer(call, world.now))
        case _:
            return None
