"""Name and address are here: choose services, make the papers, ask for labels."""

from services.logistics.domain import calls
from services.logistics.domain.desk import Desk, Recipient
from services.logistics.domain.handover import Act, Signal
from services.logistics.domain.packing import pack
from services.logistics.domain.papers import make_papers
from shared.contracts.values import Reason
from shared.effects import Answered, Effects, Moment

_NO_RECIPIENT = Reason(
    code="recipient.missing",
    message="orders knows no name and address for this order",
    clears_with="an address in orders; then book again",
)


def ship_to(answered: Answered, desk: Desk, now: Moment) -> Effects:
    """`answer` is {"recipient": {…}} or {"missing": true}; None while orders does not answer."""
    consignment = desk.take(answered.key)
    if answered.answer is None:
        return [calls.again(answered, now.decided_at)] if consignment.answer(Signal.ADDRESSED) is Act.LABEL else []
    found = answered.answer.get("recipient")
    if found is None:
        missing = consignment.answer(Signal.NO_ADDRESS)
        return consignment.stick(_NO_RECIPIENT) if missing is Act.STICK else []
    if consignment.answer(Signal.ADDRESSED) is not Act.LABEL:
        return []  # cancelled meanwhile: the name is not kept
    boxes = consignment.boxes or pack(consignment, desk, now.decided_at)
    if isinstance(boxes, Reason):
        return consignment.stick(boxes)
    desk.recipients[consignment.order_id] = Recipient(
        order_id=consignment.order_id,
        name=found["name"],
        email=found.get("email") or "",
        phone=found.get("phone") or "",
        address=found["address"],
    )
    effects = consignment.order_labels(boxes)
    desk.papers.extend(make_papers(consignment, desk.products, desk.seller, now.decided_at))
    return effects
