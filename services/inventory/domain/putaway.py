"""Putting returned units on a shelf: where they are said to be, or on none until it is known where that is."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from services.inventory.domain.held import HeldUnits, unknown_warehouse
from services.inventory.domain.reservation import Reservation
from services.inventory.domain.shelves import Shelves
from services.inventory.domain.warehouse import Warehouse
from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.values import Allocation
from shared.effects import Effect, Moment


def put_away(units: Sequence[HeldUnits], shelves: Shelves, now: Moment) -> list[Effect]:
    """Put units of any returns away. An unknown warehouse is no error of the message: its goods are held, the rest goes on."""
    effects: list[Effect] = []
    for return_id, parts in groupby(units, key=lambda part: part.return_id):
        effects += _put_away(return_id, list(parts), shelves, now)
    return effects


def _put_away(return_id: str, parts: Sequence[HeldUnits], shelves: Shelves, now: Moment) -> Iterator[Effect]:
    reservation = shelves.reservation(parts[0].order_id, now)
    known = [(part, where) for part in parts if (where := _place(part.warehouse, reservation.store_id, shelves))]
    restocked = tuple(_restock(known, reservation, shelves, now))
    if restocked:
        yield StockRestocked(order_id=reservation.order_id, return_id=return_id, allocations=restocked)
    nowhere = [part for part in parts if _place(part.warehouse, reservation.store_id, shelves) is None]
    for code, held in groupby(sorted(nowhere, key=lambda part: part.warehouse), key=lambda part: part.warehouse):
        yield _hold(return_id, code, list(held), shelves)


def _restock(
    parts: Iterable[tuple[HeldUnits, Warehouse]], reservation: Reservation, shelves: Shelves, now: Moment
) -> Iterator[Allocation]:
    for part, where in parts:
        quantity = min(part.quantity, reservation.owed_back(part.sku))
        if quantity > 0 and shelves.may_stock(part.sku, reservation.store_id):
            put = Allocation(sku=part.sku, warehouse=where.code, country=where.country, quantity=quantity)
            shelves.restock(reservation, put, part.return_id, now)
            yield put


def _hold(return_id: str, code: str, parts: Sequence[HeldUnits], shelves: Shelves) -> RestockHeld:
    for part in parts:
        shelves.held.keep(part)
    return RestockHeld(
        order_id=parts[0].order_id,
        return_id=return_id,
        lines=tuple(part.told() for part in parts),
        reason=unknown_warehouse(code),
    )


def _place(code: str, store_id: str, shelves: Shelves) -> Warehouse | None:
    warehouse = shelves.warehouses.get(code)
    return warehouse if warehouse is not None and warehouse.store_id == store_id else None
