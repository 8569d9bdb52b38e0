"""An order's way through logistics, with its real database, the sandbox carrier and real sockets."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from services.logistics.main import SERVICE
from shared import s10
from shared.contracts.logistics import (
    PapersCleared,
    ShipmentBooked,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentTracked,
    TrackingStatus,
)
from tests.builders.logistics import ORDER, confirmed, placed, published
from tests.fixtures.bench import Bench, BenchFactory
from tests.integration.logistics.outside import Ear, World, a_world

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncGenerator[tuple[World, Ear]]:
    async with a_world(tmp_path) as outside:
        yield outside


@pytest_asyncio.fixture
async def shipping(service_bench: BenchFactory, world: tuple[World, Ear]) -> tuple[Bench, World, Ear]:
    outside, ear = world
    ear.bench = await service_bench(SERVICE, **outside.settings)
    return ear.bench, outside, ear


async def test_an_order_is_cleared_booked_dispatched_tracked_and_delivered(shipping: tuple[Bench, World, Ear]) -> None:
    bench, world, ear = shipping
    await bench.deliver(published(), placed(), confirmed())
    await bench.calls()
    (booked,) = await bench.published(ShipmentBooked)
    (label,) = (await world.book())["labels"]
    assert s10.is_valid(booked.parcels[0].tracking_number)
    assert booked.parcels[0].tracking_number == label["tracking_number"]
    await world.advance(100)

    async def delivered() -> bool:
        return bool(await bench.published(ShipmentDelivered))

    await ear.until(delivered)
    assert len(await bench.published(PapersCleared)) == 1
    (dispatched,) = await bench.published(ShipmentDispatched)
    assert dispatched.items == confirmed().allocations
    tracked = [event.status for event in await bench.published(ShipmentTracked)]
    assert tracked[-1] is TrackingStatus.DELIVERED
    shipment = (await bench.client.get(f"/v1/shipments/{ORDER}")).json()
    assert shipment["state"] == "delivered"
    assert len(shipment["scans"]) == 5
