"""Returned goods that are on no shelf, because nobody has set up the warehouse that they are said to be in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from shared.contracts.values import Grade, Reason, ReceivedLine

Key: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUnits:
    """Sellable units of a return, and the code of the warehouse that they are said to be in."""

    return_id: str
    order_id: str
    store_id: str
    sku: str
    warehouse: str
    quantity: int
    held_at: datetime

    @property
    def key(self) -> Key:
        return self.return_id, self.sku, self.warehouse

    def told(self) -> ReceivedLine:
        """The units as the event tells them."""
        return ReceivedLine(sku=self.sku, quantity=self.quantity, grade=Grade.SELLABLE, warehouse=self.warehouse)


@dataclass(slots=True)
class HeldReturns:
    """What of it a batch touches. `stored` is what the database has, for the repository."""

    units: dict[Key, HeldUnits] = field(default_factory=dict[Key, HeldUnits])
    stored: Mapping[Key, HeldUnits] = field(default_factory=dict[Key, HeldUnits])

    def keep(self, units: HeldUnits) -> None:
        """Hold these, beside what is held of the same return there already."""
        there = self.units.get(units.key)
        self.units[units.key] = replace(units, quantity=units.quantity + there.quantity) if there else units

    def take_for(self, store_id: str, warehouse: str) -> list[HeldUnits]:
        """What the store holds for a warehouse of that code, the oldest first; it is held no more."""
        return self._take(u for u in self.units.values() if (u.store_id, u.warehouse) == (store_id, warehouse))

    def take_of(self, return_id: str) -> list[HeldUnits]:
        """What is held of a return; it is held no more."""
        return self._take(u for u in self.units.values() if u.return_id == return_id)

    def _take(self, chosen: Iterable[HeldUnits]) -> list[HeldUnits]:
        taken = sorted(chosen, key=lambda units: (units.held_at, units.key))
        for units in taken:
            del self.units[units.key]
        return taken


def unknown_warehouse(code: str) -> Reason:
    """Why goods are on no shelf. Another store's warehouse is as unknown as none."""
    return Reason(
        code="warehouse.unknown",
        message=f"the goods are said to be in the warehouse {code}, which is not set up",
        clears_with=f"PUT /v1/warehouses/{code}, or the warehouse in which they are, said to support",
        subject=code,
    )
