"""What the feed asks of a channel, as a port: the sandbox's, Shopify's and Amazon's gateways each are one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class StockUpdate:
    """What a channel shall show of a SKU. Of two versions the greater is true; one version means one quantity."""

    sku: str
    quantity: int
    version: int


@dataclass(frozen=True, slots=True)
class StockOutcome:
    """What the channel said of an update. `pending`: it took it into `feed`, and says later what came of it."""

    sku: str
    version: int
    result: Literal["applied", "stale", "refused", "pending"]
    detail: str = ""
    feed: str = ""


class ChannelBusy(Exception):
    """It did nothing, and wants rest: 429 or 503."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"busy for {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ChannelRefused(Exception):
    """It refuses the call as a whole: one of its updates, or the credentials."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ChannelSilent(Exception):
    """A time-out or a broken connection: nobody knows whether it took effect."""


class StockChannel(Protocol):
    """One channel of one store."""

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        """Tell it. Raises ChannelBusy, ChannelRefused, ChannelSilent."""
        ...

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        """What came of a feed; None while it is not known. Raises like `set_stock`."""
        ...
