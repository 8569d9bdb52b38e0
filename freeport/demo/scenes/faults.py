"""Things that break."""

import asyncio
from collections import Counter

from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import World

BUYERS, UNITS = 60, 30


async def silent_bank(world: World) -> Outcome:
    """The bank charges and never answers. Nobody guesses: it is asked, and the buyer is charged once."""
    sku = await world.put_goods("silent", 1)
    order = await world.placed(sku, bank="timeout_after_charge", wait=0)
    order = await world.until_status(order, "confirmed")
    charges = await world.charges([order])
    payment = await world.payment(order)
    ok = len(charges) == 1 and len(payment["attempts"]) == 1
    return Outcome(
        ok, f"{order['status']}; {len(charges)} charge in the bank's book, {len(payment['attempts'])} attempt here"
    )


async def inventory_killed(world: World) -> Outcome:
    """Sixty buyers for thirty units, and inventory dies with kill -9 in the middle."""
    sku = await world.put_goods("killed", UNITS)
    await world.placed(sku)
    before = await asyncio.to_thread(world.platform.process_of, "inventory")
    bodies = [world.order(sku) for _ in range(BUYERS - 1)]
    half = len(bodies) // 2
    first = [asyncio.create_task(world.place(body, wait=0)) for body in bodies[:half]]
    await asyncio.gather(*first)
    await world.kill("inventory")
    await asyncio.gather(*(world.place(body, wait=0) for body in bodies[half:]))
    await asyncio.to_thread(world.platform.wait_ready, "inventory", after=before, within=60)
    orders = await asyncio.gather(*(world.decided(order) for order in await world.orders_of(sku)))
    count = Counter(order["status"] for order in orders)
    shelf = await world.stock(sku)
    ok = count == Counter(confirmed=UNITS, rejected=BUYERS - UNITS) and shelf["reserved"] == UNITS
    return Outcome(
        ok,
        f"another process serves; {count['confirmed']} confirmed, {count['rejected']} refused,"
        f" {shelf['reserved']} of {shelf['on_hand']} reserved",
    )


SCENES = (
    Scene("the bank does not answer", "charged once, and confirmed when the bank was asked", silent_bank),
    Scene(
        "inventory killed in a sale",
        f"after kill -9 exactly {UNITS} of {BUYERS} buyers have a unit, and nobody waits",
        inventory_killed,
    ),
)
