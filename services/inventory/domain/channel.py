"""What each channel may sell of a shared stock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from services.inventory.domain.policy import Policy, buffer_by_speed
from services.inventory.domain.stock import StockItem
from services.inventory.domain.warehouse import Warehouse
from shared.contracts.inventory import ChannelStock

STOREFRONT = "storefront"
"""The channel that every store has: its own shop, without a buffer unless it sets one."""

EVERYWHERE = ""
SHARED = Policy(buffer=0)
"""All of the stock that is not kept for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A place where a store's goods are offered by a policy: its own, or that of the SKU.

    `country` is where the channel sells, empty for everywhere; bonded stock is offered only where it may be sold. `units_per_s` is how
    fast a SKU sells on all channels together, as the seller states it. `lag_s` is how late the channel is known to hear now and
    `objective_s` how late it should at most; both are 0 for a channel that is not told by us.
    """

    name: str
    country: str = EVERYWHERE
    policy: Policy = SHARED
    policies: Mapping[str, Policy] = field(default_factory=dict[str, Policy])  # by SKU, where it differs
    units_per_s: float = 0.0
    lag_s: float = 0.0
    objective_s: float = 0.0

    def policy_of(self, sku: str) -> Policy:
        return self.policies.get(sku, self.policy)

    def buffer_of(self, sku: str) -> int:
        """Units of the shared stock that stay unoffered here. They grow as the channel hears later.

        An absolute buffer was chosen for a channel that keeps its objective, so at twice the objective it is twice as much.
        """
        buffer = self.policy_of(sku).buffer
        if buffer is None:
            return buffer_by_speed(self.units_per_s, self.lag_s)
        late = self.lag_s / self.objective_s if self.objective_s else 1.0
        return ceil(buffer * late) if late > 1.0 else buffer

    def offer(self, sku: str, allotted: int, shared: int) -> ChannelStock:
        """What the channel may sell: its allotment, and of what all may sell the part above the buffer."""
        units = allotted + max(0, shared - self.buffer_of(sku))
        return ChannelStock(channel=self.name, available=self.policy_of(sku).bound(units))


def with_storefront(channels: Mapping[str, Channel]) -> Mapping[str, Channel]:
    """A store's channels by name, its own shop included."""
    return {STOREFRONT: Channel(name=STOREFRONT), **channels}


def stock_by_channel(
    item: StockItem, channels: Iterable[Channel], warehouses: Mapping[str, Warehouse]
) -> tuple[ChannelStock, ...]:
    """Every channel's offer, by the channel's name: never below zero, never above what is available and may be sold there.

    An allotment is served from the goods that may go only to the channel's country first, so that it leaves the others most. Where there
    is less than all allotments, the channels that hear soonest come first.
    """
    known = list(channels)
    left = _units_by_market(item, {channel.country for channel in known}, warehouses)
    allotted: dict[str, int] = {}
    for channel in sorted(known, key=lambda channel: (channel.lag_s, channel.name)):
        wanted = channel.policy_of(item.sku).kept_for_it
        allotted[channel.name] = 0
        for market in dict.fromkeys((channel.country, EVERYWHERE)):
            units = min(wanted - allotted[channel.name], left[market])
            left[market] -= units
            allotted[channel.name] += units
    return tuple(
        channel.offer(item.sku, allotted[channel.name], sum(left[market] for market in {channel.country, EVERYWHERE}))
        for channel in sorted(known, key=lambda channel: channel.name)
    )


def _units_by_market(item: StockItem, countries: Iterable[str], warehouses: Mapping[str, Warehouse]) -> dict[str, int]:
    """Units that may be sold in each country only, and under EVERYWHERE those that may be sold in all."""
    units = dict.fromkeys((EVERYWHERE, *countries), 0)
    for code, level in item.levels.items():
        if warehouses[code].serves(EVERYWHERE):
            units[EVERYWHERE] += level.available
            continue
        for country in units.keys() - {EVERYWHERE}:
            units[country] += level.available if warehouses[code].serves(country) else 0
    return units
