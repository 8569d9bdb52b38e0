"""Where goods lie."""

from dataclasses import dataclass
from enum import StrEnum


class WarehouseKind(StrEnum):
    """Who runs it and how far its goods have come through customs."""

    HOME = "home"  # the seller's own, in the seller's country
    OVERSEAS = "overseas"  # imported already, close to the buyers
    BONDED = "bonded"  # under customs' seal, duty unpaid until sold
    MARKETPLACE = "marketplace"  # run by a marketplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Warehouse:
    """One warehouse of a store. Its kind and country never change: holds, papers and past entries rest on them.

    Codes are unique over all stores, because parcels and papers name a warehouse by its code alone.
    """

    code: str
    store_id: str
    kind: WarehouseKind
    country: str  # ISO 3166-1 alpha-2
    name: str = ""

    def serves(self, country: str) -> bool:
        """Whether goods may go from here to `country`.

        Bonded goods are not imported yet, and the bond is a licence to sell to consumers of its own country only (for
        China: the 1210 regime for cross-border e-commerce retail imports).
        """
        return self.kind is not WarehouseKind.BONDED or self.country == country
