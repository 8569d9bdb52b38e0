"""The carrier answered about a label, or did not."""

from services.logistics.domain import calls
from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import Act, Signal
from services.logistics.domain.parcels import Box, Label
from shared.contracts.values import Reason
from shared.effects import Answered, Effects, Moment


def settle_label(answered: Answered, desk: Desk, now: Moment) -> Effects:
    """`answer` is {"tracking_number": …} or {"refused": {code, detail}}; None means that a label may exist: look it up."""
    consignment = desk.take(answered.key)
    box = consignment.box_of_parcel(answered.request["parcel"])
    if _is_old(answered, box):
        return []
    if answered.answer is None:
        return [calls.again(answered, now.decided_at, calls.FIND_LABEL)]
    refused = answered.answer.get("refused")
    if refused is not None:
        return _refused(consignment, box, refused)
    return _made(consignment, box, answered.answer["tracking_number"], now)


def find_label(answered: Answered, desk: Desk, now: Moment) -> Effects:
    """`answer` is {"tracking_number": …} or {"absent": true}: then it is bought with the same key; None is asked again."""
    consignment = desk.take(answered.key)
    box = consignment.box_of_parcel(answered.request["parcel"])
    if _is_old(answered, box):
        return []
    if answered.answer is None:
        return [calls.again(answered, now.decided_at)]
    if "tracking_number" in answered.answer:
        return _made(consignment, box, answered.answer["tracking_number"], now)
    if consignment.answer(Signal.LABEL_REFUSED) is Act.COUNT:
        return consignment.count(box, Label.VOID)  # it never was, and is not wanted any more
    return [calls.again(answered, now.decided_at, calls.LABEL)]


def _made(consignment: Consignment, box: Box, tracking_number: str, now: Moment) -> Effects:
    match consignment.answer(Signal.LABELLED):
        case Act.TAKE:
            return consignment.take_label(box, tracking_number, now.decided_at)
        case Act.VOID:
            box.tracking_number, box.labelled_at = tracking_number, now.decided_at
            return [consignment.void_label(box)]
        case _:
            return []


def _refused(consignment: Consignment, box: Box, refused: dict[str, str]) -> Effects:
    act = consignment.answer(Signal.LABEL_REFUSED)
    if act is Act.COUNT:
        return consignment.count(box, Label.REFUSED)
    box.label = Label.REFUSED
    if act is not Act.STICK:
        return []
    return consignment.stick(
        Reason(
            code="label.refused",
            message=f"{box.carrier} makes no label: {refused.get('detail', '')} ({refused.get('code', '')})",
            clears_with="a corrected address in orders; then book again",
            subject=box.parcel_id,
        )
    )


def _is_old(answered: Answered, box: Box) -> bool:
    """Whether the answer is about a label that is settled: known by a scan, or replaced by a later attempt."""
    return answered.request["subject"] != box.label_key or box.label is not Label.ORDERED
