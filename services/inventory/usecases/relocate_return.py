"""Support says that a return's goods are in another warehouse than was named at the receipt."""

from dataclasses import replace

from services.inventory.domain.putaway import put_away
from services.inventory.domain.shelves import Shelves
from shared.contracts.support import ReturnRelocated
from shared.effects import Effects, Moment


def relocate_return(relocated: ReturnRelocated, shelves: Shelves, now: Moment) -> Effects:
    """Put what is held of the return where it is. What is on a shelf already stays there: moving it is an adjustment.

    Another warehouse that is not set up, and the same one once more, are answered as well: support waits for a word.
    """
    held = shelves.held.take_of(relocated.return_id)
    merged: dict[str, int] = {}
    for part in held:
        merged[part.sku] = merged.get(part.sku, 0) + part.quantity
    first = {part.sku: part for part in reversed(held)}
    units = [replace(first[sku], warehouse=relocated.warehouse, quantity=merged[sku]) for sku in sorted(merged)]
    return shelves.settle(put_away(units, shelves, now), now)
