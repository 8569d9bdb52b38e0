"""What a channel is told about the orders that it sold: outside calls whose ids follow from the order, so that each is made once."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from services.orders.domain.order import Order
from services.orders.domain.standing import Status
from shared.contracts.logistics import ShipmentBooked, ShipmentDispatched
from shared.contracts.orders import OrderCancelled, OrderRejected
from shared.contracts.payments import RefundRequested
from shared.contracts.values import Reason
from shared.effects import Answered, Call, Deadline, Effect
from shared.ids import derive_id

CALLS = ACKNOWLEDGE, SHIP, CANCEL, REFUND = (
    "channel.acknowledge",
    "channel.ship",
    "channel.cancel",
    "channel.refund",
)
SHIP_BY_NEARS, SHIP_BY = "order.ship_by_nears", "order.ship_by"
"""The kinds of the deadlines of what a channel wants shipped; their key is the order id."""

NEAR = timedelta(hours=4)
BY_CHANNEL = "channel"  # who asked for an order's end: then the channel knows
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=10)
_PATIENT_TRIES = 6  # five minutes: from then on a person knows that the channel does not answer


def acknowledgement(order: Order) -> Call:
    """The channel hears that its order is here. It is made only when the order is committed, for the call is committed with it."""
    return _call(order, ACKNOWLEDGE, "", {})


def ship_by(order: Order, at: datetime) -> list[Effect]:
    """The deadlines of an order that the channel wants to have tracking of until `at`."""
    return [Deadline(SHIP_BY_NEARS, order.id, at - NEAR), Deadline(SHIP_BY, order.id, at)]


def ends_told(order: Order, effects: Iterable[Effect]) -> list[Effect]:
    """The channel hears of an end that it did not ask for itself."""
    told: list[Effect] = []
    for effect in effects:
        match effect:
            case OrderCancelled(reason=reason, requested_by=by) if by != BY_CHANNEL:
                told.append(_call(order, CANCEL, "", {"reason": reason}))
            case OrderRejected(reasons=reasons):
                told.append(_call(order, CANCEL, "", {"reason": reasons[0].code if reasons else "rejected"}))
            case _:
                pass
    return told


def shipment_told(order: Order, dispatched: ShipmentDispatched, booked: ShipmentBooked) -> Call:
    """The channel hears by whom and under which numbers the parcels travel: only now, for until then nothing has left."""
    parcels = [
        {
            "tracking_number": parcel.tracking_number,
            "lines": [{"sku": item.sku, "quantity": item.quantity} for item in parcel.items],
        }
        for parcel in booked.parcels
    ]
    told = {"carrier": booked.carrier, "shipped_at": dispatched.dispatched_at.isoformat(), "parcels": parcels}
    return _call(order, SHIP, dispatched.shipment_id, told)


def refund_told(order: Order, refund: RefundRequested) -> list[Effect]:
    """What the channel is to pay out. With an order that ended unshipped it pays all by itself: told twice it might pay twice."""
    if not refund.through_channel or order.status in (Status.CANCELLED, Status.REJECTED):
        return []
    amount = {"amount": str(refund.amount.amount), "currency": refund.amount.currency}
    return [_call(order, REFUND, refund.refund_id, {"refund_id": refund.refund_id, "amount": amount})]


def tried_again(answered: Answered, at: datetime, after_s: float | None) -> Call:
    """The same once more, later each time, or when the channel wants it. Every call that we make there may be made twice."""
    tries = int(answered.request.get("tries", 1))
    pause = timedelta(seconds=after_s) if after_s is not None else _FIRST_PAUSE * 2 ** min(tries - 1, 7)
    subject = str(answered.request["subject"])
    return Call(
        _call_id(answered.kind, answered.key, subject, tries + 1),
        answered.kind,
        answered.key,
        {**answered.request, "tries": tries + 1},
        not_before=at + min(pause, _LONGEST_PAUSE),
    )


def silence(answered: Answered) -> Reason | None:
    """What a person is told when a channel has not answered for long."""
    if int(answered.request.get("tries", 1)) < _PATIENT_TRIES:
        return None
    return Reason(
        code="channel.silent",
        message="the channel does not answer; it is asked on",
        clears_with="the channel's answer",
        subject=answered.kind,
    )


def refusal(answered: Answered, code: str, detail: str) -> Reason:
    """What a person is told when a channel says no."""
    return Reason(
        code="channel.refused",
        message=f"the channel refused {answered.kind}: {code} {detail}".strip(),
        clears_with="a person: tell it at the channel",
        subject=answered.kind,
    )


def lateness(kind: str) -> Reason:
    """What a person is told when the channel's deadline nears or is over and it has no tracking."""
    if kind == SHIP_BY:
        code, message = "channel.ship_by_missed", "the channel's ship-by deadline is over and it has no tracking"
    else:
        code, message = "channel.ship_by_nears", "the channel's ship-by deadline nears and it has no tracking"
    return Reason(code=code, message=message, clears_with="the hand-over to the carrier", subject=SHIP)


def _call(order: Order, kind: str, subject: str, told: dict[str, Any]) -> Call:
    about = {"store_id": order.store_id, "channel": order.channel, "external_id": order.external_id}
    request = {**about, "subject": subject, "tries": 1, **told}
    return Call(_call_id(kind, order.id, subject, 1), kind, order.id, request)


def _call_id(kind: str, order_id: str, subject: str, tries: int) -> str:
    return derive_id("cal", order_id, kind, subject, str(tries))
