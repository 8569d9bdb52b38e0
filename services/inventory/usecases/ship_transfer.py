"""Goods leave a warehouse for another of the store."""

from dataclasses import dataclass
from typing import Any

from services.inventory.domain import errors
from services.inventory.domain.shelves import Shelves
from services.inventory.domain.transfer import Transfer, TransferLine
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal
from shared.ids import derive_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipTransfer:
    """`lines` is (SKU, units), each SKU once, units above 0."""

    source: str
    destination: str
    reason: str
    lines: tuple[tuple[str, int], ...]


def ship_transfer(command: ShipTransfer, shelves: Shelves, now: Moment) -> Decision:
    """All lines leave, or none: never what is reserved."""
    objection = _objection(command, shelves, now)
    if objection is not None:
        return objection
    transfer = Transfer(
        id=derive_id("trf", now.message_id),
        store_id=now.store_id,
        source=command.source,
        destination=command.destination,
        reason=command.reason,
        shipped_at=now.decided_at,
        actor=now.actor,
        lines={sku: TransferLine(sku=sku, shipped=quantity) for sku, quantity in command.lines},
    )
    shelves.ship(transfer, now)
    return [*shelves.settle((), now), Reply(shape(transfer), status=201)]


def _objection(command: ShipTransfer, shelves: Shelves, now: Moment) -> Refusal | None:
    for code in (command.source, command.destination):
        warehouse = shelves.warehouses.get(code)
        if warehouse is None or warehouse.store_id != now.store_id:
            return errors.unknown_warehouse(code)
    for sku, quantity in command.lines:
        item = shelves.item(sku)
        if item.store_id not in ("", now.store_id):
            return errors.sku_is_taken(sku)
        available = item.level(command.source).available
        if quantity > available:
            return errors.not_available(sku, command.source, available, quantity)
    return None


def shape(transfer: Transfer) -> dict[str, Any]:
    """The transfer as the API shows it."""
    return {
        "id": transfer.id,
        "status": transfer.status,
        "source": transfer.source,
        "destination": transfer.destination,
        "reason": transfer.reason,
        "lines": [
            {
                "sku": line.sku,
                "shipped": line.shipped,
                "in_transit": line.in_transit,
                "arrived": line.arrived,
                "damaged": line.damaged,
                "short": line.short,
                "over": line.over,
            }
            for _, line in sorted(transfer.lines.items())
        ],
        "shipped_at": transfer.shipped_at,
        "received_at": transfer.received_at,
    }
