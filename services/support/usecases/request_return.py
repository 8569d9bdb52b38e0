"""Ask to send something back."""

from collections import Counter
from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.purchase import Purchase
from services.support.domain.returns import ClaimedLine, Return
from services.support.usecases.approve_return import approve
from shared.contracts.support import ReturnRequested
from shared.effects import Decision, Effect, Moment, Reply
from shared.errors import Kind, Refusal
from shared.ids import derive_id


@dataclass(frozen=True, slots=True)
class RequestReturn:
    """`approve` skips the second step: for the seller, and for what a channel has settled with the buyer already."""

    store_id: str
    order_id: str
    lines: tuple[ClaimedLine, ...]
    approve: bool = False
    send_back: bool | None = None


def request_return(command: RequestReturn, cases: Cases, moment: Moment) -> Decision:
    """Units that were shipped and are in no other return may come back."""
    purchase = cases.known_purchase(command.order_id, command.store_id)
    if isinstance(purchase, Refusal):
        return purchase
    if refusal := _check(command, purchase, cases):
        return refusal
    claim = Return(
        id=derive_id("ret", moment.message_id),
        order_id=command.order_id,
        store_id=command.store_id,
        lines=command.lines,
        requested_at=moment.decided_at,
    )
    cases.add(claim)
    lines = tuple(line.told() for line in claim.lines)
    effects: list[Effect] = [ReturnRequested(order_id=claim.order_id, return_id=claim.id, lines=lines)]
    if command.approve:
        effects.append(approve(claim, command.send_back, cases, moment))
    return [*effects, Reply(claim.document(), 201, {"Location": f"/v1/returns/{claim.id}"})]


def _check(command: RequestReturn, purchase: Purchase, cases: Cases) -> Refusal | None:
    sku, times = Counter(line.sku for line in command.lines).most_common(1)[0]
    if times > 1:
        return Refusal(
            code="return.duplicate_sku", detail=f"{sku} is named {times} times", kind=Kind.INVALID, facts={"sku": sku}
        )
    claimed = cases.returns_of(command.order_id).claimed()
    return next(
        (refusal for line in command.lines if (refusal := _check_line(line, purchase, claimed.get(line.sku, 0)))), None
    )


def _check_line(line: ClaimedLine, purchase: Purchase, claimed: int) -> Refusal | None:
    bought, shipped = purchase.bought(line.sku), purchase.shipped.get(line.sku, 0)
    facts = {"sku": line.sku, "bought": bought, "shipped": shipped, "in_returns": claimed, "requested": line.quantity}
    if not bought:
        return Refusal(
            code="return.not_in_order", detail=f"the order has no {line.sku}", kind=Kind.INVALID, facts=facts
        )
    if line.quantity > bought - claimed:
        detail = f"{line.quantity} of {line.sku} are more than the {bought} bought less the {claimed} in returns"
        return Refusal(code="return.exceeds_purchase", detail=detail, facts=facts)
    if line.quantity > shipped - claimed:
        detail = f"of {line.sku} only {shipped} were shipped, {claimed} of them are in returns"
        clears_with = None if purchase.cancelled_at else "its dispatch"
        return Refusal(code="return.not_shipped", detail=detail, clears_with=clears_with, facts=facts)
    return None
