"""The order is confirmed: judge its papers again, now that the warehouses are known, and book when they are clear."""

from services.logistics.domain.customs import judge
from services.logistics.domain.desk import Desk
from services.logistics.domain.handover import Act, Signal
from services.logistics.domain.returning import order_return_label
from shared.contracts.orders import OrderConfirmed
from shared.effects import Effect, Effects, Moment


def prepare_shipment(confirmed: OrderConfirmed, desk: Desk, now: Moment) -> Effects:
    """Goods in a warehouse of the destination's customs territory cross no border and need no papers."""
    consignment = desk.take(confirmed.order_id)
    act = consignment.answer(Signal.CONFIRMED)
    if act in (Act.JUDGE, Act.PLAN):
        consignment.plan(confirmed.allocations)
    effects: list[Effect] = judge(consignment, desk, now) if act is Act.JUDGE else []
    for parcel in desk.returns.values():  # a return that was approved before this was heard
        if parcel.order_id == confirmed.order_id:
            effects.extend(order_return_label(parcel, desk))
    return effects
