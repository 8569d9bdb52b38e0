"""SKUs are given policies of their own on a channel, or the channel's own again."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.inventory.domain.channel import STOREFRONT, Channel
from services.inventory.domain.errors import unknown_channel, unknown_speed
from services.inventory.domain.policy import Policy
from services.inventory.domain.shelves import Shelves
from shared.effects import Decision, Moment, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class PutPolicies:
    """Policies by SKU as they shall be; None for the channel's own."""

    channel: str
    policies: Mapping[str, Policy | None]


def put_policies(command: PutPolicies, shelves: Shelves, now: Moment) -> Decision:
    """Set the policies, and tell the state of these SKUs again as far as they are the store's."""
    channel = shelves.channel(now.store_id, command.channel)
    if channel is None:
        return unknown_channel(command.channel)
    by_speed = any(policy and policy.buffer is None for policy in command.policies.values())
    if by_speed and not channel.units_per_s:
        return unknown_speed(command.channel)
    if channel.name not in shelves.channels.get(now.store_id, {}):
        shelves.put_channel(now.store_id, Channel(name=STOREFRONT))
    shelves.put_policies_of(now.store_id, channel.name, command.policies)
    own = [sku for sku in command.policies if shelves.item(sku).store_id == now.store_id]
    put = sum(policy is not None for policy in command.policies.values())
    body = {"channel": channel.name, "put": put, "removed": len(command.policies) - put}
    return [*shelves.announce_all(own, now), Reply(body)]
