"""The story of an order over all services, told so that no effect comes before its cause."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.contracts.orders import AnswerAwaited


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event about an order, as it was heard. `cause` is the id of the event or command that led to it."""

    event_id: str
    order_id: str
    type: str
    topic: str
    sequence: int
    cause: str
    at: datetime
    payload: str = ""

    @property
    def service(self) -> str:
        """Who told it: the first part of the type."""
        return self.type.partition(".")[0]


def in_causal_order(happenings: Iterable[Happening]) -> list[Happening]:
    """Causes before effects, each topic in its own sequence; what neither binds goes by time, then by id.

    Clocks of services differ by more than an answer takes, so time alone would tell effects before causes. Should the
    causes run in a circle (they cannot, unless somebody forged an id), the earliest of it goes first.
    """
    events = {happening.event_id: happening for happening in happenings}
    waits = {event_id: _predecessors(happening, events) for event_id, happening in events.items()}
    previous: dict[str, str] = {}
    for happening in sorted(events.values(), key=lambda h: (h.topic, h.sequence)):
        if happening.topic in previous:
            waits[happening.event_id].add(previous[happening.topic])
        previous[happening.topic] = happening.event_id
    followers: dict[str, list[str]] = {}
    for event_id, causes in waits.items():
        for cause in causes:
            followers.setdefault(cause, []).append(event_id)
    return _told(events, waits, followers)


def _predecessors(happening: Happening, events: dict[str, Happening]) -> set[str]:
    return {happening.cause} if happening.cause in events and happening.cause != happening.event_id else set()


def _told(events: dict[str, Happening], waits: dict[str, set[str]], followers: dict[str, list[str]]) -> list[Happening]:
    def key(event_id: str) -> tuple[datetime, str]:
        return events[event_id].at, event_id

    ready = [key(event_id) for event_id, causes in waits.items() if not causes]
    heapq.heapify(ready)
    told: list[Happening] = []
    while len(told) < len(events):
        if not ready:
            heapq.heappush(ready, min(key(event_id) for event_id, causes in waits.items() if causes))
        _, event_id = heapq.heappop(ready)
        waits.pop(event_id)
        told.append(events[event_id])
        for follower in followers.get(event_id, ()):
            causes = waits.get(follower)
            if causes is not None and event_id in causes:
                causes.discard(event_id)
                if not causes:
                    heapq.heappush(ready, key(follower))
    return told


BETWEEN_SERVICES = frozenset({AnswerAwaited.event_type})
"""What services ask one another. The timeline tells it, for it explains a delay; webhooks do not, for nothing happened to the order."""

_FOR_OTHERS = frozenset({"token", "signals", "card_fingerprint"})
"""What events carry for payments and risk alone: nobody needs it to understand what happened."""


def worth_telling(data: dict[str, Any]) -> dict[str, Any]:
    """An event's data as the timeline and the webhooks tell it."""
    return {name: _bare(value) for name, value in data.items() if name not in _FOR_OTHERS}


def _bare(value: Any) -> Any:
    match value:
        case {**fields}:
            return {name: _bare(field) for name, field in fields.items() if name not in _FOR_OTHERS}
        case [*items]:
            return [_bare(item) for item in items]
        case _:
            return value


def summary(event_type: str, data: dict[str, Any]) -> str:
    """What happened, in a sentence for a person."""
    words = NEEDS_A_PERSON if data.get("attention") else SUMMARIES.get(event_type)
    if words is None:
        return event_type
    return words.format_map(_Known({name: _words(value) for name, value in data.items()}))


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def _words(value: Any) -> Any:
    """A reason by its message, reasons by all of theirs; other values as they are."""
    match value:
        case {"message": message}:
            return message
        case [*items] if items:
            return "; ".join(str(_words(item)) for item in items)
        case _:
            return value


NEEDS_A_PERSON = "The payment needs a person: {attention}"

SUMMARIES = {
    "orders.order.placed.v1": "Order {number} came in over {channel}",
    "orders.order.payment_requested.v1": "Stock, risk and papers agree: the payment is asked for",
    "orders.order.confirmed.v1": "The order is confirmed",
    "orders.order.hold_placed.v1": "Held ({code}): {reasons}",
    "orders.order.hold_cleared.v1": "The hold {code} is cleared",
    "orders.order.rejected.v1": "The order is rejected: {reasons}",
    "orders.order.cancellation_requested.v1": "The {requested_by} asks to cancel: {reason}",
    "orders.order.cancelled.v1": "The order is cancelled: {reason}",
    "orders.order.completed.v1": "The order is completed",
    "orders.order.answer_awaited.v1": "Asked again about the {matter}: {whom}",
    "inventory.reservation.reserved.v1": "Stock is reserved",
    "inventory.reservation.refused.v1": "Stock is short",
    "inventory.reservation.committed.v1": "The reservation is committed",
    "inventory.reservation.broken.v1": "A count took the reserved stock",
    "inventory.reservation.released.v1": "The stock is for sale again",
    "inventory.reservation.expired.v1": "The reservation expired",
    "inventory.reservation.consumed.v1": "The goods left the warehouse",
    "inventory.reservation.restocked.v1": "Returned goods are on the shelf again",
    "inventory.reservation.restock_held.v1": "Returned goods are on no shelf yet: {reason}",
    "logistics.customs.cleared.v1": "The papers are complete",
    "logistics.customs.held.v1": "Papers are missing: {findings}",
    "logistics.customs.prohibited.v1": "The goods may not go there: {findings}",
    "logistics.shipment.booked.v1": "Booked with {carrier}",
    "logistics.shipment.dispatched.v1": "Handed to the carrier",
    "logistics.shipment.tracked.v1": "Parcel {tracking_number}: {status}",
    "logistics.shipment.delivered.v1": "Delivered",
    "logistics.shipment.exception.v1": "Trouble on the way: {reason}",
    "logistics.shipment.lost.v1": "Parcel {tracking_number} is lost",
    "logistics.shipment.cancelled.v1": "Nothing will be handed over",
    "logistics.shipment.cancellation_refused.v1": "Too late to cancel: {reason}",
    "logistics.shipment.return_parcel_arrived.v1": "A returned parcel arrived at {warehouse}",
    "payments.payment.authorised.v1": "The payment is authorised",
    "payments.payment.action_required.v1": "The buyer must confirm the payment",
    "payments.payment.declined.v1": "The payment was declined: {reason}",
    "payments.payment.captured.v1": "The payment is captured",
    "payments.payment.voided.v1": "The payment is given back",
    "payments.payment.outcome_unknown.v1": "The provider did not answer ({operation}); it is being asked",
    "payments.refund.requested.v1": "A refund is asked for: {reason}",
    "payments.refund.succeeded.v1": "The refund went out",
    "payments.refund.failed.v1": "The refund failed: {reason}",
    "risk.assessment.approved.v1": "Risk approves",
    "risk.assessment.review_opened.v1": "Risk asks for a review: {reasons}",
    "risk.assessment.review_decided.v1": "The review is decided by {decided_by}",
    "risk.assessment.rejected.v1": "Risk rejects: {reasons}",
    "support.return.requested.v1": "The buyer asks for a return",
    "support.return.approved.v1": "The return is approved",
    "support.return.refused.v1": "The return is refused: {reason}",
    "support.return.received.v1": "The returned goods are received and graded",
    "support.return.relocated.v1": "The returned goods are in the warehouse {warehouse}",
}
