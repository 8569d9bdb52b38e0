"""Opening the configured channels: for the calls about orders, and for reading what was sold."""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import httpx

from services.orders.channel_settings import configured
from services.orders.channel_worker import Intake
from services.orders.gateways.order_channel import FetchedOrders, channel_calls
from services.orders.settings import Settings
from shared.channels.opening import open_gateway
from shared.channels.port import ChannelGateway
from shared.messaging.workers import Gateways, repeat
from shared.runtime import Kit

_IDLE_S = 1.0


def gateways(client: httpx.AsyncClient) -> Mapping[tuple[str, str], ChannelGateway]:
    """A gateway for each channel, by store and name."""
    return {(config.store, config.name): open_gateway(config, client, os.environ) for config in configured()}


@asynccontextmanager
async def told_channels(_: Settings) -> AsyncGenerator[Gateways]:
    """The calls about orders. None without channels: then the kit runs no loop for them."""
    if not configured():
        yield {}
        return
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False) as client:
        yield channel_calls(gateways(client))


async def read_channels(kit: Kit[Settings]) -> None:
    """The service's worker for what was sold: a loop for each channel."""
    if not configured():
        await asyncio.Event().wait()  # a worker that ends, ends the process
    key = kit.settings.pii_hash_key.get_secret_value().encode()
    async with httpx.AsyncClient(follow_redirects=False, trust_env=False) as client, asyncio.TaskGroup() as loops:
        opened = gateways(client)
        for config in configured():
            source = FetchedOrders(config, opened[config.store, config.name], key)
            step = Intake(kit.database, kit.desk, source).step
            loops.create_task(repeat(f"orders of {config.name}", step, asyncio.Event(), _IDLE_S))
