"""A hold's time is over."""

from services.inventory.domain.movement import MovementKind
from services.inventory.domain.reservation import Happening, Status, Step
from services.inventory.domain.shelves import Shelves
from shared.contracts.inventory import ReservationExpired
from shared.effects import Due, Effects, Moment


def expire_reservation(due: Due, shelves: Shelves, now: Moment) -> Effects:
    """Give back what the order holds, if it is still only held.

    Expiry is a change of state, never a comparison with a clock: confirmation and expiry meet at the SKUs' row locks, and
    one of them wins. A late deadline sells too little for a moment; it never sells too much.
    """
    reservation = shelves.reservation(due.key, now)
    if reservation.step(Happening.EXPIRY_DUE) is not Step.EXPIRE or reservation.expires_at is None:
        return ()
    shelves.give_back(reservation, Status.EXPIRED, MovementKind.EXPIRED, now)
    return shelves.settle([ReservationExpired(order_id=due.key)], now)
