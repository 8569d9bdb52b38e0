"""Recorded lives of orders: what they heard, what they told, and the row that was stored after every step.

A version records its sagas once (`scripts/sagas.py`). Every later one must bring them to the same end: the whole life, and
also what is left of it from any stored row on, for an upgrade finds orders in the middle of their lives.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from services.orders.domain.axes import fulfilment_status, payment_status
from services.orders.domain.holds import Hold
from services.orders.domain.order import Order
from services.orders.domain.patience import USUAL, Patience
from services.orders.domain.standing import PaymentTerms, Status
from services.orders.rows import facts_from_json, facts_to_json, reasons_from_json
from shared.contracts.orders import (
    HoldPlaced,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
)
from shared.contracts.payments import REFUND_BOUNCED
from shared.contracts.registry import Event
from shared.effects import Effect
from shared.errors import Refusal
from shared.jsonable import dumps
from shared.messaging.codec import decode_data
from tests.builders import orders as b
from tests.builders.orders import NOON, an_announcement
from tests.unit.orders.test_any_order_of_arrival import BOOKED_AND_BACK, CAPTURED, KEPT, PATHS, RACES, SHIPPED
from tests.unit.orders.world import After, Silence, Wish, after

FOLDER = Path(__file__).parent / "sagas"
Json = dict[str, Any]

_terms: TypeAdapter[PaymentTerms] = TypeAdapter(PaymentTerms)
_patience: TypeAdapter[Patience] = TypeAdapter(Patience)
_placed: TypeAdapter[OrderPlaced] = TypeAdapter(OrderPlaced)


_FURTHER: dict[str, tuple[Order, Sequence[Sequence[Any]]]] = {
    "silent until it was given up, and answered too late": (
        b.an_order(),
        ([b.approved()], [Silence(), Silence()], [after(OrderRejected, b.reserved()), b.released()]),
    ),
    "sold by a channel, silent until a person was told, and answered": (
        b.a_sold_order(),
        (
            [Silence(), Silence()],
            [after(HoldPlaced, b.reserved()), after(OrderConfirmed, b.committed())],
            [after(HoldPlaced, b.approved())],
            [after(HoldPlaced, b.cleared())],
            BOOKED_AND_BACK,
        ),
    ),
    "cancelled before anything was heard": (
        b.an_order(),
        ([Wish()], [after(OrderCancelled, b.reserved()), b.released()], [after(OrderCancelled, b.approved())]),
    ),
    "returned, restocked and refunded, and the money came back": (
        b.an_order(),
        (
            (*KEPT, b.consumed(), after(OrderCompleted, b.restock_held()), b.restocked()),
            [b.approved()],
            [b.cleared()],
            CAPTURED,
            (*SHIPPED, b.return_arrived()),
            (after(OrderCompleted, b.refund_requested()), b.refunded(), b.refund_failed(code=REFUND_BOUNCED)),
        ),
    ),
}


def lives() -> dict[str, tuple[Order, Sequence[Sequence[Any]]]]:
    """Every path that the tests of the arrival know, races included; and what no path of theirs hears."""
    paths = {name: (order, topics) for name, (order, _, _, topics) in PATHS.items()}
    races = {name: (order, topics) for name, (order, _, topics) in RACES.items()}
    return {**paths, **races, **_FURTHER}


# ── Recording ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def record(fresh: Order, topics: Sequence[Sequence[Any]]) -> Json:
    """The life of an order of that kind that hears the topics in turn, each event when its cause was published."""
    placed = an_announcement(fresh.id, channel=fresh.channel, refusable=fresh.refusable, payment_mode=fresh.terms.mode)
    order = Order.place(placed, fresh.terms, NOON, USUAL)
    published: list[Event] = []
    steps = [_step(order, {"begin": NOON.isoformat()}, placed, published)]
    heard = [0] * len(topics)
    while (place := _next(heard, topics, published)) is not None:
        message = _message(topics[place][heard[place]], order)
        steps.append(_step(order, message, placed, published))
        heard[place] += 1
    return {
        "placed": _plain(placed),
        "terms": _plain(order.terms),
        "patience": _patience.dump_python(USUAL, mode="json"),
        "steps": steps,
        "end": end_of(order),
    }


def _next(heard: Sequence[int], topics: Sequence[Sequence[Any]], published: Sequence[Event]) -> int | None:
    """The topic that is furthest behind and has something that may be heard."""
    may = [
        place
        for place, topic in enumerate(topics)
        if heard[place] < len(topic) and _may_hear(topic[heard[place]], published)
    ]
    return min(may, key=lambda place: (heard[place], place), default=None)


def _may_hear(found: Any, published: Sequence[Event]) -> bool:
    return not isinstance(found, After) or any(isinstance(event, found.cause) for event in published)


def _message(found: Any, order: Order) -> Json:
    message = found.event if isinstance(found, After) else found
    match message:
        case Wish(reason, requested_by):
            return {"cancel": {"reason": reason, "requested_by": requested_by}}
        case Silence():
            return {"deadline": (order.patient_until or NOON).isoformat()}
        case _:
            return {"type": message.event_type, "data": _plain(message)}


def _step(order: Order, message: Json, placed: OrderPlaced, published: list[Event]) -> Json:
    told = take(order, message, placed)
    published += told
    return {**message, "told": [event.event_type for event in told], "row": _row(order)}


# ── Replaying ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def take(order: Order, message: Mapping[str, Any], placed: OrderPlaced) -> list[Event]:
    """Let an order take one recorded message in; what it tells. A refusal of a wish tells nothing."""
    effects: Sequence[Effect] | Refusal
    if "begin" in message:
        effects = order.advance(datetime.fromisoformat(message["begin"]))
    elif "cancel" in message:
        effects = order.cancel(message["cancel"]["reason"], message["cancel"]["requested_by"], NOON)
    elif "deadline" in message:
        effects = order.lose_patience(datetime.fromisoformat(message["deadline"]), placed)
    else:
        event = decode_data(message["type"], json.dumps(message["data"]))
        if event is None:
            raise LookupError(f"{message['type']} is known no more, and orders of that time still hear it")
        effects = order.hear(event, NOON)
    return [] if isinstance(effects, Refusal) else [effect for effect in effects if isinstance(effect, Event)]


def begun(saga: Json) -> tuple[Order, OrderPlaced]:
    """The order before its first step, and how it was announced."""
    placed = _placed.validate_python(saga["placed"])
    patience = _patience.validate_python(saga["patience"])  # of that time: deadlines came when they did
    return Order.place(placed, _terms.validate_python(saga["terms"]), NOON, patience), placed


def revived(saga: Json, row: Json) -> tuple[Order, OrderPlaced]:
    """The order as a row of that time has it, and how it was announced."""
    order, placed = begun(saga)
    order.status = Status(row["status"])
    order.facts = facts_from_json(row["facts"])
    order.reasons = reasons_from_json(row["reasons"])
    order.awaits = row["awaits"]
    order.patient_until = datetime.fromisoformat(row["patient_until"]) if row["patient_until"] else None
    order.holds = {
        code: Hold(reasons_from_json(hold["reasons"]), datetime.fromisoformat(hold["since"]))
        for code, hold in row["holds"].items()
    }
    return order, placed


def end_of(order: Order) -> Json:
    """Where an order stands, on all its axes."""
    return {
        "status": order.status.value,
        "payment_status": payment_status(order.facts, order.total.amount),
        "fulfilment_status": fulfilment_status(order.facts),
        "holds": sorted(order.holds),
        "reasons": [reason.code for reason in order.reasons],
        "facts": _facts(order),
    }


def _row(order: Order) -> Json:
    return {
        "status": order.status.value,
        "facts": _facts(order),
        "reasons": _plain(order.reasons),
        "awaits": order.awaits,
        "patient_until": order.patient_until.isoformat() if order.patient_until else None,
        "holds": {
            code: {"reasons": _plain(hold.reasons), "since": hold.since.isoformat()}
            for code, hold in sorted(order.holds.items())
        },
    }


def _facts(order: Order) -> Json:
    return _plain(facts_to_json(order.facts))


def _plain(value: Any) -> Any:
    return json.loads(dumps(value))
