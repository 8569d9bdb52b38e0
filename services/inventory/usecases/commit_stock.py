"""An order is confirmed: what it holds expires no more."""

from services.inventory.domain.allocation import Shortage, units_of
from services.inventory.domain.reservation import Happening, Reservation, Status, Step
from services.inventory.domain.shelves import EXPIRY, Shelves
from shared.contracts.inventory import ReservationCommitted, StockRefused
from shared.contracts.orders import OrderConfirmed
from shared.effects import Effect, Effects, Forget, Moment


def commit_stock(confirmed: OrderConfirmed, shelves: Shelves, now: Moment) -> Effects:
    """Commit the hold. A late payment may find that it expired: then reserve again, or say what is short."""
    reservation = shelves.reservation(confirmed.order_id, now)
    match reservation.step(Happening.CONFIRMED):
        case Step.COMMIT:
            return _commit(reservation)
        case Step.RESERVE_FOR_GOOD:
            return _reserve_for_good(reservation, confirmed, shelves, now)
        case _:
            return ()


def _commit(reservation: Reservation) -> Effects:
    effects: list[Effect] = [ReservationCommitted(order_id=reservation.order_id)]
    if reservation.expires_at is not None:
        effects.append(Forget(EXPIRY, reservation.order_id))
    reservation.confirm()
    return effects


def _reserve_for_good(reservation: Reservation, confirmed: OrderConfirmed, shelves: Shelves, now: Moment) -> Effects:
    if reservation.status is Status.UNSEEN:
        reservation.ask(units_of(confirmed.allocations), country="", refusable=True, taken_at=now.occurred_at)
    reservation.confirm()
    effects = shelves.reserve(reservation, now)
    if isinstance(effects, Shortage):
        waiting = reservation.status is Status.WAITING
        return [StockRefused(order_id=reservation.order_id, short=effects.short, waiting=waiting)]
    return shelves.settle(effects, now)
