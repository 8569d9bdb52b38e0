"""A channel is set up: how much of the stock is kept from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.inventory.domain.channel import Channel
from services.inventory.domain.shelves import ANNOUNCE, Shelves, announce_key
from shared.effects import Deadline, Decision, Moment, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class PutChannel:
    """The channel as it shall be; `buffers` are the SKUs whose buffer differs from `buffer`."""

    name: str
    buffer: int
    country: str
    buffers: Mapping[str, int]


def put_channel(command: PutChannel, shelves: Shelves, now: Moment) -> Decision:
    """Set the buffers, then tell the state of every SKU of the store again: what may be sold of each has changed."""
    channel = Channel(name=command.name, buffer=command.buffer, country=command.country, buffers=command.buffers)
    shelves.put_channel(now.store_id, channel)
    body = {"name": channel.name, "buffer": channel.buffer, "country": channel.country, "skus": dict(channel.buffers)}
    return [Deadline(ANNOUNCE, announce_key(now.store_id, ""), now.decided_at), Reply(body)]
