"""Payments that go wrong, or not straight."""

from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import World, holds, reasons


async def declined(world: World) -> Outcome:
    """The bank says no."""
    sku = await world.put_goods("declined", 1)
    order = await world.until_status(await world.placed(sku, bank="insufficient_funds"), "rejected")
    shelf = await world.until_free(sku)
    taken = sum(charge["amount_captured"] for charge in await world.charges([order]))
    ok = order["payment_status"] == "declined" and shelf["available"] == 1 and taken == 0
    return Outcome(
        ok, f"rejected for {', '.join(reasons(order))}; {shelf['available']} of 1 for sale again, {taken} taken"
    )


async def three_d_secure(world: World) -> Outcome:
    """The bank wants to see the buyer first."""
    sku = await world.put_goods("secure", 1)
    order = await world.until_held(await world.placed(sku, bank="3ds"), "payment_action")
    before = order["status"], holds(order)
    await world.confirm_at_bank(order["payment"]["action_url"])
    order = await world.until_status(order, "confirmed")
    ok = before == ("placed", ["payment_action"]) and "payment_action" not in holds(order)
    return Outcome(
        ok, f"{before[0]} and held for {', '.join(before[1])}; {order['status']} when the buyer had confirmed"
    )


SCENES = (
    Scene("declined", "the order is rejected, its stock is for sale again, nothing was taken", declined),
    Scene("3-D Secure", "held until the buyer confirms at the bank, then confirmed", three_d_secure),
)
