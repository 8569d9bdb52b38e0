"""The border: what is missing holds, what is forbidden ends, what comes in releases."""

from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import World, findings, holds, reasons


async def missing_hs_code(world: World) -> Outcome:
    """Nobody has classified the goods; somebody does."""
    sku = await world.put_goods("unclassified", 1, hs_code="")
    order = await world.until_held(await world.placed(sku), "customs_papers")
    found = findings(order, "customs_papers")
    await world.publish(sku)
    order = await world.until_booked(order)
    ok = found == ["hs.missing"] and not holds(order)
    return Outcome(ok, f"held for {', '.join(found)}; {order['fulfilment_status']} when the catalog had the code")


async def missing_document(world: World) -> Outcome:
    """Preferential origin is claimed; the certificate comes later."""
    sku = await world.put_goods("preference", 1, claims_preference=True)
    order = await world.until_held(await world.placed(sku), "customs_papers")
    found = findings(order, "customs_papers")
    paper = {"type": "certificate_of_origin", "order_id": order["id"], "number": f"CO-{world.run}"}
    await world.api.post("logistics", "/v1/documents", paper, key=f"certificate-{order['id']}")
    order = await world.until_booked(order)
    ok = found == ["document.missing"] and not holds(order)
    return Outcome(ok, f"held for {', '.join(found)}; {order['fulfilment_status']} when the certificate was there")


async def prohibited(world: World) -> Outcome:
    """Forbidden goods are refused before anybody pays; goods that turn out to be forbidden are stopped and the money is given back."""
    sku = await world.put_goods("ivory", 1, category="ivory")
    refused = await world.until_status(await world.placed(sku), "rejected")
    late = await world.put_goods("figurine", 1, hs_code="")
    paid = await world.until_status(await world.placed(late), "confirmed")
    await world.until_payment(paid, "authorised")
    await world.publish(late, category="ivory")
    stopped = await world.until_status(paid, "cancelled")
    payment = await world.until_payment(stopped, "voided")
    shelves = [await world.until_free(sku), await world.until_free(late)]
    taken = sum(charge["amount_captured"] for charge in await world.charges([refused, stopped]))
    free = sum(shelf["available"] for shelf in shelves)
    ok = taken == 0 and free == 2 and any("prohibit" in code or "ivory" in code for code in reasons(refused))
    return Outcome(
        ok,
        f"rejected for {', '.join(reasons(refused))}; found out late: {stopped['status']}, payment {payment['state']};"
        f" {taken} taken, {free} of 2 for sale again",
    )


SCENES = (
    Scene("missing HS code", "held for its papers, corrected in the catalog, released by itself", missing_hs_code),
    Scene("missing document", "held for a certificate of origin, supplied, released by itself", missing_document),
    Scene("prohibited goods", "rejected before payment; found out later: cancelled and voided", prohibited),
)
