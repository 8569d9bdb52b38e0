"""Orders asks to cancel, or has ended the order: labels are taken back, unless the carrier has a parcel."""

from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import Act, Signal, State
from shared.contracts.logistics import ShipmentCancelled
from shared.contracts.orders import OrderCancellationRequested, OrderCancelled, OrderRejected
from shared.effects import Effects, Moment


def cancel_shipment(asked: OrderCancellationRequested, desk: Desk, now: Moment) -> Effects:
    """Every request is answered: `ShipmentCancelled` or `CancellationRefused`, at once or when the carrier has answered."""
    return _act(desk.take(asked.order_id), Signal.CANCEL)


def end_shipment(ended: OrderRejected | OrderCancelled, desk: Desk, now: Moment) -> Effects:
    """The order is over. What was made for it is undone."""
    return _act(desk.take(ended.order_id), Signal.ENDED)


def _act(consignment: Consignment, signal: Signal) -> Effects:
    match consignment.answer(signal):
        case Act.CANCEL:
            return consignment.cancel()
        case Act.DROP:
            consignment.state = State.CANCELLED
            return []
        case Act.UNDO:
            return consignment.undo()
        case Act.REFUSE:
            return consignment.refuse()
        case Act.CONFIRM:
            return [ShipmentCancelled(order_id=consignment.order_id)]
        case _:
            return []
