"""Orders asks again what became of an order's goods."""

from services.inventory.domain.allocation import Shortage, plan_allocation
from services.inventory.domain.reservation import NEVER, Reservation, Status
from services.inventory.domain.shelves import Shelves
from services.inventory.usecases.commit_stock import commit_stock
from services.inventory.usecases.reserve_stock import reserve_stock
from shared.contracts.inventory import (
    ReservationCommitted,
    ReservationReleased,
    StockConsumed,
    StockRefused,
    StockReserved,
)
from shared.contracts.orders import AnswerAwaited
from shared.contracts.registry import Event
from shared.contracts.values import Shortfall
from shared.effects import Effects, Moment

WHO = "inventory"


def answer_again(awaited: AnswerAwaited, shelves: Shelves, now: Moment) -> Effects:
    """Tell the present answer once more. What was never heard of, or was lost and is wanted still, is decided now."""
    if WHO not in awaited.whom:
        return ()
    reservation = shelves.reservation(awaited.order_id, now)
    if reservation.status is Status.UNSEEN:
        placed = reserve_stock(awaited.placed, shelves, now)
        return placed if awaited.confirmed is None else [*placed, *commit_stock(awaited.confirmed, shelves, now)]
    if awaited.confirmed is not None and not reservation.confirmed and reservation.status is not Status.RELEASED:
        return commit_stock(awaited.confirmed, shelves, now)
    if reservation.status in (Status.EXPIRED, Status.BROKEN):
        return _reserve_again(reservation, shelves, now)
    return _present(reservation, shelves)


def _reserve_again(reservation: Reservation, shelves: Shelves, now: Moment) -> Effects:
    effects = shelves.reserve(reservation, now)
    if isinstance(effects, Shortage):
        waiting = reservation.status is Status.WAITING
        return [StockRefused(order_id=reservation.order_id, short=effects.short, waiting=waiting)]
    return shelves.settle(effects, now)


def _present(reservation: Reservation, shelves: Shelves) -> list[Event]:
    order_id, plan = reservation.order_id, reservation.allocations
    reserved = StockReserved(order_id=order_id, allocations=plan, expires_at=reservation.expires_at or NEVER)
    match reservation.status:
        case Status.HELD:
            return [reserved]
        case Status.COMMITTED:
            return [reserved, ReservationCommitted(order_id=order_id)]
        case Status.WAITING | Status.REFUSED:
            waiting = reservation.status is Status.WAITING
            return [StockRefused(order_id=order_id, short=_short_of(reservation, shelves), waiting=waiting)]
        case Status.CONSUMED:
            return [StockConsumed(order_id=order_id, allocations=plan)]
        case Status.RELEASED:
            return [ReservationReleased(order_id=order_id)]
        case _:
            return []


def _short_of(reservation: Reservation, shelves: Shelves) -> tuple[Shortfall, ...]:
    """What lacks now; nothing where stock has come since, which is the next order's."""
    own = {sku: item for sku in reservation.demand if (item := shelves.item(sku)).store_id == reservation.store_id}
    plan = plan_allocation(reservation.demand, own, shelves.warehouses, reservation.country)
    return plan.short if isinstance(plan, Shortage) else ()
