"""Graded returns: what can be sold goes back on the shelf."""

from collections.abc import Iterable, Iterator

from services.inventory.domain.reservation import Happening, Reservation, Step
from services.inventory.domain.shelves import Shelves
from services.inventory.domain.warehouse import Warehouse
from services.inventory.usecases.consume_stock import take_planned
from shared.contracts.inventory import StockRestocked
from shared.contracts.support import ReturnReceived
from shared.contracts.values import Allocation, Grade, ReceivedLine
from shared.effects import Effect, Effects, Moment


class ReturnedNowhere(Exception):
    """The goods are said to be in a warehouse that the store does not have. Once it has, the message can be tried again."""


def restock_return(received: ReturnReceived, shelves: Shelves, now: Moment) -> Effects:
    """Put sellable units into the warehouse where they are, at most as many as were consumed and are not back yet."""
    reservation = shelves.reservation(received.order_id, now)
    effects: list[Effect] = []
    match reservation.step(Happening.RETURNED):
        case Step.CONSUME_AND_RESTOCK:
            effects = take_planned(reservation, shelves, now)
        case Step.RESTOCK:
            pass
        case _:
            return ()
    restocked = tuple(_restock(received.lines, reservation, received.return_id, shelves, now))
    if restocked:
        told = StockRestocked(order_id=received.order_id, return_id=received.return_id, allocations=restocked)
        effects.append(told)
    return shelves.settle(effects, now)


def _restock(
    lines: Iterable[ReceivedLine], reservation: Reservation, return_id: str, shelves: Shelves, now: Moment
) -> Iterator[Allocation]:
    for line in lines:
        quantity = min(line.quantity, reservation.owed_back(line.sku))
        if line.grade is Grade.SELLABLE and quantity > 0:
            where = _place(line.warehouse, reservation.store_id, shelves)
            part = Allocation(sku=line.sku, warehouse=where.code, country=where.country, quantity=quantity)
            shelves.restock(reservation, part, return_id, now)
            yield part


def _place(code: str, store_id: str, shelves: Shelves) -> Warehouse:
    warehouse = shelves.warehouses.get(code)
    if warehouse is None or warehouse.store_id != store_id:
        raise ReturnedNowhere(f"there is no warehouse {code}")
    return warehouse
