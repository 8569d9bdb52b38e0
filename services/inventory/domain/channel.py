"""What each channel may sell of a shared stock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.inventory.domain.stock import StockItem
from services.inventory.domain.warehouse import Warehouse
from shared.contracts.inventory import ChannelStock

STOREFRONT = "storefront"
"""The channel that every store has: its own shop, without a buffer unless it sets one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A place where a store's goods are offered. `buffer` units stay unoffered there, because its numbers arrive late.

    `country` is where the channel sells, empty for everywhere; bonded stock is offered only where it may be sold.
    """

    name: str
    buffer: int = 0
    country: str = ""
    buffers: Mapping[str, int] = field(default_factory=dict[str, int])  # by SKU, where it differs

    def buffer_of(self, sku: str) -> int:
        return self.buffers.get(sku, self.buffer)

    def stock_of(self, item: StockItem, warehouses: Mapping[str, Warehouse]) -> ChannelStock:
        """What the channel may sell of the item: never below zero, never above what is available."""
        offered = sum(level.available for code, level in item.levels.items() if warehouses[code].serves(self.country))
        return ChannelStock(channel=self.name, available=max(0, offered - self.buffer_of(item.sku)))


def with_storefront(channels: Mapping[str, Channel]) -> Mapping[str, Channel]:
    """A store's channels by name, its own shop included."""
    return {STOREFRONT: Channel(name=STOREFRONT), **channels}


def stock_by_channel(
    item: StockItem, channels: Iterable[Channel], warehouses: Mapping[str, Warehouse]
) -> tuple[ChannelStock, ...]:
    """Every channel's share, by the channel's name."""
    return tuple(channel.stock_of(item, warehouses) for channel in sorted(channels, key=lambda channel: channel.name))
