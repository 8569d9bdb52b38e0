"""Stock came in for more waiting orders than one transaction could look at."""

from services.inventory.domain.shelves import Shelves, parse_retry_key
from shared.effects import Due, Effects, Moment


def retry_waiting(due: Due, shelves: Shelves, now: Moment) -> Effects:
    """Go on serving who waits for the SKU, from where the last transaction stopped."""
    sku, _ = parse_retry_key(due.key)
    return shelves.retry(sku, now)
