"""A payment's life, told message by message."""

from datetime import timedelta

import pytest

from services.payments.domain.payment import State
from services.payments.usecases.hear_webhook import HearWebhook
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched
from shared.contracts.orders import OrderRejected
from shared.contracts.payments import (
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    RefundRequested,
)
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.money import Money
from tests.builders.payments import NOON, ORDER, PAYMENT, TOTAL, ToyProvider, World, a_cancellation, a_payment_request

DISPATCHED = ShipmentDispatched(order_id=ORDER, shipment_id="shp_1", items=(), dispatched_at=NOON)
DELIVERED = ShipmentDelivered(order_id=ORDER, shipment_id="shp_1", delivered_at=NOON)


def a_webhook(
    webhook_id: str = "whk_1", *, key: str = PAYMENT, status: str = "authorised", refund: bool = False
) -> HearWebhook:
    return HearWebhook(webhook_id=webhook_id, order_id=ORDER, attempt_key=key, status=status, about_refund=refund)


# ── When money is taken ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_card_is_promised_first_and_captured_at_dispatch() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    assert world.names == ["authorised"]
    world.hear(DISPATCHED)
    world.settle()
    assert world.names == ["authorised", "captured"]
    assert world.provider.taken == TOTAL.amount
    assert world.deadlines == {}


@pytest.mark.parametrize("method", [PaymentMethod.WALLET, PaymentMethod.BANK_TRANSFER])
def test_a_wallet_or_a_bank_pays_at_once(method: PaymentMethod) -> None:
    world = World()
    world.hear(a_payment_request(method=method))
    world.settle()
    assert world.names == ["authorised", "captured"]


def test_cash_is_promised_at_once_and_taken_at_the_door() -> None:
    world = World()
    world.hear(a_payment_request(method=PaymentMethod.CASH_ON_DELIVERY, token=""))
    assert (world.names, world.calls) == (["authorised"], {})
    world.hear(DISPATCHED)
    assert world.names == ["authorised"]
    world.hear(DELIVERED)
    assert world.names == ["authorised", "captured"]


def test_what_a_channel_collected_is_only_booked() -> None:
    world = World()
    world.hear(
        a_payment_request(
            mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL, token="", channel="amazon"
        )
    )
    assert (world.names, world.calls, world.provider.charges) == (["authorised", "captured"], {}, {})
    accounts = {entry.account.value for posting in world.payment().postings for entry in posting.entries}
    assert accounts == {"channel_receivable", "sales_clearing"}


def test_an_order_that_costs_nothing_is_paid_without_anyone() -> None:
    world = World()
    world.hear(a_payment_request(amount=Money(0, "EUR")))
    assert (world.names, world.calls, world.payment().postings) == (["authorised", "captured"], {}, [])


def test_the_same_request_twice_is_one_charge() -> None:
    world = World()
    world.hear(a_payment_request(), a_payment_request())
    world.settle()
    world.hear(a_payment_request())
    world.settle()
    assert (world.names, len(world.provider.charges)) == (["authorised"], 1)


# ── No ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_declined_card_is_told_with_its_reason() -> None:
    world = World(ToyProvider(declines=True))
    world.hear(a_payment_request())
    world.settle()
    (declined,) = world.told(PaymentDeclined)
    assert isinstance(declined, PaymentDeclined)
    assert declined.reason.code == "payment.card_declined"


def test_another_card_after_a_decline_is_another_attempt() -> None:
    world = World(ToyProvider(declines=True))
    world.hear(a_payment_request())
    world.settle()
    world.provider.declines = False
    world.hear(a_payment_request(payment_id="pay_01jc2v8k9q4t6x0m3n5p7r9zzz", token="tok_ok_other"))
    world.settle()
    assert world.names == ["declined", "authorised"]
    assert [attempt.superseded for attempt in world.payment().attempts] == [True, False]


def test_news_about_the_card_that_failed_does_not_touch_the_one_that_paid() -> None:
    world = World(ToyProvider(declines=True))
    world.hear(a_payment_request())
    world.settle()
    world.provider.declines = False
    world.hear(a_payment_request(payment_id="pay_01jc2v8k9q4t6x0m3n5p7r9zzz"))
    world.settle()
    world.hear(a_webhook(status="voided"))
    world.settle()
    assert (world.payment().state, world.names) == (State.AUTHORISED, ["declined", "authorised"])


def test_a_card_number_in_place_of_a_token_is_declined_and_not_kept() -> None:
    world = World()
    world.hear(a_payment_request(token="4111 1111 1111 1111"))
    assert (world.names, world.calls, world.payment().token) == (["declined"], {}, "")


def test_a_request_without_a_token_is_declined() -> None:
    world = World()
    world.hear(a_payment_request(token=""))
    assert world.names == ["declined"]


def test_a_card_that_was_not_announced_is_told() -> None:
    world = World()
    world.hear(a_payment_request(card_fingerprint="fpr_somebody_else"))
    world.settle()
    (authorised,) = world.told(PaymentAuthorised)
    assert isinstance(authorised, PaymentAuthorised)
    assert (authorised.card_matches, authorised.card_fingerprint) == (False, "fpr_ok")


# ── Unknown outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_time_out_after_charging_is_asked_about_and_charged_once() -> None:
    world = World(ToyProvider(silent={"provider.authorise"}))
    world.hear(a_payment_request())
    world.settle()
    assert world.names == ["outcome_unknown", "authorised"]
    assert len(world.provider.charges) == 1


def test_a_request_that_never_arrived_is_sent_again_with_the_same_key() -> None:
    world = World(ToyProvider(lost={"provider.authorise"}))
    world.hear(a_payment_request())
    world.answer(next(iter(world.calls)))  # lost
    world.answer(next(iter(world.calls)))  # looked up: never seen
    (again,) = world.calls.values()
    assert (again.kind, again.request["key"]) == ("provider.authorise", PAYMENT)
    world.provider.lost.clear()
    world.settle()
    assert world.names == ["outcome_unknown", "authorised"]


def test_an_unknown_outcome_is_told_once_and_asked_about_ever_more_slowly() -> None:
    world = World(ToyProvider(silent={"provider.authorise", "provider.look_up"}))
    world.hear(a_payment_request())
    waits: list[timedelta] = []
    for _ in range(14):
        before = world.now
        world.answer(next(iter(world.calls)))
        waits.append(world.now - before)
    assert world.names == ["outcome_unknown"]
    assert waits[:5] == [timedelta(seconds=seconds) for seconds in (0, 1, 2, 4, 8)]
    assert max(waits) == timedelta(minutes=5)


@pytest.mark.parametrize("fault", ["silent", "lost"])
def test_a_capture_without_an_answer_is_one_capture(fault: str) -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    setattr(world.provider, fault, {"provider.capture"})
    world.hear(DISPATCHED)
    world.answer(next(iter(world.calls)))
    setattr(world.provider, fault, set())
    world.settle()
    assert world.names == ["authorised", "outcome_unknown", "captured"]
    assert world.provider.taken == TOTAL.amount


def test_a_void_without_an_answer_ends_voided() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.provider.silent = {"provider.void"}
    world.hear(a_cancellation())
    world.settle()
    assert world.names == ["authorised", "outcome_unknown", "voided"]


def test_an_old_question_that_is_answered_late_starts_no_second_chain_of_questions() -> None:
    world = World(ToyProvider(silent={"provider.authorise", "provider.look_up"}))
    world.hear(a_payment_request(), a_webhook("whk_1", status="captured"), a_webhook("whk_2", status="captured"))
    for _ in range(12):
        world.answer(next(iter(world.calls)))
        assert len(world.calls) <= 3
    assert len(world.calls) == 1


# ── 3-D Secure ────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_world_that_waits_for_the_buyer() -> World:
    world = World(ToyProvider(action=True))
    world.hear(a_payment_request())
    world.settle()
    return world


def test_the_buyer_is_told_where_to_act_and_until_when() -> None:
    (action,) = a_world_that_waits_for_the_buyer().told(PaymentActionRequired)
    assert isinstance(action, PaymentActionRequired)
    assert (action.action_url, action.expires_at) == ("http://bank.test/1", NOON + timedelta(minutes=15))


@pytest.mark.parametrize(("complete", "ending"), [(True, "authorised"), (False, "declined")])
def test_a_webhook_tells_that_the_buyer_acted(complete: bool, ending: str) -> None:
    world = a_world_that_waits_for_the_buyer()
    world.provider.act(PAYMENT, complete=complete, now=world.now)
    world.hear(a_webhook(status=ending))
    world.settle()
    assert world.names == ["action_required", ending]
    assert ("payment.action", ORDER) not in world.deadlines


def test_a_lost_webhook_is_made_good_at_the_deadline() -> None:
    world = a_world_that_waits_for_the_buyer()
    world.provider.act(PAYMENT, complete=True, now=world.now)
    world.come_due("payment.action")
    world.settle()
    assert world.names == ["action_required", "authorised"]


def test_a_buyer_who_does_not_act_in_time_is_declined_and_charged_nothing() -> None:
    world = a_world_that_waits_for_the_buyer()
    world.come_due("payment.action")
    world.settle()
    (declined,) = world.told(PaymentDeclined)
    assert isinstance(declined, PaymentDeclined)
    assert declined.reason.code == "payment.action_expired"
    assert (world.payment().state, world.provider.charges[PAYMENT].status) == (State.DECLINED, "voided")


def test_an_order_that_is_cancelled_while_the_buyer_acts_is_voided() -> None:
    world = a_world_that_waits_for_the_buyer()
    world.hear(a_cancellation())
    world.provider.act(PAYMENT, complete=True, now=world.now)
    world.settle()
    assert world.names == ["action_required", "voided"]


# ── The order ends ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ended", [a_cancellation(), OrderRejected(order_id=ORDER, reasons=())])
def test_a_promise_is_voided_when_the_order_ends(ended: object) -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.hear(ended)
    world.settle()
    assert world.names == ["authorised", "voided"]


def test_money_that_was_taken_is_refunded_by_itself_when_the_order_ends() -> None:
    world = World()
    world.hear(a_payment_request(method=PaymentMethod.WALLET))
    world.settle()
    world.hear(a_cancellation(), a_cancellation())
    world.settle()
    assert world.names == ["authorised", "captured", "requested", "succeeded"]
    assert world.provider.taken == 0


def test_an_answer_that_comes_after_the_cancellation_is_undone() -> None:
    world = World()
    world.hear(a_payment_request(), a_cancellation())
    world.settle()
    assert world.names == ["voided"]
    assert world.provider.charges[PAYMENT].status == "voided"


def test_a_capture_that_comes_after_the_cancellation_is_refunded() -> None:
    world = World()
    world.hear(a_payment_request(method=PaymentMethod.WALLET), a_cancellation())
    world.settle()
    assert world.names == ["captured", "requested", "succeeded"]
    assert world.provider.taken == 0


def test_a_request_that_was_thought_lost_and_arrives_after_all_is_undone() -> None:
    world = World(ToyProvider(lost={"provider.authorise"}))
    world.hear(a_payment_request(), a_cancellation())
    (request,) = world.calls.values()
    world.settle()
    assert world.names == ["outcome_unknown", "voided"]
    world.provider.lost.clear()
    world.provider.answer(request, world.now)  # it was stuck on its way for minutes
    world.hear(a_webhook(status="authorised"))
    world.settle()
    assert world.provider.charges[PAYMENT].status == "voided"


def test_cash_that_was_only_promised_is_voided_without_anyone() -> None:
    world = World()
    world.hear(a_payment_request(method=PaymentMethod.CASH_ON_DELIVERY, token=""), a_cancellation())
    assert (world.names, world.calls) == (["authorised", "voided"], {})


def test_what_a_channel_collected_goes_back_through_the_channel() -> None:
    world = World()
    world.hear(
        a_payment_request(mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL, token=""),
        a_cancellation(),
    )
    (requested,) = world.told(RefundRequested)
    assert isinstance(requested, RefundRequested)
    assert requested.through_channel
    assert (world.names[-1], world.calls) == ("succeeded", {})


# ── Conflicts, expiry ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_amount_holds_the_order_until_a_person_cancels_it() -> None:
    world = World(ToyProvider(adds=1))
    world.hear(a_payment_request())
    world.settle()
    assert (world.names, world.payment().attention) == (["outcome_unknown"], "payment.conflicted")
    world.hear(a_cancellation())
    world.settle()
    assert (world.names[-1], world.provider.charges[PAYMENT].status) == ("voided", "voided")


def test_another_amount_that_was_taken_is_given_back_as_it_was_taken() -> None:
    world = World(ToyProvider(adds=1))
    world.hear(a_payment_request(method=PaymentMethod.WALLET))
    world.settle()
    world.hear(a_cancellation())
    world.settle()
    (captured,) = world.told(PaymentCaptured)
    assert isinstance(captured, PaymentCaptured)
    assert (captured.amount, world.provider.taken) == (Money(1300, "EUR"), 0)


def test_a_promise_is_renewed_before_it_runs_out() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.come_due("payment.renewal")
    assert world.now == NOON + timedelta(days=6)
    world.settle()
    first, second = world.provider.charges.values()
    assert (first.status, second.status) == ("voided", "authorised")
    world.hear(DISPATCHED)
    world.settle()
    assert world.names == ["authorised", "captured"]
    assert world.provider.taken == TOTAL.amount


def test_a_renewal_that_is_declined_is_told_and_the_old_promise_is_captured() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.provider.declines = True
    world.come_due("payment.renewal")
    world.settle()
    (unknown,) = world.told(PaymentOutcomeUnknown)
    assert isinstance(unknown, PaymentOutcomeUnknown)
    assert (unknown.operation, world.payment().attention) == ("renew", "payment.promise_expiring")
    world.hear(DISPATCHED)
    world.settle()
    assert (world.names[-1], world.provider.taken) == ("captured", TOTAL.amount)


def test_a_promise_that_ran_out_and_cannot_be_renewed_needs_a_person() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.provider.declines = True
    world.come_due("payment.renewal")
    world.settle()
    world.provider.expire(PAYMENT)
    world.come_due("payment.renewal")
    world.settle()
    assert (world.payment().state, world.payment().attention) == (State.LAPSED, "payment.promise_lost")
    assert len(world.provider.charges) == 2


def test_goods_that_leave_on_a_promise_that_ran_out_are_charged_anew_once() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.provider.expire(PAYMENT)
    world.hear(DISPATCHED)
    world.settle()
    assert (world.names, world.provider.taken) == (["authorised", "captured"], TOTAL.amount)


def test_a_dispatch_in_the_middle_of_a_renewal_captures_the_old_promise_and_undoes_the_new_one() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.come_due("payment.renewal")
    world.hear(DISPATCHED)
    world.settle()
    assert world.names == ["authorised", "captured"]
    assert [charge.status for charge in world.provider.charges.values()] == ["captured", "voided"]


def test_a_cancellation_in_the_middle_of_a_renewal_undoes_both_promises() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.come_due("payment.renewal")
    world.hear(a_cancellation())
    world.settle()
    assert {charge.status for charge in world.provider.charges.values()} == {"voided"}


# ── Webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_webhook_is_only_a_hint_and_the_charge_is_asked_for() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.hear(a_webhook(status="captured"))  # a lie
    world.settle()
    assert (world.payment().state, world.names) == (State.AUTHORISED, ["authorised"])


def test_a_webhook_that_tells_nothing_new_asks_nobody() -> None:
    world = World()
    world.hear(a_payment_request())
    world.settle()
    world.hear(a_webhook(status="authorised"))
    assert world.calls == {}


def test_a_webhook_before_its_order_is_kept_and_asked_about_with_the_order() -> None:
    world = World()
    world.hear(a_webhook())
    assert world.calls == {}
    world.hear(a_payment_request())
    assert sorted(call.kind for call in world.calls.values()) == ["provider.authorise", "provider.look_up"]
    world.settle()
    assert (world.names, world.books.early[ORDER]) == (["authorised"], [])


def test_a_webhook_whose_order_never_comes_is_dropped_after_days() -> None:
    world = World()
    world.hear(a_webhook())
    while world.deadlines:
        world.come_due()
    assert world.books.early[ORDER] == []
    assert timedelta(days=3) <= world.now - NOON < timedelta(days=4)


def test_a_webhook_about_a_key_that_we_never_used_is_looked_at_by_a_person() -> None:
    world = World()
    world.hear(a_payment_request())
    world.hear(a_webhook(key="pay_somebody_elses"))
    assert world.payment().attention == "payment.foreign_charge"
