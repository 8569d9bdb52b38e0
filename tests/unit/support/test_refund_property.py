"""However an order comes back, the buyer gets no more than was paid for it, and restocked plus kept units are no more than were bought."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.support.domain.return_policy import ReturnReason
from services.support.usecases.note_return import note_failed_refund, note_refund, note_requested_refund
from services.support.usecases.refuse_return import RefusalReason, RefuseReturn, refuse_return
from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.contracts.support import ReturnApproved, ReturnReceived
from shared.contracts.values import Grade, Reason
from shared.errors import Refusal
from tests.builders.support import STORE, a_line, a_moment, a_placed, approve, cases_of, euros, found, receive, request

SKUS = ("A", "B")
orders = st.lists(
    st.tuples(st.sampled_from(SKUS), st.integers(1, 4), st.integers(0, 1000)), min_size=1, max_size=4
).map(tuple)
quantities = st.dictionaries(st.sampled_from(SKUS), st.integers(1, 4), min_size=1)
grades = st.lists(
    st.tuples(st.sampled_from(SKUS), st.integers(1, 3), st.sampled_from(list(Grade))), min_size=1, max_size=3
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("request"), quantities, st.sampled_from(list(ReturnReason))),
        st.tuples(st.just("approve"), st.integers(0, 5), st.sampled_from([None, True, False])),
        st.tuples(st.just("refuse"), st.integers(0, 5)),
        st.tuples(st.just("receive"), st.integers(0, 5), grades, st.booleans()),
        st.tuples(st.just("refund"), st.integers(1, 200)),
        st.tuples(st.just("paid"), st.integers(0, 5)),
        st.tuples(st.just("failed"), st.integers(0, 5)),
    ),
    max_size=25,
)


@given(lines=orders, steps=steps, discount=st.integers(0, 50))
def test_no_sequence_refunds_more_than_was_paid(lines: Any, steps: list[Any], discount: int) -> None:
    paid = sum(total for _, _, total in lines)
    # The freight keeps the cap on the order's total from hiding a unit that is paid for twice.
    placed = a_placed(lines, discount=min(discount, paid), shipping=5000)
    cases = cases_of(placed)
    told, outside = 0, 0
    back: Counter[str] = Counter()
    for step in steps:
        chosen = list(cases.returns.values())
        claim = chosen[step[1] % len(chosen)] if step[0] not in ("request", "refund") and chosen else None
        decision: Any = ()
        match step:
            case ("request", units, reason):
                decision = request(
                    cases, placed.order_id, *(a_line(sku, count, reason) for sku, count in units.items())
                )
            case ("refund", amount) if outside + told + amount <= placed.totals.total.amount:
                outside += amount
                wanted = RefundRequested(
                    order_id=placed.order_id, refund_id="rfd_x", amount=euros(amount), reason="goodwill"
                )
                note_requested_refund(wanted, cases, a_moment())
            case ("approve", _, send_back) if claim:
                decision = approve(cases, claim, send_back)
            case ("refuse", _) if claim:
                decision = refuse_return(RefuseReturn(STORE, claim.id, RefusalReason.OTHER), cases, a_moment())
            case ("receive", _, graded, refund) if claim:
                decision = receive(cases, claim, *(found(*line) for line in graded), refund=refund)
            case ("paid", _) if claim and claim.promised:
                event = RefundSucceeded(
                    order_id=placed.order_id, refund_id="rfd_1", amount=claim.promised, return_id=claim.id
                )
                note_refund(event, cases, a_moment())
            case ("failed", _) if claim and claim.promised:
                failed = RefundFailed(
                    order_id=placed.order_id, refund_id="rfd_1", amount=claim.promised, return_id=claim.id,
                    reason=Reason(code="x", message=""),
                )  # fmt: skip
                note_failed_refund(failed, cases, a_moment())
            case _:
                pass
        if isinstance(decision, Refusal):
            continue
        for effect in decision:
            if isinstance(effect, ReturnApproved) and effect.refund_now:
                told += effect.refund_now.amount
                assert effect.refund_now.amount > 0
            if isinstance(effect, ReturnReceived):
                told += effect.refund.amount if effect.refund else 0
                back.update({line.sku: line.quantity for line in effect.lines if line.grade is Grade.SELLABLE})
    bought = Counter({sku: cases.purchases[placed.order_id].bought(sku) for sku in SKUS})
    promised = sum(each.promised.amount for each in cases.returns.values() if each.promised)
    assert told == promised
    assert told <= paid
    assert told + outside <= placed.totals.total.amount
    assert back <= bought
