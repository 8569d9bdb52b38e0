"""The parcels are with the carrier: the goods are gone."""

from services.inventory.domain.reservation import Happening, Reservation, Step
from services.inventory.domain.shelves import EXPIRY, Shelves
from shared.contracts.inventory import StockConsumed
from shared.contracts.logistics import ShipmentDispatched
from shared.effects import Effect, Effects, Forget, Moment


def consume_stock(dispatched: ShipmentDispatched, shelves: Shelves, now: Moment) -> Effects:
    """Take exactly the planned units off the shelf.

    What left without a hold (it was counted away, or its cancellation crossed the hand-over) has left all the same: it takes
    what is free there, so that this is not sold again, and never what others hold.
    """
    reservation = shelves.reservation(dispatched.order_id, now)
    match reservation.step(Happening.DISPATCHED):
        case Step.CONSUME:
            return shelves.settle(take_planned(reservation, shelves, now), now)
        case Step.SHIP_UNPLANNED:
            shelves.ship_unplanned(reservation, dispatched.items, now)
            consumed = StockConsumed(order_id=dispatched.order_id, allocations=dispatched.items)
            return shelves.settle([consumed], now)
        case _:
            return ()


def take_planned(reservation: Reservation, shelves: Shelves, now: Moment) -> list[Effect]:
    """Consume what the reservation holds."""
    expires = reservation.expires_at is not None
    plan = shelves.consume(reservation, now)
    effects: list[Effect] = [StockConsumed(order_id=reservation.order_id, allocations=plan)]
    if expires:
        effects.append(Forget(EXPIRY, reservation.order_id))
    return effects
