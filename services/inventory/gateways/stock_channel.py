"""What the feed asks of a channel: the part of `shared/channels/port.py` that tells stock."""

from collections.abc import Sequence
from typing import Protocol

from shared.channels.port import StockOutcome, StockPage, StockUpdate


class StockChannel(Protocol):
    """One channel of one store. Every gateway of a channel is one."""

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        """Tell it. Raises ChannelBusy, ChannelRefused, ChannelSilent."""
        ...

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        """What came of a feed; None while it is not known. Raises like `set_stock`."""
        ...

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        """What it shows, page by page, in the order of the SKUs by code point. Raises like `set_stock`."""
        ...
