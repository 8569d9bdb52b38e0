"""Approve a return: the goods come back, or are refunded at once where that costs less."""

from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.purchase import Purchase
from services.support.domain.refunds import refund_without_return
from services.support.domain.return_policy import buyer_keeps_goods
from services.support.domain.return_states import Step
from services.support.domain.returns import Return
from shared.contracts.support import ReturnApproved
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal


@dataclass(frozen=True, slots=True)
class ApproveReturn:
    """`send_back` None leaves it to the policy whether the goods come back."""

    store_id: str
    return_id: str
    send_back: bool | None = None


def approve_return(command: ApproveReturn, cases: Cases, moment: Moment) -> Decision:
    """The buyer may send the goods back, or keeps them and is refunded now."""
    claim = cases.known_return(command.return_id, command.store_id)
    if isinstance(claim, Refusal):
        return claim
    if refusal := claim.may(Step.APPROVE):
        return refusal
    approved = approve(claim, command.send_back, cases, moment)
    return [approved, Reply(claim.document())]


def approve(claim: Return, send_back: bool | None, cases: Cases, moment: Moment) -> ReturnApproved:
    """Approve a return that may be. The policy decides where nobody did; goods that are here already have come back."""
    purchase, returns = cases.purchases[claim.order_id], cases.returns_of(claim.order_id)
    now = refund_without_return(purchase, returns, claim)
    if claim.arrived_at is not None:
        send_back = True
    elif send_back is None:
        send_back = not _costs_more_than_worth(claim, purchase, cases)
    claim.approve(moment.decided_at, send_back=send_back)
    if not send_back:
        claim.promise(now)
    cases.touch(claim)
    return ReturnApproved(
        order_id=claim.order_id,
        return_id=claim.id,
        lines=tuple(line.told() for line in claim.lines),
        send_back=send_back,
        refund_now=None if send_back or not now else now,
    )


def _costs_more_than_worth(claim: Return, purchase: Purchase, cases: Cases) -> bool:
    worth = purchase.worth_all(claim.units(), cases.returns_of(claim.order_id).settled())
    cost = cases.costs.estimate(purchase.currency, purchase.destination, purchase.shipped_from)
    return buyer_keeps_goods(worth, cost)
