"""A person or a warehouse system says what came, what went, or what is really there."""

from dataclasses import dataclass
from typing import Any

from services.inventory.domain import errors
from services.inventory.domain.adjustment import Adjustment, AdjustmentKind
from services.inventory.domain.reservation import Reservation
from services.inventory.domain.shelves import Shelves
from shared.contracts.inventory import ReservationBroken
from shared.contracts.values import Shortfall
from shared.effects import Decision, Effect, Moment, Reply
from shared.errors import Refusal
from shared.ids import derive_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustStock:
    """`lines` is (SKU, quantity), each SKU once; what a quantity means depends on the kind."""

    kind: AdjustmentKind
    warehouse: str
    reason: str
    lines: tuple[tuple[str, int], ...]


def adjust_stock(command: AdjustStock, shelves: Shelves, now: Moment) -> Decision:
    """All lines or none. The newest reservations break where fewer units are left than were reserved."""
    objection = _objection(command, shelves, now)
    if objection is not None:
        return objection
    adjustment = _adjustment(command, now)
    shelves.adjustments.append(adjustment)
    broken: list[tuple[Reservation, str]] = []
    answers: list[dict[str, Any]] = []
    for sku, quantity in command.lines:
        level = shelves.item(sku).level(command.warehouse)
        change = command.kind.change(quantity, level.on_hand)
        broken.extend((reservation, sku) for reservation in shelves.adjust(adjustment, sku, change, now))
        answers.append({"sku": sku, "change": change, "on_hand": level.on_hand})
    effects: list[Effect] = [tell_broken(reservation, sku, command.warehouse, shelves) for reservation, sku in broken]
    answer = {
        "id": adjustment.id,
        "kind": command.kind,
        "warehouse": command.warehouse,
        "reason": command.reason,
        "lines": answers,
        "broken_reservations": len(broken),
        "at": now.decided_at,
    }
    return [*shelves.settle(effects, now), Reply(answer, status=201)]


def _objection(command: AdjustStock, shelves: Shelves, now: Moment) -> Refusal | None:
    warehouse = shelves.warehouses.get(command.warehouse)
    if warehouse is None or warehouse.store_id != now.store_id:
        return errors.unknown_warehouse(command.warehouse)
    for sku, quantity in command.lines:
        item = shelves.item(sku)
        if item.store_id not in ("", now.store_id):
            return errors.sku_is_taken(sku)
        on_hand = item.level(command.warehouse).on_hand
        change = command.kind.change(quantity, on_hand)
        if on_hand + change < 0:
            return errors.below_zero(sku, command.warehouse, on_hand, change)
    return None


def _adjustment(command: AdjustStock, now: Moment) -> Adjustment:
    return Adjustment(
        id=derive_id("adj", now.message_id),
        kind=command.kind,
        warehouse=command.warehouse,
        reason=command.reason,
        lines=len(command.lines),
        store_id=now.store_id,
        actor=now.actor,
        at=now.decided_at,
    )


def tell_broken(reservation: Reservation, sku: str, warehouse: str, shelves: Shelves) -> ReservationBroken:
    """The order lost its hold, because too few of the SKU are there."""
    left = shelves.item(sku).level(warehouse).available
    return ReservationBroken(
        order_id=reservation.order_id,
        short=(Shortfall(sku=sku, requested=reservation.demand[sku], available=left),),
        waiting=not reservation.refusable,
    )
