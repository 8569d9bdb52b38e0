"""A channel is set up: what it may sell of the stock."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.inventory.domain.channel import Channel
from services.inventory.domain.errors import unknown_speed
from services.inventory.domain.policy import Policy
from services.inventory.domain.shelves import ANNOUNCE, Shelves, announce_key
from shared.effects import Deadline, Decision, Moment, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class PutChannel:
    """The channel as it shall be; `buffers` are all the SKUs whose policy differs, by their buffer.

    None for `buffers` or `units_per_s`: as it was. So a speed that SKUs' own policies rest on is never lost.
    """

    name: str
    country: str
    policy: Policy
    units_per_s: float | None
    buffers: Mapping[str, int] | None


def put_channel(command: PutChannel, shelves: Shelves, now: Moment) -> Decision:
    """Set the policy, then tell the state of every SKU of the store again: what may be sold of each has changed."""
    policy = command.policy
    known = shelves.channel(now.store_id, command.name)
    speed = command.units_per_s or (known.units_per_s if known else 0.0)
    if policy.buffer is None and not speed:
        return unknown_speed(command.name)
    channel = Channel(name=command.name, country=command.country, policy=policy, units_per_s=speed)
    shelves.put_channel(now.store_id, channel)
    if command.buffers is not None:
        shelves.clear_policies(now.store_id, command.name)
        own = {sku: replace(policy, buffer=buffer) for sku, buffer in command.buffers.items()}
        shelves.put_policies_of(now.store_id, command.name, own)
    body = {
        "name": channel.name,
        "buffer": policy.buffer,
        "country": channel.country,
        "skus": None if command.buffers is None else dict(command.buffers),
        "cap": policy.cap,
        "allotment": policy.allotment,
        "closed": policy.closed,
        "units_per_s": channel.units_per_s,
    }
    return [Deadline(ANNOUNCE, announce_key(now.store_id, ""), now.decided_at), Reply(body)]
