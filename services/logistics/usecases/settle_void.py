"""The carrier answered whether a label is void."""

from services.logistics.domain import calls
from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import Act, Signal
from services.logistics.domain.parcels import Label
from shared.effects import Answered, Effects, Moment


def settle_void(answered: Answered, desk: Desk, now: Moment) -> Effects:
    """`answer` is {"voided": true} or {"handed_over": true}; None is asked again: voiding twice is voiding once."""
    consignment = desk.take(answered.key)
    box = consignment.box_of_parcel(answered.request["parcel"])
    if answered.request["subject"] != box.label_key or box.label is not Label.VOIDING:
        return []
    if answered.answer is None:
        return [calls.again(answered, now.decided_at)]
    if "voided" not in answered.answer:
        match consignment.answer(Signal.TOO_LATE):
            case Act.TURN_BACK:
                return consignment.turn_back(box, now.decided_at)
            case Act.KEEP:
                return consignment.keep(box, now.decided_at)
            case _:
                return []
    match consignment.answer(Signal.VOIDED):
        case Act.COUNT:
            return consignment.count(box, Label.VOID)
        case Act.RENEW:
            return consignment.renew(box)
        case _:
            return []
