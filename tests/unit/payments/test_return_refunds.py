"""What a return is owed: paid as far as the charge reaches, said when it does not, and settled by hand without counting twice."""

from dataclasses import replace
from typing import Any

import pytest

from services.payments.domain.charge import ProviderRefund, RefundStatus
from services.payments.domain.payment import State
from services.payments.domain.refund import RefundState
from services.payments.usecases.request_refund import RequestRefund
from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.values import PaymentMethod
from shared.money import Money
from tests.builders.payments import ORDER, PAYMENT, STORE, ToyProvider, World, a_cancellation, a_payment_request
from tests.unit.payments.test_refunds import a_paid_world, a_return

RETURN, OTHER = "ret_01jc2v8k9q4t6x0m3n5p7r9s1v", "ret_01jc2v8k9q4t6x0m3n5p7r9s2w"


def euros(amount: int) -> Money:
    return Money(amount, "EUR")


def by_hand(amount: int, return_id: str = "", *, settles_none: bool = False, currency: str = "EUR") -> RequestRefund:
    return RequestRefund(
        store_id=STORE,
        order_id=ORDER,
        amount=Money(amount, currency),
        reason="by_hand" if return_id else "goodwill",
        return_id=return_id,
        settles_none=settles_none,
    )


def codes(world: World) -> list[str]:
    return [refusal.code for refusal in world.refusals]


def told(world: World, kind: type[Any]) -> list[Any]:
    return [*world.told(kind)]


def a_world_whose_return_failed(amount: int = 500) -> World:
    world = a_paid_world(provider=ToyProvider(refuses_refunds=True))
    world.hear(a_return(euros(amount), RETURN))
    world.settle()
    world.provider.refuses_refunds = False
    assert world.names[-1] == "failed"
    return world


# ── Less is left than the return is owed ──────────────────────────────────────────────────────────────────────────────


def test_a_return_that_meets_a_goodwill_refund_is_paid_what_is_left() -> None:
    world = a_paid_world()
    world.hear(by_hand(1000), a_return(euros(500), RETURN))
    world.settle()
    assert world.provider.taken == 0
    (_, requested) = told(world, RefundRequested)
    assert (requested.return_id, requested.amount, requested.asked) == (RETURN, euros(299), euros(500))
    assert [event.amount for event in told(world, RefundSucceeded)] == [euros(1000), euros(299)]


def test_a_reduced_refund_says_why_and_what_would_pay_the_rest() -> None:
    world = a_paid_world()
    world.hear(by_hand(1000), a_return(euros(500), RETURN))
    (_, requested) = told(world, RefundRequested)
    reason = requested.reduced
    assert (reason.code, reason.subject) == ("refund.exceeds_captured", RETURN)
    assert "2.99 EUR" in reason.message
    assert "2.01 EUR" in reason.message
    assert "names the return" in reason.clears_with
    assert world.payment().attention == "refund.short"


def test_a_refund_in_full_says_nothing_of_a_reduction() -> None:
    world = a_paid_world()
    world.hear(a_return(euros(500), RETURN))
    (requested,) = told(world, RefundRequested)
    assert (requested.asked, requested.reduced) == (None, None)


def test_a_return_that_waits_for_the_capture_is_promised_what_is_left_of_it() -> None:
    world = World()
    world.hear(
        a_payment_request(method=PaymentMethod.WALLET), a_return(euros(1000), OTHER), a_return(euros(500), RETURN)
    )
    assert [(refund.state, refund.amount) for refund in world.payment().refunds] == [
        (RefundState.WAITING, euros(1000)),
        (RefundState.WAITING, euros(299)),
    ]
    world.settle()
    assert world.provider.taken == 0


def test_what_waited_is_paid_as_far_as_less_was_captured() -> None:
    # The provider took less than was promised, and the order was cancelled meanwhile: the return gets what is there.
    world = World(ToyProvider(adds=-900))
    world.hear(a_payment_request(method=PaymentMethod.WALLET), a_return(euros(500), RETURN), a_cancellation())
    world.settle()
    assert (world.payment().state, world.provider.taken) == (State.CAPTURED, 0)
    (first, rest) = [event for event in told(world, RefundRequested) if event.return_id == RETURN]
    assert (first.amount, rest.amount, rest.asked) == (euros(500), euros(399), euros(500))
    assert [event.refund_id for event in told(world, RefundFailed)] == [first.refund_id]


def test_a_return_that_finds_nothing_left_fails_and_is_still_owed() -> None:
    world = a_paid_world()
    world.hear(by_hand(1299), a_return(euros(500), RETURN))
    world.settle()
    (failed,) = told(world, RefundFailed)
    assert (failed.amount, failed.reason.code) == (euros(500), "refund.exceeds_captured")
    assert world.payment().owed_to(RETURN) == euros(500)


# ── Settled by hand ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refund_by_hand_that_names_the_return_settles_it() -> None:
    world = a_world_whose_return_failed(500)
    assert world.payment().owed_to(RETURN) == euros(500)
    world.hear(by_hand(500, RETURN))
    world.settle()
    assert (codes(world), world.payment().owed_to(RETURN)) == ([], euros(0))
    (_, settled) = told(world, RefundRequested)
    assert (settled.return_id, told(world, RefundSucceeded)[-1].return_id) == (RETURN, RETURN)
    assert world.payment().attention == "", "nobody has to look any more"


def test_it_settles_no_more_than_the_return_is_owed() -> None:
    world = a_world_whose_return_failed(500)
    world.hear(by_hand(501, RETURN))
    assert codes(world) == ["refund.exceeds_return"]
    world.hear(by_hand(300, RETURN), by_hand(201, RETURN), by_hand(200, RETURN), by_hand(1, RETURN))
    assert codes(world)[1:] == ["refund.exceeds_return", "refund.exceeds_return"]
    assert world.refusals[-1].facts["owed"] == euros(0)


def test_the_rest_of_a_reduced_refund_is_paid_by_hand_once_more_is_left() -> None:
    world = a_paid_world(provider=ToyProvider(refuses_refunds=True))
    world.hear(by_hand(1000), a_return(euros(500), RETURN))
    goodwill = next(call for call in world.calls.values() if call.request["amount"] == 1000)
    world.answer(goodwill.id)  # refused: its amount is left again
    world.provider.refuses_refunds = False
    world.settle()
    assert world.payment().owed_to(RETURN) == euros(201)
    world.hear(by_hand(201, RETURN))
    world.settle()
    assert (codes(world), world.payment().owed_to(RETURN), world.provider.taken) == ([], euros(0), 799)


def test_a_refund_by_hand_says_whether_it_settles_the_return_that_is_owed() -> None:
    # Left open it would be counted as one more refund beside the one that is owed, or hide that it is owed.
    world = a_world_whose_return_failed(500)
    world.hear(by_hand(500))
    assert codes(world) == ["refund.return_owed"]
    assert world.refusals[0].facts["returns"] == [{"return_id": RETURN, "owed": euros(500)}]
    assert "return_id" in (world.refusals[0].clears_with or "")
    world.hear(by_hand(500, settles_none=True))
    world.settle()
    assert (codes(world), world.payment().owed_to(RETURN)) == (["refund.return_owed"], euros(500))


def test_a_return_that_nobody_was_told_of_cannot_be_settled() -> None:
    world = a_paid_world()
    world.hear(by_hand(500, RETURN))
    assert codes(world) == ["refund.unknown_return"]


def test_a_return_is_settled_in_the_currency_it_is_owed_in() -> None:
    world = a_paid_world()
    world.hear(a_return(Money(500, "USD"), RETURN), by_hand(500, RETURN))
    assert codes(world) == ["refund.exceeds_return"]


def test_a_goodwill_refund_that_failed_keeps_somebody_looking_though_the_return_is_settled() -> None:
    world = a_world_whose_return_failed(500)
    world.provider.refuses_refunds = True
    world.hear(by_hand(100, settles_none=True))
    world.settle()
    world.provider.refuses_refunds = False
    world.hear(by_hand(500, RETURN))
    world.settle()
    assert world.payment().attention == "refund.failed"


@pytest.mark.parametrize(
    ("state", "owed"), [(RefundState.SUCCEEDED, 0), (RefundState.SENT, 0), (RefundState.FAILED, 500)]
)
def test_a_return_is_owed_what_neither_went_nor_is_under_way(state: RefundState, owed: int) -> None:
    world = a_paid_world()
    world.hear(a_return(euros(500), RETURN))
    world.payment().refunds[0].state = state
    assert world.payment().owed_to(RETURN) == euros(owed)


# ── The provider's book says otherwise ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("paid", [1, 499, 501])
def test_a_refund_of_another_amount_than_was_asked_is_nobodys_yes(paid: int) -> None:
    world = a_paid_world()
    world.hear(a_return(euros(500), RETURN))
    charge = world.provider.charges[PAYMENT]
    (refund,) = world.payment().refunds
    other = ProviderRefund(key=refund.key, amount=paid, status=RefundStatus.SUCCEEDED)
    world.provider.charges[PAYMENT] = replace(charge, refunds=(other,))
    world.settle()
    assert told(world, RefundSucceeded) == []
    assert (refund.state, world.payment().attention) == (RefundState.SENT, "refund.conflicted")
    assert world.calls == {}, "asking again would say the same"
