"""Giving money back: never more than was taken, one key for ever, whatever the provider does."""

from dataclasses import replace

import pytest

from services.payments.domain.books import Books
from services.payments.domain.charge import ProviderRefund, RefundStatus
from services.payments.domain.payment import State
from services.payments.domain.refund import RefundState
from services.payments.usecases.hear_webhook import HearWebhook
from services.payments.usecases.record_payout import RecordPayout
from services.payments.usecases.request_refund import RequestRefund
from shared.contracts.logistics import ShipmentDelivered
from shared.contracts.orders import PaymentRequested
from shared.contracts.payments import REFUND_BOUNCED, RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.support import ReturnApproved, ReturnReceived
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.errors import Kind
from shared.money import Money
from tests.builders.payments import (
    NOON,
    ORDER,
    PAYMENT,
    STORE,
    TOTAL,
    ToyProvider,
    World,
    a_cancellation,
    a_payment,
    a_payment_request,
)


def a_paid_world(amount: Money = TOTAL, provider: ToyProvider | None = None, **request: object) -> World:
    world = World(provider or ToyProvider())
    wanted: PaymentRequested = replace(a_payment_request(amount=amount, method=PaymentMethod.WALLET), **request)  # pyright: ignore[reportArgumentType]
    world.hear(wanted)
    world.settle()
    return world


def a_wish(amount: Money = TOTAL, *, store: str = STORE, order: str = ORDER) -> RequestRefund:
    return RequestRefund(store_id=store, order_id=order, amount=amount, reason="goodwill")


def a_return(amount: Money | None = TOTAL, return_id: str = "rtn_01jc2v8k9q4t6x0m3n5p7r9s1v") -> ReturnReceived:
    return ReturnReceived(order_id=ORDER, return_id=return_id, lines=(), refund=amount)


def balance(world: World, account: str) -> int:
    entries = [entry for posting in world.payment().postings for entry in posting.entries]
    return sum(entry.amount.amount for entry in entries if entry.account.value == account)


# ── At most what was taken ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_part_goes_back_and_the_rest_can_follow() -> None:
    world = a_paid_world()
    world.hear(a_wish(Money(500, "EUR")), a_wish(Money(799, "EUR")))
    world.settle()
    assert (world.provider.taken, world.refusals) == (0, [])
    assert [type(event) for event in world.events[2:]].count(RefundSucceeded) == 2


def test_more_than_is_left_is_refused_before_anyone_is_called() -> None:
    world = a_paid_world()
    world.hear(a_wish(Money(1000, "EUR")), a_wish(Money(300, "EUR")))
    assert [refusal.code for refusal in world.refusals] == ["refund.exceeds_captured"]
    assert world.refusals[0].facts["refundable"] == Money(299, "EUR")


@pytest.mark.parametrize("state", [State.AUTHORISED, State.DECLINED, State.VOIDED, State.CAPTURING])
def test_what_was_not_captured_cannot_be_refunded(state: State) -> None:
    world = World(books=Books({ORDER: a_payment(state)}))
    world.hear(a_wish())
    assert [refusal.code for refusal in world.refusals] == ["refund.not_captured"]


def test_a_refund_is_in_the_currency_of_the_charge() -> None:
    world = a_paid_world()
    world.hear(a_wish(Money(500, "USD")))
    assert [(refusal.code, refusal.kind) for refusal in world.refusals] == [("refund.currency", Kind.INVALID)]


@pytest.mark.parametrize("wish", [a_wish(store="str_other"), a_wish(order="ord_unknown")])
def test_another_stores_order_is_not_there(wish: RequestRefund) -> None:
    world = a_paid_world()
    world.hear(wish)
    assert [refusal.kind for refusal in world.refusals] == [Kind.NOT_FOUND]


@pytest.mark.parametrize("amount", [Money(1299, "JPY"), Money(1299, "KWD"), Money(1, "EUR"), Money(2**53, "VND")])
def test_minor_units_are_sent_as_they_are_in_every_currency(amount: Money) -> None:
    world = a_paid_world(amount)
    world.hear(a_wish(amount))
    (call,) = world.calls.values()
    assert call.request["amount"] == amount.amount
    world.settle()
    assert world.provider.taken == 0


# ── One key for ever ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["silent", "lost"])
def test_a_refund_without_an_answer_is_one_refund_under_one_key(fault: str) -> None:
    world = a_paid_world()
    setattr(world.provider, fault, {"provider.refund"})
    world.hear(a_wish(Money(500, "EUR")))
    (first,) = world.calls.values()
    world.answer(first.id)
    world.answer(next(iter(world.calls)))  # looked up
    if fault == "lost":
        (again,) = world.calls.values()
        assert (again.kind, again.request["key"]) == ("provider.refund", first.request["key"])
    setattr(world.provider, fault, set())
    world.settle()
    assert [refund.amount for refund in world.provider.charges[PAYMENT].refunds] == [500]
    assert len(world.told(RefundSucceeded)) == 1


def test_the_echo_of_our_own_refund_is_no_new_refund() -> None:
    world = a_paid_world()
    world.hear(a_wish(Money(500, "EUR")))
    world.settle()
    echo = HearWebhook(webhook_id="whk_1", order_id=ORDER, attempt_key=PAYMENT, status="captured", about_refund=True)
    world.hear(echo)
    world.settle()
    assert (len(world.payment().refunds), len(world.told(RefundSucceeded))) == (1, 1)


def test_a_refund_that_somebody_made_at_the_provider_is_booked_and_counts() -> None:
    world = a_paid_world()
    charge = world.provider.charges[PAYMENT]
    made_there = ProviderRefund(key="desk-1", amount=1000, status=RefundStatus.SUCCEEDED)
    world.provider.charges[PAYMENT] = replace(charge, refunds=(made_there,))
    world.hear(
        HearWebhook(webhook_id="whk_1", order_id=ORDER, attempt_key=PAYMENT, status="captured", about_refund=True)
    )
    world.settle()
    assert balance(world, "provider_receivable") == world.provider.taken == 299
    world.hear(a_wish(Money(300, "EUR")))
    assert [refusal.code for refusal in world.refusals] == ["refund.exceeds_captured"]


# ── No, late, and back again ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_that_the_provider_refuses_needs_a_person_and_frees_its_amount() -> None:
    world = a_paid_world(provider=ToyProvider(refuses_refunds=True))
    world.hear(a_wish())
    world.settle()
    (failed,) = world.told(RefundFailed)
    assert isinstance(failed, RefundFailed)
    assert (failed.reason.code, world.payment().attention) == ("refund.exceeds_captured", "refund.failed")
    assert (balance(world, "refunds_payable"), balance(world, "refunds")) == (0, 0)
    assert world.payment().refundable(world.payment().current) == TOTAL


def test_a_refund_that_was_paid_and_came_back_is_failed_and_booked_back() -> None:
    world = a_paid_world()
    world.hear(a_wish())
    world.settle()
    charge = world.provider.charges[PAYMENT]
    bounced = replace(charge.refunds[0], status=RefundStatus.FAILED, failure_code="card_closed")
    world.provider.charges[PAYMENT] = replace(charge, refunds=(bounced,))
    world.hear(
        HearWebhook(webhook_id="whk_1", order_id=ORDER, attempt_key=PAYMENT, status="captured", about_refund=True)
    )
    world.settle()
    assert world.names[-2:] == ["succeeded", "failed"]
    (failed,) = world.told(RefundFailed)
    assert isinstance(failed, RefundFailed)
    assert failed.reason.code == REFUND_BOUNCED, "others must be able to tell it from a refund that never went"
    assert balance(world, "provider_receivable") == TOTAL.amount
    assert balance(world, "refunds") == 0


# ── Returns ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_received_return_is_refunded_once_however_often_it_is_heard() -> None:
    world = a_paid_world()
    world.hear(a_return(Money(500, "EUR")), a_return(Money(500, "EUR")))
    world.settle()
    (requested,) = world.told(RefundRequested)
    assert isinstance(requested, RefundRequested)
    assert (requested.return_id, world.provider.taken) == ("rtn_01jc2v8k9q4t6x0m3n5p7r9s1v", 799)


def test_goods_that_the_buyer_keeps_are_refunded_when_that_is_approved() -> None:
    world = a_paid_world()
    world.hear(
        ReturnApproved(order_id=ORDER, return_id="rtn_1", lines=(), send_back=False, refund_now=Money(500, "EUR"))
    )
    world.settle()
    assert world.provider.taken == 799


def test_a_return_that_is_worth_nothing_refunds_nothing() -> None:
    world = a_paid_world()
    world.hear(a_return(None), a_return(Money(0, "EUR")))
    assert (world.calls, world.payment().refunds) == ({}, [])


def test_a_return_that_comes_before_the_capture_waits_for_it() -> None:
    world = World()
    world.hear(a_payment_request(method=PaymentMethod.WALLET), a_return(Money(500, "EUR")))
    assert [refund.state for refund in world.payment().refunds] == [RefundState.WAITING]
    world.settle()
    assert (world.names, world.provider.taken) == (["requested", "authorised", "captured", "succeeded"], 799)


def test_a_return_whose_payment_never_comes_fails_loudly() -> None:
    world = World(ToyProvider(declines=True))
    world.hear(a_payment_request(), a_return())
    world.settle()
    assert world.names == ["requested", "declined", "failed"]
    assert world.payment().postings == []


def test_a_return_in_another_currency_is_not_paid_and_not_lost() -> None:
    world = a_paid_world()
    world.hear(a_return(Money(500, "USD")))
    world.settle()
    assert (world.names[-2:], world.provider.taken) == (["requested", "failed"], TOTAL.amount)
    assert world.payment().attention == "refund.currency"


def test_a_cancelled_order_gives_back_only_what_is_left() -> None:
    world = a_paid_world()
    world.hear(a_wish(Money(500, "EUR")), a_cancellation())
    world.settle()
    assert sorted(refund.amount for refund in world.provider.charges[PAYMENT].refunds) == [500, 799]


# ── Not through the provider ──────────────────────────────────────────────────────────────────────────────────────────


def test_cash_is_paid_back_by_a_person_who_says_so() -> None:
    world = a_paid_world(method=PaymentMethod.CASH_ON_DELIVERY, token="")
    world.hear(ShipmentDelivered(order_id=ORDER, shipment_id="shp_1", delivered_at=NOON), a_wish(Money(500, "EUR")))
    (refund,) = world.payment().refunds
    assert (refund.state, world.calls, world.names) == (
        RefundState.BY_HAND,
        {},
        ["authorised", "captured", "requested"],
    )
    world.hear(RecordPayout(store_id=STORE, order_id=ORDER, refund_id=refund.id))
    assert (world.names[-1], balance(world, "bank")) == ("succeeded", -500)
    world.hear(RecordPayout(store_id=STORE, order_id=ORDER, refund_id=refund.id))
    assert [refusal.code for refusal in world.refusals] == ["refund.not_by_hand"]


def test_what_the_channel_collected_is_given_back_by_the_channel() -> None:
    world = a_paid_world(mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL, token="")
    world.hear(a_return(Money(500, "EUR")))
    assert (world.names[-2:], world.calls) == (["requested", "succeeded"], {})
    assert balance(world, "channel_receivable") == 799
