"""The way back: thin, one parcel a return, to the warehouse that its goods came from."""

from services.logistics.domain import calls
from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk
from services.logistics.domain.parcels import ReturnParcel, ReturnState, Scan
from shared.contracts.logistics import ReturnParcelArrived, TrackingStatus
from shared.contracts.values import Allocation
from shared.effects import Effect


def order_return_label(parcel: ReturnParcel, desk: Desk) -> list[Effect]:
    """Ask for the label, once it is known where the goods came from."""
    consignment = desk.consignments.get(parcel.order_id)
    if parcel.state is not ReturnState.AWAITING or consignment is None or not consignment.allocations:
        return []
    home = _home(parcel, consignment)
    goods = desk.goods([(line.sku, line.quantity) for line in parcel.lines])
    parcel.warehouse, parcel.country = home.warehouse, home.country
    parcel.grams = desk.carriers.gross(goods)
    parcel.carrier = consignment.boxes[0].carrier if consignment.boxes else desk.carriers.offers[0].carrier
    parcel.state = ReturnState.ORDERED
    desk.touched_returns.add(parcel.return_id)
    return [calls.call(calls.RETURN_LABEL, parcel.order_id, parcel.return_id)]


def track_return(parcel: ReturnParcel, scan: Scan) -> list[Effect]:
    """Note a scan of a returning parcel; it has arrived when it is delivered at the warehouse."""
    if not parcel.way.take(scan) or parcel.state is ReturnState.ARRIVED:
        return []
    if scan.status is not TrackingStatus.DELIVERED:
        return []
    parcel.state = ReturnState.ARRIVED
    if not parcel.tracking_number:  # the scan overtook the answer about the label
        parcel.tracking_number = scan.tracking_number
    return [
        ReturnParcelArrived(
            order_id=parcel.order_id,
            return_id=parcel.return_id,
            warehouse=parcel.warehouse,
            arrived_at=scan.scanned_at,
        )
    ]


def _home(parcel: ReturnParcel, consignment: Consignment) -> Allocation:
    """Where the first of the returned goods came from, else where any of the order's did."""
    skus = {line.sku for line in parcel.lines}
    return next((each for each in consignment.allocations if each.sku in skus), consignment.allocations[0])
