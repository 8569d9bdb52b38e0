"""A person asks to be forgotten: logistics' copy of name and address goes, and so do their identifiers."""

from dataclasses import dataclass

from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import State
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal

_IN_USE = (State.ADDRESSING, State.LABELLING, State.STUCK, State.VOIDING)


@dataclass(frozen=True, slots=True)
class EraseRecipient:
    """Erase what is personal about an order of that store."""

    store_id: str
    order_id: str


def erase_recipient(command: EraseRecipient, desk: Desk, now: Moment) -> Decision:
    """Refused while a label is being made, which needs the address. Erasing twice is erasing once."""
    consignment = desk.consignments.get(command.order_id)
    if consignment is None or consignment.facts.store_id != command.store_id:
        return Refusal(
            code="shipment.not_found", detail=f"there is no shipment of order {command.order_id}", kind=Kind.NOT_FOUND
        )
    if consignment.state in _IN_USE:
        return Refusal(
            code="recipient.in_use",
            detail="a label is being made for this recipient",
            clears_with="the booking's end, or its cancellation",
            facts={"state": consignment.state},
        )
    desk.erased.add(command.order_id)
    return [Reply({"order_id": command.order_id, "erased": True})]
