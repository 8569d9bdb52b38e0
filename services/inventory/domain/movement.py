"""The ledger: what happened to the counters, why, and through which message. Entries are never changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.inventory.domain.stock import StockLevel


class MovementKind(StrEnum):
    """Why a counter moved."""

    RECEIPT = "receipt"
    COUNT = "count"
    SNAPSHOT = "snapshot"  # a warehouse system counted, as of a time of its own
    WRITE_OFF = "write_off"
    CORRECTION = "correction"
    RESERVED = "reserved"
    RELEASED = "released"
    EXPIRED = "expired"
    BROKEN = "broken"
    CONSUMED = "consumed"
    RESTOCKED = "restocked"
    TRANSFER_OUT = "transfer_out"  # on its way to another warehouse
    TRANSFER_IN = "transfer_in"
    TRANSFER_DAMAGED = "transfer_damaged"  # shipped, and not fit to be put on the shelf
    TRANSFER_SHORT = "transfer_short"  # shipped, and never came
    TRANSFER_OVER = "transfer_over"  # came, and was never shipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """One entry. `on_hand`, `reserved` and `in_transit` are changes, not balances.

    `cause` is the id of the order, return, adjustment, count or transfer behind it, `store_id` whose that is. `at` is when it was entered,
    `occurred_at` when it happened, by its sender's clock.
    """

    sku: str
    warehouse: str
    kind: MovementKind
    on_hand: int
    reserved: int
    cause: str
    store_id: str
    message_id: str
    at: datetime
    occurred_at: datetime
    in_transit: int = 0
    reason: str = ""


def fold(movements: Iterable[Movement]) -> dict[tuple[str, str], StockLevel]:
    """The counters by (SKU, warehouse) that the entries add up to. Raises ImpossibleStock at the first wrong entry."""
    levels: dict[tuple[str, str], StockLevel] = {}
    for entry in movements:
        level = levels.setdefault((entry.sku, entry.warehouse), StockLevel())
        level.move(on_hand=entry.on_hand, reserved=entry.reserved)
    return levels
