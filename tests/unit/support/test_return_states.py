from itertools import product

import pytest

from services.support.domain.money_back import ReturnMoney
from services.support.domain.return_states import TRANSITIONS, No, RefundState, RestockState, ReturnState, Step
from services.support.domain.returns import Return
from shared.contracts.values import Reason
from tests.builders.support import NOON, a_line, euros


def a_case(state: ReturnState = ReturnState.REQUESTED) -> Return:
    return Return(id="ret_1", order_id="ord_1", store_id="s", lines=(a_line(),), requested_at=NOON, state=state)


def test_every_state_answers_every_step() -> None:
    assert set(TRANSITIONS) == set(product(ReturnState, Step))


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("state", list(ReturnState))
def test_a_step_is_taken_exactly_where_it_may_be(state: ReturnState, step: Step) -> None:
    case, answer = a_case(state), TRANSITIONS[state, step]
    refusal = case.may(step)
    assert (refusal is not None) == isinstance(answer, No)
    take = {
        Step.APPROVE: lambda: case.approve(NOON, send_back=True),
        Step.REFUSE: lambda: case.refuse(Reason(code="used", message=""), NOON),
        Step.ARRIVE: lambda: case.arrive(NOON),
        Step.RECEIVE: lambda: case.receive((), NOON),
    }[step]
    if isinstance(answer, No):
        with pytest.raises(ValueError, match="ask may"):
            take()
        assert case.state is state
    else:
        take()
        assert case.state is answer


def test_a_decided_return_never_becomes_undecided() -> None:
    decided = set(ReturnState) - {ReturnState.REQUESTED}
    assert all(TRANSITIONS[state, step] is not ReturnState.REQUESTED for state in decided for step in Step)


def test_a_parcel_that_did_not_wait_for_the_approval_is_there_once_it_comes() -> None:
    case = a_case()
    case.arrive(NOON)
    assert case.state is ReturnState.REQUESTED
    case.approve(NOON, send_back=True)
    assert case.state is ReturnState.PARCEL_ARRIVED


def test_nothing_sellable_means_nothing_to_restock() -> None:
    case = a_case(ReturnState.APPROVED)
    case.receive((), NOON)
    assert case.restock is RestockState.NONE


@pytest.mark.parametrize(
    ("money", "state", "owed"),
    [
        (ReturnMoney(paid=0, under_way=0, failed=False, answered=False), RefundState.PENDING, None),
        (ReturnMoney(paid=0, under_way=100, failed=False, answered=True), RefundState.PENDING, None),
        (ReturnMoney(paid=0, under_way=40, failed=False, answered=True), RefundState.PENDING, 60),
        (ReturnMoney(paid=40, under_way=60, failed=True, answered=True), RefundState.PENDING, None),
        (ReturnMoney(paid=40, under_way=0, failed=False, answered=True), RefundState.SHORT, 60),
        (ReturnMoney(paid=40, under_way=0, failed=True, answered=True), RefundState.FAILED, 60),
        (ReturnMoney(paid=0, under_way=0, failed=True, answered=True), RefundState.FAILED, 100),
        (ReturnMoney(paid=100, under_way=0, failed=True, answered=True), RefundState.REFUNDED, None),
    ],
)
def test_where_the_money_is_follows_from_what_went_and_what_is_on_its_way(
    money: ReturnMoney, state: RefundState, owed: int | None
) -> None:
    case = a_case()
    case.promise(euros(100))
    case.follow(money, "EUR")
    assert (case.refund, case.refund_owed) == (state, None if owed is None else euros(owed))


def test_to_promise_nothing_is_no_promise() -> None:
    case = a_case()
    case.promise(euros(0))
    assert (case.refund, case.promised) == (RefundState.NONE, None)
