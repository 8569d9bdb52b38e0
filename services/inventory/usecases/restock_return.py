"""Graded returns: what can be sold goes back on the shelf."""

from collections.abc import Iterator

from services.inventory.domain.held import HeldUnits
from services.inventory.domain.putaway import put_away
from services.inventory.domain.reservation import Happening, Reservation, Step
from services.inventory.domain.shelves import Shelves
from services.inventory.usecases.consume_stock import take_planned
from shared.contracts.support import ReturnReceived
from shared.contracts.values import Grade
from shared.effects import Effect, Effects, Moment


def restock_return(received: ReturnReceived, shelves: Shelves, now: Moment) -> Effects:
    """Put sellable units into the warehouse where they are, at most as many as were consumed and are not back yet.

    A warehouse that the store has not set up holds them back, and nothing else.
    """
    reservation = shelves.reservation(received.order_id, now)
    effects: list[Effect] = []
    match reservation.step(Happening.RETURNED):
        case Step.CONSUME_AND_RESTOCK:
            effects = take_planned(reservation, shelves, now)
        case Step.RESTOCK:
            pass
        case _:
            return ()
    units = sorted(_sellable(received, reservation, now), key=lambda part: part.key)
    return shelves.settle([*effects, *put_away(units, shelves, now)], now)


def _sellable(received: ReturnReceived, reservation: Reservation, now: Moment) -> Iterator[HeldUnits]:
    """One part for each SKU and place, no more in all than may come back."""
    found: dict[tuple[str, str], int] = {}
    taken: dict[str, int] = {}
    for line in received.lines:
        may = reservation.owed_back(line.sku) - taken.get(line.sku, 0)
        quantity = min(line.quantity, may) if line.grade is Grade.SELLABLE else 0
        if quantity > 0:
            place = line.sku, line.warehouse
            found[place] = found.get(place, 0) + quantity
            taken[line.sku] = taken.get(line.sku, 0) + quantity
    for (sku, warehouse), quantity in found.items():
        yield HeldUnits(
            return_id=received.return_id,
            order_id=received.order_id,
            store_id=reservation.store_id,
            sku=sku,
            warehouse=warehouse,
            quantity=quantity,
            held_at=now.decided_at,
        )
