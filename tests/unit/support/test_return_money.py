"""What a return is owed, followed through payments' words: failed, fallen short, settled by hand, come back."""

from typing import Any

import pytest

from services.support.domain.cases import Cases
from services.support.domain.return_states import RefundState
from services.support.domain.returns import Return
from services.support.usecases.note_return import note_failed_refund, note_refund, note_requested_refund
from shared.contracts.payments import CHARGED_TWICE, REFUND_BOUNCED, RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.values import Reason
from tests.builders.support import a_line, a_moment, a_placed, a_return, approve, cases_of, euros, found, receive

SHORT = Reason(code="refund.exceeds_captured", message="little is left", clears_with="a refund that names the return")
CLOSED = Reason(code="refund.card_closed", message="the card is closed", clears_with="another way")


class Told:
    """What payments tells of one order, in its order."""

    def __init__(self, cases: Cases, order_id: str) -> None:
        self.cases, self.order_id = cases, order_id

    def requested(self, amount: int, of: Return | None = None, refund_id: str = "rfd_1", **other: Any) -> None:
        told: dict[str, Any] = {"reason": "return"} | self._about(amount, of, refund_id) | other
        note_requested_refund(RefundRequested(**told), self.cases, a_moment())

    def paid(self, amount: int, of: Return | None = None, refund_id: str = "rfd_1") -> None:
        note_refund(RefundSucceeded(**self._about(amount, of, refund_id)), self.cases, a_moment())

    def failed(self, amount: int, of: Return | None = None, refund_id: str = "rfd_1", reason: Reason = CLOSED) -> None:
        note_failed_refund(RefundFailed(reason=reason, **self._about(amount, of, refund_id)), self.cases, a_moment())

    def _about(self, amount: int, of: Return | None, refund_id: str) -> dict[str, Any]:
        of_return = of.id if of is not None else ""
        return {"order_id": self.order_id, "refund_id": refund_id, "amount": euros(amount), "return_id": of_return}


def an_order_of_three(**other: Any) -> tuple[Cases, str, Told]:
    """Three mugs at ten euros."""
    placed = a_placed((("MUG", 3, 3000),), **other)
    cases = cases_of(placed)
    return cases, placed.order_id, Told(cases, placed.order_id)


def a_received_return(cases: Cases, order_id: str, units: int = 1) -> Return:
    claim = a_return(cases, order_id, a_line("MUG", units))
    approve(cases, claim)
    receive(cases, claim, found("MUG", units))
    return claim


def test_a_failed_refund_that_is_paid_by_hand_counts_once() -> None:
    cases, order_id, told = an_order_of_three()
    first = a_received_return(cases, order_id)
    told.requested(1000, first)
    told.failed(1000, first)
    assert (first.refund, first.refund_owed) == (RefundState.FAILED, euros(1000))
    told.requested(1000, first, "rfd_hand", reason="paid_by_hand")
    told.paid(1000, first, "rfd_hand")
    assert (first.refund, first.refund_owed, first.refund_because) == (RefundState.REFUNDED, None, None)
    assert cases.purchases[order_id].refunded_outside == 0
    assert a_received_return(cases, order_id, 2).promised == euros(2000)


def test_a_return_keeps_what_it_is_owed_while_others_are_refunded() -> None:
    cases, order_id, told = an_order_of_three()
    told.requested(1500, refund_id="rfd_goodwill", reason="goodwill")
    first = a_received_return(cases, order_id)
    told.requested(1000, first)
    told.failed(1000, first)
    assert a_received_return(cases, order_id, 2).promised == euros(500)


def test_what_falls_short_is_shown_with_its_reason_and_stays_owed() -> None:
    cases, order_id, told = an_order_of_three()
    claim = a_received_return(cases, order_id)
    told.requested(400, claim, asked=euros(1000), reduced=SHORT)
    assert (claim.refund, claim.refund_owed) == (RefundState.PENDING, euros(600))
    told.paid(400, claim)
    assert (claim.refund, claim.refunded) == (RefundState.SHORT, euros(400))
    document = claim.document()
    assert (document["refund_owed"], document["refund_because"]) == (euros(600), SHORT)
    told.requested(600, claim, "rfd_hand")
    told.paid(600, claim, "rfd_hand")
    assert (claim.refund, claim.document()["refund_owed"]) == (RefundState.REFUNDED, None)


def test_a_part_paid_by_hand_leaves_the_rest_owed() -> None:
    cases, order_id, told = an_order_of_three()
    claim = a_received_return(cases, order_id)
    told.requested(1000, claim)
    told.failed(1000, claim)
    told.requested(300, claim, "rfd_hand")
    told.paid(300, claim, "rfd_hand")
    assert (claim.refund, claim.refunded, claim.refund_owed) == (RefundState.FAILED, euros(300), euros(700))


def test_a_refund_by_hand_that_fails_as_well_is_owed_as_before() -> None:
    cases, order_id, told = an_order_of_three()
    claim = a_received_return(cases, order_id)
    told.requested(1000, claim)
    told.failed(1000, claim)
    told.requested(1000, claim, "rfd_hand")
    assert claim.refund is RefundState.PENDING
    told.failed(1000, claim, "rfd_hand")
    assert (claim.refund, claim.refund_owed, claim.refund_because) == (RefundState.FAILED, euros(1000), CLOSED)


def test_a_refund_that_bounces_is_owed_again_whichever_of_several_it_was() -> None:
    cases, order_id, told = an_order_of_three()
    claim = a_received_return(cases, order_id)
    told.requested(400, claim, asked=euros(1000), reduced=SHORT)
    told.paid(400, claim)
    told.requested(600, claim, "rfd_hand")
    told.paid(600, claim, "rfd_hand")
    told.failed(400, claim, "rfd_1", Reason(code=REFUND_BOUNCED, message="it came back"))
    assert (claim.refund, claim.refunded, claim.refund_owed) == (RefundState.FAILED, euros(600), euros(400))


@pytest.mark.parametrize("paid", [True, False])
def test_what_was_charged_twice_and_goes_back_takes_nothing_from_returns(paid: bool) -> None:
    # The second charge was never part of the order's total; its way back must not lower what returns may refund.
    cases, order_id, told = an_order_of_three()
    told.requested(3000, refund_id="rfd_double", reason=CHARGED_TWICE)
    if paid:
        told.paid(3000, refund_id="rfd_double")
    assert a_received_return(cases, order_id, 3).promised == euros(3000)
