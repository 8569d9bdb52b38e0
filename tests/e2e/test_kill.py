"""kill -9 in the middle of a sale: nothing is sold twice, nobody is forgotten, and the books agree."""

import asyncio
from collections import Counter

import pytest

from freeport.audit.command import audit_platform
from freeport.demo.world import World
from freeport.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

WAVE = 24  # buyers around a kill


async def test_inventory_killed_many_times_sells_every_unit_once(world: World, platform: Platform) -> None:
    units = 50
    orders = await _sell_while_killing(world, platform, "inventory", units, kills=5)
    count = Counter(order["status"] for order in orders)
    assert count == Counter(confirmed=units, rejected=len(orders) - units)
    await _assert_sound(platform)


async def test_orders_killed_many_times_keeps_every_order_that_it_acknowledged(
    world: World, platform: Platform
) -> None:
    orders = await _sell_while_killing(world, platform, "orders", 100, kills=2)
    assert Counter(order["status"] for order in orders) == Counter(confirmed=len(orders))
    await _assert_sound(platform)


async def test_payments_killed_many_times_charges_every_buyer_once(world: World, platform: Platform) -> None:
    orders = await _sell_while_killing(world, platform, "payments", 100, kills=2)
    charges = Counter(charge["reference"] for charge in await world.charges(orders))
    assert charges == Counter({order["id"]: 1 for order in orders})
    await _assert_sound(platform)


async def _sell_while_killing(
    world: World, platform: Platform, service: str, units: int, *, kills: int
) -> list[dict[str, object]]:
    """Waves of buyers, each with a kill in its middle; every order that was placed, as it ended."""
    sku = await world.put_goods(f"kill-{service}", units)
    acknowledged = [(await world.place(world.order(sku), wait=0)).body["id"]]
    for _ in range(kills):
        victim = await asyncio.to_thread(platform.process_of, service)
        wave = [asyncio.create_task(world.place(world.order(sku), wait=0)) for _ in range(WAVE)]
        await asyncio.wait(wave[: WAVE // 2], return_when=asyncio.FIRST_COMPLETED)
        await world.kill(service)
        acknowledged += [answer.body["id"] for answer in await asyncio.gather(*wave)]
        await asyncio.to_thread(platform.wait_ready, service, after=victim, within=60)
    placed = await world.orders_of(sku)
    assert {order["id"] for order in placed} == set(acknowledged)
    assert len(acknowledged) == len(set(acknowledged)) == kills * WAVE + 1
    return await asyncio.gather(*(_ended(world, order) for order in placed))


async def _ended(world: World, order: dict[str, object]) -> dict[str, object]:
    """A killed consumer is missed for ten seconds before its successor gets its partitions, a call in flight for longer."""
    for _ in range(3):
        try:
            return await world.decided(order)
        except TimeoutError:
            continue
    return await world.decided(order)


async def _assert_sound(platform: Platform) -> None:
    verdicts = await audit_platform(platform, wait=90)
    assert {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok} == {}
