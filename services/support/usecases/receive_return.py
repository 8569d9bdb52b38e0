"""Take in what came back, graded: the word that restocks and refunds."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.refunds import refund_of_received
from services.support.domain.return_states import Step
from services.support.domain.returns import Return, count_units
from shared.contracts.support import ReturnReceived
from shared.contracts.values import Grade, ReceivedLine
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True)
class ReceiveReturn:
    """What was found in the parcel at `warehouse`. Units that no line names are missing. `refund` False: no money goes back for it."""

    store_id: str
    return_id: str
    warehouse: str
    lines: tuple[ReceivedLine, ...]
    refund: bool = True


def receive_return(command: ReceiveReturn, cases: Cases, moment: Moment) -> Decision:
    """Inventory puts the sellable units on the shelf, payments refunds the amount; each answers by its own event."""
    claim = cases.known_return(command.return_id, command.store_id)
    if isinstance(claim, Refusal):
        return claim
    if refusal := claim.may(Step.RECEIVE) or _check(claim, command.lines):
        return refusal
    lines = (*command.lines, *_missing(claim, command))
    purchase, returns = cases.purchases[claim.order_id], cases.returns_of(claim.order_id)
    refund = refund_of_received(purchase, returns, claim, lines) if command.refund else None
    claim.receive(lines, moment.decided_at)
    if refund:
        claim.promise(refund)
    cases.touch(claim)
    received = ReturnReceived(order_id=claim.order_id, return_id=claim.id, lines=lines, refund=refund or None)
    return [received, Reply(claim.document())]


def _check(claim: Return, lines: Sequence[ReceivedLine]) -> Refusal | None:
    units = claim.units()
    for sku, count in count_units(lines).items():
        if count > units.get(sku, 0):
            detail = f"{count} of {sku} are graded, the return has {units.get(sku, 0)}"
            return Refusal(code="return.more_than_returned", detail=detail, kind=Kind.INVALID, facts={"sku": sku})
    return None


def _missing(claim: Return, command: ReceiveReturn) -> list[ReceivedLine]:
    graded = count_units(command.lines)
    return [
        ReceivedLine(sku=sku, quantity=units - graded.get(sku, 0), grade=Grade.MISSING, warehouse=command.warehouse)
        for sku, units in claim.units().items()
        if units > graded.get(sku, 0)
    ]
