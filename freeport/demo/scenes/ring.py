"""One card under many names."""

from typing import Any

from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import Order, World, findings, holds, reasons

ORDERS = 6


async def card_ring(world: World) -> Outcome:
    """Six buyers, one card: the later ones wait for a person, who approves one and rejects the others."""
    sku = await world.put_goods("ring", ORDERS)
    orders = [await world.placed(sku, card=f"ring{world.run}") for _ in range(ORDERS)]
    orders = [
        await world.until_order(
            order, lambda seen: seen["status"] != "placed" or "risk_review" in holds(seen), "judged"
        )
        for order in orders
    ]
    passed = [order for order in orders if order["status"] == "confirmed"]
    held = [order for order in orders if "risk_review" in holds(order)]
    if not held:
        return Outcome(False, f"{len(passed)} of {ORDERS} passed, nobody was asked")
    rules = {code for order in held for code in findings(order, "risk_review")}
    good, *bad = held
    await _decide(world, good, "approve")
    for order in bad:
        await _decide(world, order, "reject")
    approved = await world.until_status(good, "confirmed")
    rejected = [await world.until_status(order, "rejected") for order in bad]
    said = {code for order in rejected for code in reasons(order)}
    ok = bool(bad) and len(passed) + len(held) == ORDERS and "risk.refused" in said
    return Outcome(
        ok,
        f"{len(passed)} passed, {len(held)} to review ({', '.join(sorted(rules))}):"
        f" one approved and {approved['status']}, {len(rejected)} rejected",
    )


async def _decide(world: World, order: Order, decision: str) -> None:
    reviews: Any = world.api.pages("risk", "/v1/reviews", status="open", limit=200)
    [review] = [review["review_id"] async for review in reviews if review["order_id"] == order["id"]]
    body = {"decision": decision, "note": "demo"}
    await world.api.post("risk", f"/v1/reviews/{review}/decision", body, key=f"review-{review}")


SCENES = (Scene("card ring", "sent to review; a person approves one and rejects the others", card_ring),)
