"""An order came in: hold all of its lines, or none."""

from services.inventory.domain.allocation import Shortage, demand_of
from services.inventory.domain.reservation import Happening, Status, Step
from services.inventory.domain.shelves import Shelves
from shared.contracts.inventory import StockRefused
from shared.contracts.orders import OrderPlaced
from shared.effects import Effects, Moment


def reserve_stock(placed: OrderPlaced, shelves: Shelves, now: Moment) -> Effects:
    """All lines of the order, or none; first come, first served."""
    reservation = shelves.reservation(placed.order_id, now)
    if reservation.step(Happening.PLACED) is not Step.RESERVE:
        return ()
    reservation.store_id = placed.store_id
    reservation.ask(
        demand_of(placed.lines),
        country=placed.destination.country,
        refusable=placed.refusable,
        taken_at=now.occurred_at,
    )
    effects = shelves.reserve(reservation, now)
    if isinstance(effects, Shortage):
        waiting = reservation.status is Status.WAITING
        return [StockRefused(order_id=placed.order_id, short=effects.short, waiting=waiting)]
    return shelves.settle(effects, now)
