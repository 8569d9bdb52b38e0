"""Tell the state of all stock again, some SKUs at a time."""

from services.inventory.domain.shelves import ANNOUNCE, Shelves, announce_key, parse_announce_key
from shared.effects import Deadline, Due, Effects, Moment


def announce_stock(due: Due, shelves: Shelves, now: Moment) -> Effects:
    """Announce the store's SKUs that were loaded for this round, and go on behind them."""
    store_id, _ = parse_announce_key(due.key)
    this = shelves.rounds[due.key]
    effects = shelves.announce_all(this.skus, now)
    if this.more:
        effects.append(Deadline(ANNOUNCE, announce_key(store_id, this.skus[-1]), now.decided_at))
    return effects
