"""Many buyers at once, and one buyer twice."""

import asyncio
from collections import Counter

from freeport.api import Problem
from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import World, reasons

BUYERS, UNITS = 200, 50


async def flash_sale(world: World) -> Outcome:
    """All of them want the same product in the same moment."""
    sku = await world.put_goods("flash", UNITS)
    bodies = [world.order(sku) for _ in range(BUYERS)]
    first = await world.place(bodies.pop())  # waits until orders knows the product
    answers = await asyncio.gather(*(world.place(body, wait=20) for body in bodies))
    orders = await asyncio.gather(*(world.decided(answer.body) for answer in (first, *answers)))
    count = Counter(order["status"] for order in orders)
    short = sum(reasons(order) == ["stock.insufficient"] for order in orders)
    shelf = await world.stock(sku)
    ok = (
        count == Counter(confirmed=UNITS, rejected=BUYERS - UNITS)
        and short == BUYERS - UNITS
        and (shelf["reserved"], shelf["available"]) == (UNITS, 0)
    )
    return Outcome(
        ok,
        f"{count['confirmed']} confirmed, {count['rejected']} refused ({short} for stock);"
        f" {shelf['reserved']} of {shelf['on_hand']} reserved",
    )


async def same_key_twice(world: World) -> Outcome:
    """A storefront that got no answer asks again, twice at once; then somebody reuses the key for another order."""
    sku = await world.put_goods("twice", 5)
    await world.placed(sku)  # so that orders knows the product
    body, key = world.order(sku), f"twice-{world.run}"
    first, second = await asyncio.gather(world.place(body, key=key), world.place(body, key=key))
    third = await world.place(body, key=key)
    try:
        await world.place(world.order(sku, 2), key=key)
        mismatch = "another order under the key was taken"
    except Problem as problem:
        mismatch = problem.code
    one = len({answer.body["id"] for answer in (first, second, third)})
    shelf = await world.stock(sku)
    ok = one == 1 and third.replayed and mismatch == "idempotency.mismatch" and shelf["reserved"] == 2
    return Outcome(ok, f"{one} order from 3 requests, replayed: {third.replayed}, another body: {mismatch}")


SCENES = (
    Scene("flash sale", f"of {BUYERS} buyers for {UNITS} units exactly {UNITS} get one", flash_sale),
    Scene("the same key twice", "one order, the stored answer again, and 422 for another body", same_key_twice),
)
