"""The carrier answered about a label for the way back."""

from services.logistics.domain import calls
from services.logistics.domain.desk import Desk
from services.logistics.domain.parcels import ReturnState
from shared.contracts.logistics import ShipmentException
from shared.contracts.values import Reason
from shared.effects import Answered, Effects, Moment
from shared.ids import derive_id


def settle_return_label(answered: Answered, desk: Desk, now: Moment) -> Effects:
    """`answer` is {"tracking_number": …}, {"refused": {…}} or, of a look-up, {"absent": true}; None is looked up."""
    return_id = answered.request["subject"]
    parcel = desk.returns[return_id]
    if parcel.state is not ReturnState.ORDERED:
        return []
    if answered.answer is None:
        return [calls.again(answered, now.decided_at, calls.FIND_RETURN_LABEL)]
    if "absent" in answered.answer:
        return [calls.again(answered, now.decided_at, calls.RETURN_LABEL)]
    desk.touched_returns.add(return_id)
    refused = answered.answer.get("refused")
    if refused is None:
        parcel.state, parcel.tracking_number = ReturnState.LABELLED, answered.answer["tracking_number"]
        return []
    parcel.state = ReturnState.REFUSED
    reason = Reason(
        code="return.label_refused",
        message=f"{parcel.carrier} makes no label for the way back: {refused.get('detail', '')}",
        clears_with="another way back",
        subject=return_id,
    )
    shipment_id = derive_id("shp", parcel.order_id)
    return [ShipmentException(order_id=parcel.order_id, shipment_id=shipment_id, reason=reason)]
