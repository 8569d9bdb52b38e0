"""From the file of channels to the loops that tell them."""

import os
from collections.abc import Sequence
from pathlib import Path

import httpx

from services.inventory.domain.feed import ChannelKey, Limits
from services.inventory.feed_worker import CALL_S, Connection, tell_channels
from services.inventory.settings import Settings
from shared.channels.config import ChannelConfig, load
from shared.channels.opening import open_gateway
from shared.runtime import Kit


def told_channels(file: Path | None) -> Sequence[ChannelConfig]:
    """The channels that are to hear of our stock: not those that sell from a warehouse of their own. Raises ChannelConfigError."""
    return [channel for channel in load(file) if channel.fulfilment == "own"] if file else []


def connection(channel: ChannelConfig, http: httpx.AsyncClient) -> Connection:
    """What the feed needs of a channel. Raises ChannelConfigError where a credential is not set."""
    limits = Limits(channel.calls_per_s, channel.batch_size, channel.objective_s)
    return Connection(ChannelKey(channel.store, channel.name), limits, open_gateway(channel, http, os.environ))


async def feed_channels(kit: Kit[Settings]) -> None:
    """The service's worker for channels. Without FREEPORT_CHANNELS_FILE it says so once to the database, and sleeps."""
    channels = told_channels(kit.settings.channels_file)
    async with httpx.AsyncClient(timeout=CALL_S, trust_env=False) as http:
        await tell_channels(kit.database, [connection(each, http) for each in channels], kit.committed.event)
