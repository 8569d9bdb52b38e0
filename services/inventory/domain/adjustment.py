"""Stock that a person or a warehouse system corrects."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.inventory.domain.movement import MovementKind


class AdjustmentKind(StrEnum):
    """What the quantities of an adjustment mean."""

    RECEIPT = "receipt"  # units that came in
    COUNT = "count"  # units that are there, absolute
    WRITE_OFF = "write_off"  # units that are gone
    CORRECTION = "correction"  # signed: units too few or too many in the books

    @property
    def movement(self) -> MovementKind:
        return _MOVEMENTS[self]

    def change(self, quantity: int, on_hand: int) -> int:
        """By how much `on_hand` changes."""
        match self:
            case AdjustmentKind.COUNT:
                return quantity - on_hand
            case AdjustmentKind.WRITE_OFF:
                return -quantity
            case AdjustmentKind.RECEIPT | AdjustmentKind.CORRECTION:
                return quantity


_MOVEMENTS: Mapping[AdjustmentKind, MovementKind] = {
    AdjustmentKind.RECEIPT: MovementKind.RECEIPT,
    AdjustmentKind.COUNT: MovementKind.COUNT,
    AdjustmentKind.WRITE_OFF: MovementKind.WRITE_OFF,
    AdjustmentKind.CORRECTION: MovementKind.CORRECTION,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What was adjusted, by whom and why. Its lines are the ledger entries that name it as their cause."""

    id: str
    kind: AdjustmentKind
    warehouse: str
    reason: str
    lines: int
    store_id: str
    actor: str
    at: datetime
