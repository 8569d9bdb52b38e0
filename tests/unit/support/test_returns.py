from datetime import timedelta
from typing import Any

import pytest

from services.support.domain.return_policy import Distance, ReturnCosts, ReturnReason
from services.support.domain.return_states import RefundState, RestockState, ReturnState
from services.support.usecases.keep_order_copy import keep_cancellation, keep_dispatch
from services.support.usecases.note_return import (
    note_failed_refund,
    note_parcel,
    note_refund,
    note_requested_refund,
    note_restock,
)
from services.support.usecases.refuse_return import RefusalReason, RefuseReturn, refuse_return
from shared.contracts.inventory import StockRestocked
from shared.contracts.logistics import ReturnParcelArrived
from shared.contracts.orders import OrderCancelled
from shared.contracts.payments import REFUND_BOUNCED, RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.support import ReturnApproved, ReturnReceived, ReturnRefused, ReturnRequested
from shared.contracts.values import Grade, Reason, ReceivedLine, ReturnLine
from shared.money import Money
from tests.builders.support import (
    NOON,
    STORE,
    a_dispatch,
    a_line,
    a_moment,
    a_placed,
    a_return,
    approve,
    body_of,
    cases_of,
    code_of,
    euros,
    events_of,
    found,
    receive,
    request,
)


def refuse(cases: Any, return_id: str) -> Any:
    return refuse_return(RefuseReturn(STORE, return_id, RefusalReason.USED), cases, a_moment())


class TestRequesting:
    def test_what_was_shipped_may_come_back(self) -> None:
        placed = a_placed()
        decision = request(cases_of(placed), placed.order_id, a_line("MUG", 2, ReturnReason.DAMAGED))
        body = body_of(decision)
        assert (body["state"], body["restock"], body["refund"]) == ("requested", "none", "none")
        lines = (ReturnLine(sku="MUG", quantity=2, reason="damaged"),)
        assert events_of(decision) == [ReturnRequested(order_id=placed.order_id, return_id=body["id"], lines=lines)]

    def test_what_never_left_cannot_come_back(self) -> None:
        placed = a_placed()
        cases = cases_of(placed, dispatched=False)
        assert code_of(request(cases, placed.order_id)) == "return.not_shipped"
        keep_dispatch(a_dispatch(placed, units={"MUG": 1}), cases, a_moment())
        assert code_of(request(cases, placed.order_id, a_line("MUG", 2))) == "return.not_shipped"
        assert body_of(request(cases, placed.order_id, a_line("MUG", 1)))["state"] == "requested"

    def test_a_refusal_says_what_would_clear_it_only_where_something_would(self) -> None:
        placed = a_placed()
        cases = cases_of(placed, dispatched=False)
        refusal = request(cases, placed.order_id)
        assert refusal.clears_with == "its dispatch"  # type: ignore[union-attr]
        cancelled = OrderCancelled(order_id=placed.order_id, reason="", requested_by="buyer")
        keep_cancellation(cancelled, cases, a_moment())
        refusal = request(cases, placed.order_id)
        assert refusal.clears_with is None  # type: ignore[union-attr]

    def test_no_more_than_was_bought_comes_back_over_all_returns(self) -> None:
        placed = a_placed((("MUG", 3, 3000),))
        cases = cases_of(placed)
        a_return(cases, placed.order_id, a_line("MUG", 2))
        assert code_of(request(cases, placed.order_id, a_line("MUG", 2))) == "return.exceeds_purchase"
        assert body_of(request(cases, placed.order_id, a_line("MUG", 1)))["state"] == "requested"

    def test_a_refused_return_gives_its_units_free(self) -> None:
        placed = a_placed((("MUG", 1, 1000),))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        assert code_of(request(cases, placed.order_id)) == "return.exceeds_purchase"
        refuse(cases, claim.id)
        assert body_of(request(cases, placed.order_id))["state"] == "requested"

    def test_units_that_were_missing_may_come_with_another_return(self) -> None:
        placed = a_placed((("MUG", 3, 3000),))
        cases = cases_of(placed)
        first = a_return(cases, placed.order_id, a_line("MUG", 3))
        approve(cases, first)
        receive(cases, first, found("MUG", 1))
        assert code_of(request(cases, placed.order_id, a_line("MUG", 3))) == "return.exceeds_purchase"
        second = a_return(cases, placed.order_id, a_line("MUG", 2))
        approve(cases, second)
        receive(cases, second, found("MUG", 2))
        assert (first.promised, second.promised) == (euros(1000), euros(2000))

    @pytest.mark.parametrize(
        ("lines", "code"),
        [
            ((a_line("CUP"),), "return.not_in_order"),
            ((a_line("MUG"), a_line("MUG")), "return.duplicate_sku"),
            ((a_line("MUG", 1), a_line("CUP", 1)), "return.not_in_order"),
        ],
    )
    def test_a_request_that_contradicts_the_order_is_refused_as_a_whole(self, lines: Any, code: str) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        assert code_of(request(cases, placed.order_id, *lines)) == code
        assert cases.returns == {}

    def test_an_order_is_not_there_before_it_was_placed_nor_for_others(self) -> None:
        placed, others = a_placed(), a_placed(store_id="str_other")
        cases = cases_of(others)
        keep_dispatch(a_dispatch(placed), cases, a_moment())  # the shipment's topic was faster
        for order_id in (placed.order_id, others.order_id, "ord_unknown"):
            assert code_of(request(cases, order_id)) == "order.not_found"

    def test_the_seller_may_ask_and_approve_in_one(self) -> None:
        placed = a_placed()
        decision = request(cases_of(placed), placed.order_id, approve=True, send_back=True)
        assert body_of(decision)["state"] == "approved"
        assert [type(event) for event in events_of(decision)] == [ReturnRequested, ReturnApproved]

    def test_an_imported_order_is_returned_like_any_other(self) -> None:
        placed = a_placed(channel="amazon_de", external_id="302-1", refusable=False)
        decision = request(cases_of(placed), placed.order_id, a_line("MUG", 1, ReturnReason.CANCELLED), approve=True)
        assert body_of(decision)["state"] == "approved"


class TestApproving:
    def test_goods_worth_more_than_their_way_come_back(self) -> None:
        placed = a_placed((("MUG", 1, 500),))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        (event,) = events_of(approve(cases, claim, send_back=None))
        assert (event.send_back, event.refund_now) == (True, None)
        assert claim.refund is RefundState.NONE

    def test_goods_worth_less_than_their_way_are_refunded_and_kept(self) -> None:
        placed = a_placed((("MUG", 1, 499),))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        (event,) = events_of(approve(cases, claim, send_back=None))
        assert (event.send_back, event.refund_now) == (False, euros(499))
        assert (claim.refund, claim.restock) == (RefundState.PENDING, RestockState.NONE)

    @pytest.mark.parametrize(
        ("country", "warehouse", "kept"),
        [("DE", "DE", False), ("FR", "PL", False), ("FR", "CN", True), ("US", "DE", True)],
    )
    def test_the_way_back_is_dearer_over_borders(self, country: str, warehouse: str, kept: bool) -> None:
        placed = a_placed((("MUG", 1, 1500),), country=country)
        cases = cases_of(placed, dispatched=False)
        keep_dispatch(a_dispatch(placed, warehouse_country=warehouse), cases, a_moment())
        (event,) = events_of(approve(cases, a_return(cases, placed.order_id), send_back=None))
        assert event.send_back is not kept

    def test_without_an_estimate_everything_comes_back(self) -> None:
        placed = a_placed((("MUG", 1, 1),))
        cases = cases_of(placed, costs=ReturnCosts(amounts={}, customs_union=frozenset()))
        (event,) = events_of(approve(cases, a_return(cases, placed.order_id), send_back=None))
        assert event.send_back

    def test_the_sellers_word_goes_before_the_policy(self) -> None:
        placed = a_placed((("MUG", 1, 90_000), ("CUP", 1, 1)))
        cases = cases_of(placed)
        dear, cheap = a_return(cases, placed.order_id, a_line("MUG")), a_return(cases, placed.order_id, a_line("CUP"))
        assert events_of(approve(cases, dear, send_back=False))[0].refund_now == euros(90_000)
        assert events_of(approve(cases, cheap, send_back=True))[0].send_back

    def test_goods_that_are_here_already_are_not_given_away(self) -> None:
        placed = a_placed((("MUG", 1, 1),))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        arrived = ReturnParcelArrived(order_id=placed.order_id, return_id=claim.id, warehouse="DE-1", arrived_at=NOON)
        note_parcel(arrived, cases, a_moment())
        (event,) = events_of(approve(cases, claim, send_back=None))
        assert (event.send_back, claim.state) == (True, ReturnState.PARCEL_ARRIVED)

    def test_a_refusal_tells_its_reason_and_no_free_text(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        reason = Reason(code="used", message="it was used beyond trying it out")
        assert events_of(refuse(cases, claim.id)) == [
            ReturnRefused(order_id=placed.order_id, return_id=claim.id, reason=reason)
        ]
        assert code_of(approve(cases, claim)) == "return.already_decided"

    def test_another_store_finds_nothing(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        claim.store_id = "str_other"
        assert {code_of(approve(cases, claim)), code_of(receive(cases, claim)), code_of(refuse(cases, claim.id))} == {
            "return.not_found"
        }


class TestReceiving:
    def test_sellable_goods_are_restocked_and_refunded(self) -> None:
        placed = a_placed((("MUG", 3, 1000),))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id, a_line("MUG", 2))
        approve(cases, claim)
        (event,) = events_of(receive(cases, claim, found("MUG", 2)))
        assert event == ReturnReceived(
            order_id=placed.order_id, return_id=claim.id, lines=(found("MUG", 2),), refund=euros(667)
        )
        assert (claim.state, claim.restock, claim.refund) == (
            ReturnState.RECEIVED,
            RestockState.PENDING,
            RefundState.PENDING,
        )

    def test_goods_are_graded_with_or_without_a_scan_of_their_parcel(self) -> None:
        for scanned in (True, False):
            placed = a_placed()
            cases = cases_of(placed)
            claim = a_return(cases, placed.order_id)
            approve(cases, claim)
            if scanned:
                claim.arrive(NOON)
            receive(cases, claim)
            assert claim.state is ReturnState.RECEIVED

    def test_what_nobody_named_is_missing_and_not_refunded(self) -> None:
        placed = a_placed((("MUG", 3, 3000), ("CUP", 1, 700)))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id, a_line("MUG", 3), a_line("CUP", 1))
        approve(cases, claim)
        (event,) = events_of(receive(cases, claim, found("MUG", 2)))
        missing = [(line.sku, line.quantity) for line in event.lines if line.grade is Grade.MISSING]
        assert missing == [("MUG", 1), ("CUP", 1)]
        assert event.refund == euros(2000)

    @pytest.mark.parametrize(
        ("reason", "refund"), [(ReturnReason.DAMAGED, 1001), (ReturnReason.LATE, 1001), (ReturnReason.UNWANTED, 501)]
    )
    def test_damage_costs_the_buyer_half_unless_the_fault_is_the_sellers(
        self, reason: ReturnReason, refund: int
    ) -> None:
        placed = a_placed((("MUG", 1, 1001),))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id, a_line("MUG", 1, reason))
        approve(cases, claim)
        (event,) = events_of(receive(cases, claim, found(grade=Grade.DAMAGED)))
        assert event.refund == euros(refund)
        assert claim.restock is RestockState.NONE

    def test_a_receipt_needs_no_refund(self) -> None:
        # medusa #4052: "Cannot receive a return without issuing a refund"
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        approve(cases, claim)
        (event,) = events_of(receive(cases, claim, refund=False))
        assert event.refund is None
        assert (claim.state, claim.restock, claim.refund) == (
            ReturnState.RECEIVED,
            RestockState.PENDING,
            RefundState.NONE,
        )

    def test_a_refund_needs_no_receipt_and_a_later_receipt_refunds_nothing_again(self) -> None:
        placed = a_placed((("MUG", 1, 400),), shipping=490)
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        assert events_of(approve(cases, claim, send_back=False))[0].refund_now == euros(400)
        (event,) = events_of(receive(cases, claim))  # the buyer sent it all the same
        assert event.refund is None
        assert (claim.promised, claim.restock) == (euros(400), RestockState.PENDING)

    def test_what_the_buyer_keeps_is_paid_for_and_cannot_be_claimed_again(self) -> None:
        placed = a_placed((("MUG", 3, 1001),), shipping=490)
        cases = cases_of(placed)
        kept, other = (
            a_return(cases, placed.order_id, a_line("MUG", 2)),
            a_return(cases, placed.order_id, a_line("MUG", 1)),
        )
        approve(cases, kept, send_back=False)
        receive(cases, kept, found("MUG", 1))  # sends one of the two all the same
        approve(cases, other)
        receive(cases, other)
        assert (kept.promised, other.promised) == (euros(668), euros(333))
        assert code_of(request(cases, placed.order_id)) == "return.exceeds_purchase"

    def test_several_returns_of_one_order_add_up_to_what_was_paid(self) -> None:
        # medusa #13433: multiple returns for a payment; #10842: cannot refund multiple times
        placed = a_placed((("MUG", 3, 1000), ("CUP", 2, 333)), shipping=490)
        cases = cases_of(placed)
        refunds: list[int] = []
        for lines in ((("MUG", 1), ("CUP", 1)), (("MUG", 1),), (("CUP", 1), ("MUG", 1))):
            claim = a_return(cases, placed.order_id, *(a_line(sku, quantity) for sku, quantity in lines))
            approve(cases, claim)
            receive(cases, claim, *(found(sku, quantity) for sku, quantity in lines))
            assert claim.promised is not None
            refunds.append(claim.promised.amount)
        assert refunds == [334 + 167, 333, 166 + 333]

    def test_a_refund_outside_of_returns_leaves_less_for_them(self) -> None:
        placed = a_placed((("MUG", 1, 1000),))
        cases = cases_of(placed)
        wanted = RefundRequested(order_id=placed.order_id, refund_id="rfd_1", amount=euros(700), reason="goodwill")
        note_requested_refund(wanted, cases, a_moment())
        claim = a_return(cases, placed.order_id)
        approve(cases, claim)
        (event,) = events_of(receive(cases, claim))
        assert event.refund == euros(300)

    @pytest.mark.parametrize(
        "lines", [(found("MUG", 2),), (found("CUP", 1),), (found("MUG", 1), found("MUG", 1, Grade.DAMAGED))]
    )
    def test_no_more_is_graded_than_was_to_come(self, lines: tuple[ReceivedLine, ...]) -> None:
        placed = a_placed((("MUG", 3, 3000), ("CUP", 1, 1)))
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id, a_line("MUG", 1))
        approve(cases, claim)
        assert code_of(receive(cases, claim, *lines)) == "return.more_than_returned"
        assert claim.state is ReturnState.APPROVED

    def test_goods_are_received_once_and_only_after_a_yes(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        assert code_of(receive(cases, claim)) == "return.not_approved"
        approve(cases, claim)
        receive(cases, claim)
        assert code_of(receive(cases, claim)) == "return.already_received"


def bounced(order_id: str, return_id: str = "") -> RefundFailed:
    reason = Reason(code=REFUND_BOUNCED, message="the refund was paid and came back")
    return RefundFailed(order_id=order_id, refund_id="rfd_1", amount=euros(1000), return_id=return_id, reason=reason)


def promised(order_id: str, return_id: str = "") -> RefundRequested:
    return RefundRequested(
        order_id=order_id, refund_id="rfd_1", amount=euros(1000), return_id=return_id, reason="goodwill"
    )


class TestFollowing:
    def test_shelf_and_money_report_on_their_own(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        approve(cases, claim)
        receive(cases, claim)
        note_restock(StockRestocked(order_id=placed.order_id, return_id=claim.id, allocations=()), cases, a_moment())
        assert (claim.restock, claim.refund) == (RestockState.RESTOCKED, RefundState.PENDING)
        failed = RefundFailed(
            order_id=placed.order_id, refund_id="rfd_1", amount=euros(1000), return_id=claim.id,
            reason=Reason(code="provider", message=""),
        )  # fmt: skip
        note_failed_refund(failed, cases, a_moment())
        assert claim.refund is RefundState.FAILED
        paid = RefundSucceeded(order_id=placed.order_id, refund_id="rfd_2", amount=euros(1000), return_id=claim.id)
        note_refund(paid, cases, a_moment())
        assert (claim.refund, claim.refunded) == (RefundState.REFUNDED, euros(1000))

    def test_a_refund_that_came_back_has_not_been_paid(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        approve(cases, claim)
        receive(cases, claim)
        paid = RefundSucceeded(order_id=placed.order_id, refund_id="rfd_1", amount=euros(1000), return_id=claim.id)
        note_refund(paid, cases, a_moment())
        note_failed_refund(bounced(placed.order_id, claim.id), cases, a_moment())
        assert (claim.refund, claim.refunded) == (RefundState.FAILED, euros(0))

    def test_a_refund_without_a_return_leaves_less_for_returns_from_the_moment_it_is_promised(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        note_requested_refund(promised(placed.order_id), cases, a_moment())
        note_refund(RefundSucceeded(order_id=placed.order_id, refund_id="rfd_1", amount=euros(1000)), cases, a_moment())
        assert cases.purchases[placed.order_id].refunded_outside == 1000

    @pytest.mark.parametrize("paid_before", [True, False])
    def test_a_refund_without_a_return_that_failed_or_came_back_leaves_its_amount_for_returns(
        self, paid_before: bool
    ) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        note_requested_refund(promised(placed.order_id), cases, a_moment())
        if paid_before:
            paid = RefundSucceeded(order_id=placed.order_id, refund_id="rfd_1", amount=euros(1000))
            note_refund(paid, cases, a_moment())
        note_failed_refund(bounced(placed.order_id), cases, a_moment())
        assert cases.purchases[placed.order_id].refunded_outside == 0

    def test_the_refund_of_a_return_is_not_counted_twice(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        approve(cases, claim)
        receive(cases, claim)
        note_requested_refund(promised(placed.order_id, claim.id), cases, a_moment())
        assert cases.purchases[placed.order_id].refunded_outside == 0

    def test_a_parcel_that_names_no_return_of_ours_changes_nothing(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        arrived = ReturnParcelArrived(order_id=placed.order_id, return_id="ret_else", warehouse="DE-1", arrived_at=NOON)
        note_parcel(arrived, cases, a_moment())
        assert claim.arrived_at is None

    def test_the_first_parcel_tells_when_the_goods_arrived(self) -> None:
        placed = a_placed()
        cases = cases_of(placed)
        claim = a_return(cases, placed.order_id)
        approve(cases, claim)
        for days in (1, 2):
            at = NOON + timedelta(days=days)
            arrived = ReturnParcelArrived(order_id=placed.order_id, return_id=claim.id, warehouse="DE-1", arrived_at=at)
            note_parcel(arrived, cases, a_moment())
        assert (claim.state, claim.arrived_at) == (ReturnState.PARCEL_ARRIVED, NOON + timedelta(days=1))


def test_a_cost_is_estimated_only_in_the_currency_that_was_paid() -> None:
    costs = ReturnCosts(amounts={"EUR": dict.fromkeys(Distance, 5)}, customs_union=frozenset())
    assert costs.estimate("JPY", "JP", {"DE"}) is None
    assert costs.estimate("EUR", "DE", set()) is None
    assert costs.estimate("EUR", "DE", {"DE"}) == Money(5, "EUR")
