"""Orders that end another way than they began."""

from typing import Any

from freeport.api import until
from freeport.demo.scene import Outcome, Scene
from freeport.demo.world import UNTIL_DELIVERED_H, UNTIL_PICKED_UP_H, WAREHOUSE, WITHIN_S, World


async def cancelled(world: World) -> Outcome:
    """The buyer changes their mind when the label is made and the parcel still there."""
    sku = await world.put_goods("cancelled", 1)
    order = await world.until_booked(await world.placed(sku))
    wish = {"reason": "changed_mind", "requested_by": "buyer"}
    asked = await world.api.post("orders", f"/v1/orders/{order['id']}/cancellation", wish, key=f"cancel-{order['id']}")
    order = await world.until_status(order, "cancelled")
    payment = await world.until_payment(order, "voided")
    shelf = await world.until_free(sku)
    ok = asked.status == 202 and order["fulfilment_status"] == "cancelled" and shelf["available"] == 1
    return Outcome(
        ok,
        f"asked ({asked.status}), then {order['status']}: label {order['fulfilment_status']}, payment {payment['state']},"
        f" {shelf['available']} of 1 for sale again",
    )


async def returned(world: World) -> Outcome:
    """Delivered, sent back, found as good as new."""
    sku = await world.put_goods("returned", 2)
    order = await world.until_booked(await world.placed(sku, 2))
    await world.pass_hours(UNTIL_PICKED_UP_H)
    await world.until_payment(order, "captured")
    await world.pass_hours(UNTIL_DELIVERED_H)
    order = await world.until_status(order, "completed")
    claim = {
        "order_id": order["id"],
        "lines": [{"sku": sku, "quantity": 1, "reason": "unwanted"}],
        "approve": True,
        "send_back": True,
    }
    made = await world.api.post("support", "/v1/returns", claim, key=f"return-{order['id']}")
    return_id = made.body["id"]
    await _until_label(world, order["id"], return_id)
    await world.pass_hours(UNTIL_DELIVERED_H)
    await _until_return(world, return_id, "state", "parcel_arrived")
    graded = {"warehouse": WAREHOUSE, "lines": [{"sku": sku, "quantity": 1, "grade": "sellable"}]}
    await world.api.post("support", f"/v1/returns/{return_id}/receipt", graded, key=f"receipt-{return_id}")
    await _until_return(world, return_id, "refund", "refunded")
    back = await _until_return(world, return_id, "restock", "restocked")
    [charge] = await world.charges([order])
    shelf = await world.stock(sku)
    ok = (
        shelf["available"] == 1
        and charge["amount_refunded"] == int(back["refund_paid"]["amount"])
        and charge["amount_captured"] == 2 * charge["amount_refunded"]
    )
    return Outcome(
        ok,
        f"{back['state']}, {back['restock']}, {back['refund']}: {charge['amount_refunded']} of {charge['amount_captured']} refunded"
        f" at the bank, {shelf['available']} on the shelf",
    )


async def _until_label(world: World, order_id: str, return_id: str) -> None:
    """The carrier's label for the way back is made by event; time must not pass before it is."""

    async def look() -> dict[str, Any]:
        return await world.api.get("logistics", f"/v1/shipments/{order_id}")

    def labelled(shipment: dict[str, Any]) -> bool:
        return any(parcel["return_id"] == return_id and parcel["tracking_number"] for parcel in shipment["returns"])

    await until(look, labelled, f"label for {return_id}", within=WITHIN_S)


async def _until_return(world: World, return_id: str, field: str, value: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        return await world.api.get("support", f"/v1/returns/{return_id}")

    return await until(look, lambda seen: seen[field] == value, f"return {return_id}: {value}", within=WITHIN_S)


SCENES = (
    Scene("cancelled before dispatch", "label void, payment voided, stock for sale again", cancelled),
    Scene("returned", "the sellable unit is on the shelf again, its price refunded", returned),
)
