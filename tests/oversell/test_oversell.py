"""Nothing is sold twice: one unit and five hundred buyers, baskets in opposite order, and inventory killed in mid-batch.

`FREEPORT_OVERSELL_ROUNDS` says how many rounds of five hundred buyers there are (`make oversell ROUNDS=100`).
"""

import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from freeport.platform import free_port_base
from shared.failpoints import VARIABLE, Point
from tests.oversell.shop import Crowd, Shop

ROUNDS = int(os.environ.get("FREEPORT_OVERSELL_ROUNDS", "5"))
BUYERS = 500

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600 + 60 * ROUNDS)]


@pytest_asyncio.fixture(scope="module")
async def shop(embedded_directory: Path) -> AsyncGenerator[Shop]:
    async with Shop.open(embedded_directory / "oversell", free_port_base()) as running:
        yield running


def assert_sold(crowd: Crowd, *, units: int) -> None:
    """Exactly so many buyers have their goods, everybody else was refused once and rejected, and nobody was told both."""
    others = len(crowd.placed) - units
    assert len(set(crowd.placed)) == len(crowd.placed)
    assert len(crowd.winners) == units
    assert crowd.told == Counter(reserved=units, refused=others)
    assert crowd.statuses == Counter(placed=units, rejected=others)


async def test_one_unit_and_five_hundred_buyers_at_two_replicas_sell_it_once_in_every_round(shop: Shop) -> None:
    skus = [f"LAST-{number}" for number in range(1, ROUNDS + 1)]
    await shop.put_goods(dict.fromkeys(skus, 1))
    before = {name: await shop.consumed(name) for name in ("inventory-1", "inventory-2")}
    seconds: list[float] = []
    for sku in skus:
        crowd = await shop.sell([[(sku, 1)]] * BUYERS)
        assert_sold(crowd, units=1)
        assert await shop.levels([sku]) == {sku: (1, 1)}
        seconds.append(crowd.seconds)
        sys.stdout.write(f"{sku}: {BUYERS} buyers decided in {crowd.seconds:.1f} s\n")
    rate = ROUNDS * BUYERS / sum(seconds)
    sys.stdout.write(f"{ROUNDS} rounds of {BUYERS}: one success each, {rate:.0f} orders a second\n")
    for name, applied in before.items():
        assert await shop.consumed(name) > applied, f"{name} had no part in it"
    assert await shop.audit() == {}


async def test_a_thousand_baskets_of_two_skus_in_opposite_order_have_no_deadlock_and_get_all_or_none(
    shop: Shop,
) -> None:
    await shop.put_goods({"LEFT": 300, "RIGHT": 200})
    before = await shop.deadlocks()
    there, back = [("LEFT", 1), ("RIGHT", 1)], [("RIGHT", 1), ("LEFT", 1)]
    crowd = await shop.sell([there, back] * 500)
    assert_sold(crowd, units=200)
    assert await shop.deadlocks() == before
    assert await shop.levels(["LEFT", "RIGHT"]) == {"LEFT": (300, 200), "RIGHT": (200, 200)}
    held = await shop.allocated(crowd.placed)
    assert held == {winner: {"LEFT": 1, "RIGHT": 1} for winner in crowd.winners}
    assert await shop.audit() == {}


async def test_the_same_sku_twice_in_one_basket_needs_both_units(shop: Shop) -> None:
    await shop.put_goods({"PAIR": 7})
    crowd = await shop.sell([[("PAIR", 1), ("PAIR", 1)]] * 40)
    assert_sold(crowd, units=3)  # the seventh unit is nobody's: half a basket is none
    assert await shop.levels(["PAIR"]) == {"PAIR": (7, 6)}
    assert await shop.allocated(crowd.placed) == {winner: {"PAIR": 2} for winner in crowd.winners}
    assert await shop.audit() == {}


@pytest.mark.parametrize("point", [Point.EVENTS_UNCOMMITTED, Point.EVENTS_COMMITTED])
async def test_inventory_killed_in_mid_batch_sells_every_unit_exactly_once(shop: Shop, point: Point) -> None:
    sku = f"KILLED-{point.name}"
    await shop.put_goods({sku: 50})
    victims = [shop.processes["inventory-1"], shop.processes["inventory-2"]]
    marks = [victim.mark() for victim in victims]
    for victim in victims:  # each dies in its second batch of orders after this start
        await victim.restart({VARIABLE: f"{point}=kill@2"})
    deaths = [victim.restarts for victim in victims]
    crowds = [await shop.sell([[(sku, 1)]] * 150) for _ in range(2)]
    both = crowds[0] + crowds[1]
    assert_sold(both, units=50)
    assert await shop.levels([sku]) == {sku: (50, 50)}
    bitten = [
        victim.said(mark, event="failpoint.bit", point=str(point)) for victim, mark in zip(victims, marks, strict=True)
    ]
    assert [len(lines) for lines in bitten] == [1, 1]
    assert all(victim.restarts > before for victim, before in zip(victims, deaths, strict=True))
    assert await shop.audit() == {}
