"""An order ended: what it holds is for sale again."""

from services.inventory.domain.movement import MovementKind
from services.inventory.domain.reservation import Happening, Status, Step
from services.inventory.domain.shelves import EXPIRY, Shelves
from shared.contracts.inventory import ReservationReleased
from shared.contracts.orders import OrderCancelled, OrderRejected
from shared.effects import Effect, Effects, Forget, Moment


def release_stock(ended: OrderRejected | OrderCancelled, shelves: Shelves, now: Moment) -> Effects:
    """Give back exactly what this order's reservation holds (vendure #1557: never what was not allocated).

    An order that waited leaves the line. Where nothing is held there is nothing to tell.
    """
    reservation = shelves.reservation(ended.order_id, now)
    step = reservation.step(Happening.ENDED)
    if step is Step.NOTHING:
        return ()
    expires = reservation.expires_at is not None
    shelves.give_back(reservation, Status.RELEASED, MovementKind.RELEASED, now)
    if step is Step.CLOSE:
        return ()
    effects: list[Effect] = [ReservationReleased(order_id=ended.order_id)]
    if expires:
        effects.append(Forget(EXPIRY, ended.order_id))
    return shelves.settle(effects, now)
