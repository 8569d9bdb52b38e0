"""A person looked at a shipment that is stuck and asks to book it again."""

from dataclasses import dataclass

from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import Act, Signal
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True)
class RetryBooking:
    """Book the order of that store again."""

    store_id: str
    order_id: str


def retry_booking(command: RetryBooking, desk: Desk, now: Moment) -> Decision:
    """Fetch the address anew and ask for the labels that are missing."""
    consignment = desk.consignments.get(command.order_id)
    if consignment is None or consignment.facts.store_id != command.store_id:
        return Refusal(
            code="shipment.not_found", detail=f"there is no shipment of order {command.order_id}", kind=Kind.NOT_FOUND
        )
    if consignment.answer(Signal.RETRY) is not Act.RESUME:
        return Refusal(
            code="shipment.not_stuck",
            detail=f"the shipment is {consignment.state}, there is nothing to book again",
            facts={"state": consignment.state},
        )
    desk.touched.add(command.order_id)
    return [*consignment.begin(), Reply({"order_id": command.order_id, "state": consignment.state}, status=202)]
