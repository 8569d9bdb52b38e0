"""A warehouse is set up, or renamed."""

from dataclasses import dataclass

from services.inventory.domain import errors
from services.inventory.domain.putaway import put_away
from services.inventory.domain.shelves import Shelves
from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from shared.effects import Decision, Moment, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class PutWarehouse:
    """The warehouse as it shall be."""

    code: str
    kind: WarehouseKind
    country: str
    name: str


def put_warehouse(command: PutWarehouse, shelves: Shelves, now: Moment) -> Decision:
    """Create it, or change its name; kind and country are for ever. Returned goods that were held for it go on its shelves."""
    known = shelves.warehouses.get(command.code)
    if known is not None and known.store_id != now.store_id:
        return errors.warehouse_is_taken(command.code)
    if known is not None and (known.kind, known.country) != (command.kind, command.country):
        return errors.warehouse_is_fixed(known)
    warehouse = Warehouse(
        code=command.code, store_id=now.store_id, kind=command.kind, country=command.country, name=command.name
    )
    if warehouse != known:
        shelves.put_warehouse(warehouse)
    body = {"code": warehouse.code, "kind": warehouse.kind, "country": warehouse.country, "name": warehouse.name}
    put = put_away(shelves.held.take_for(now.store_id, warehouse.code), shelves, now)
    return [*shelves.settle(put, now), Reply(body, status=201 if known is None else 200)]
