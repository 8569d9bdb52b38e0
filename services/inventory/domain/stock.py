"""How many there are of a SKU, and how many of them are promised."""

from dataclasses import dataclass, field


class ImpossibleStock(Exception):
    """A counter was about to leave 0 <= reserved <= on hand. It is a bug of ours, never a buyer's doing."""


@dataclass(slots=True)
class StockLevel:
    """Units of one SKU in one warehouse. `stored` tells that the database has a row of it."""

    on_hand: int = 0
    reserved: int = 0
    stored: bool = False

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    def move(self, *, on_hand: int, reserved: int) -> None:
        """Change both counters by these amounts."""
        if not 0 <= self.reserved + reserved <= self.on_hand + on_hand:
            raise ImpossibleStock(
                f"{self.on_hand} on hand and {self.reserved} reserved cannot change by {on_hand} and {reserved}"
            )
        self.on_hand += on_hand
        self.reserved += reserved


@dataclass(slots=True)
class StockItem:
    """One SKU in all its warehouses. Whoever decides anything about the SKU holds this item's row lock.

    `store_id` is whose it is: the store that stocked it first, empty before. `version` counts the changes that were
    announced; consumers keep the newest.
    """

    sku: str
    store_id: str = ""
    version: int = 0
    levels: dict[str, StockLevel] = field(default_factory=dict[str, StockLevel])

    def level(self, warehouse: str) -> StockLevel:
        """The level there; an empty one where the SKU has never been."""
        return self.levels.setdefault(warehouse, StockLevel())

    @property
    def on_hand(self) -> int:
        return sum(level.on_hand for level in self.levels.values())

    @property
    def reserved(self) -> int:
        return sum(level.reserved for level in self.levels.values())
