"""A return was approved: the buyer gets a label for the way back."""

from services.logistics.domain.desk import Desk
from services.logistics.domain.parcels import ReturnParcel, Way
from services.logistics.domain.returning import order_return_label
from shared.contracts.support import ReturnApproved
from shared.effects import Effects, Moment


def open_return(approved: ReturnApproved, desk: Desk, now: Moment) -> Effects:
    """Nothing to do where the buyer keeps the goods."""
    if not approved.send_back or approved.return_id in desk.returns:
        return []
    parcel = ReturnParcel(return_id=approved.return_id, order_id=approved.order_id, lines=approved.lines, way=Way())
    desk.returns[parcel.return_id] = parcel
    desk.touched_returns.add(parcel.return_id)
    return order_return_label(parcel, desk)
