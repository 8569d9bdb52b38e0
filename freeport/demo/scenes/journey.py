"""Parcels that arrive."""

import asyncio

from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import MARKETS, UNTIL_DELIVERED_H, UNTIL_PICKED_UP_H, Order, World

CPF = "529.982.247-25"  # a well-formed tax id of a person in Brazil; customs there asks for one


async def delivered(world: World) -> Outcome:
    """A mug to each of five countries: quoted, paid, booked, dispatched, delivered, completed."""
    sku = await world.put_goods("mug", len(MARKETS))
    orders = await asyncio.gather(*(_order(world, sku, market) for market in MARKETS))
    booked = await asyncio.gather(*(world.until_booked(order) for order in orders))
    await world.pass_hours(UNTIL_PICKED_UP_H)
    await asyncio.gather(*(world.until_payment(order, "captured") for order in booked))
    await world.pass_hours(UNTIL_DELIVERED_H)
    ended = await asyncio.gather(*(world.until_status(order, "completed") for order in booked))
    shelf = await world.stock(sku)
    charged = {
        charge["reference"] for charge in await world.charges(ended) if charge["amount_captured"] == charge["amount"]
    }
    ok = (shelf["on_hand"], shelf["reserved"]) == (0, 0) and charged == {order["id"] for order in ended}
    places = ", ".join(order["destination"]["country"] for order in ended)
    return Outcome(ok, f"{places}: {len(charged)} charged once and in full, {shelf['on_hand']} left of {len(ended)}")


async def _order(world: World, sku: str, market: str) -> Order:
    quote = await world.quote(sku, 1, market)
    order = await world.placed(sku, market=market, quote=quote["quote"])
    if market == "BR":
        paper = {"type": "identifier", "order_id": order["id"], "identifiers": {"cpf": CPF}}
        await world.api.post("logistics", "/v1/documents", paper, key=f"cpf-{order['id']}")
    return order


SCENES = (
    Scene(
        "delivered",
        "orders to DE, US, JP, BR and AU are delivered, charged once and completed",
        delivered,
    ),
)
