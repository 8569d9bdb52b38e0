"""The transition table is total: every pair of (where an order stands, what it hears) has its answer, written down."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.orders.domain.facts import NOTHING_KNOWN, RECORDERS, Facts, record
from services.orders.domain.order import Order
from services.orders.domain.standing import Status
from shared.contracts import topics
from shared.contracts.orders import HoldCleared, HoldPlaced
from shared.contracts.registry import EVENTS
from shared.errors import Refusal
from tests.builders import orders as b
from tests.unit.orders.world import Wish, events_of

TABLE = Path("services/orders/TRANSITIONS.md")
HEARD = (topics.RESERVATION, topics.ASSESSMENT, topics.CUSTOMS, topics.PAYMENT, topics.REFUND, topics.SHIPMENT)


def told(order: Order, *messages: Any) -> Order:
    for message in messages:
        order.hear(message, b.NOON)
    return order


def agreed() -> Order:
    return told(b.an_order(), b.reserved(), b.approved(), b.cleared())


def confirmed() -> Order:
    return told(agreed(), b.authorised(), b.committed())


def cancelling() -> Order:
    order = told(confirmed(), b.booked())
    order.cancel("changed_mind", "buyer", b.NOON)
    return order


def ending() -> Order:
    order = b.a_sold_order()
    order.cancel("changed_mind", "channel", b.NOON)
    return order


def silenced(order: Order, times: int) -> Order:
    for _ in range(times):
        order.lose_patience(order.patient_until or b.NOON, b.an_announcement())
    return order


def cancelled() -> Order:
    return told(cancelling(), b.shipment_cancelled())


STANDINGS: dict[str, tuple[Callable[[], Order], Status]] = {
    "placed": (b.an_order, Status.PLACED),
    "placed, sold by a channel": (b.a_sold_order, Status.PLACED),
    "to end, and its money at the channel": (ending, Status.PLACED),
    "asked again": (lambda: silenced(b.an_order(), 1), Status.PLACED),
    "sold by a channel, and a person was told": (lambda: silenced(b.a_sold_order(), 2), Status.PLACED),
    "payment requested": (agreed, Status.PLACED),
    "payment requested, and a person was told": (lambda: silenced(agreed(), 2), Status.PLACED),
    "confirmed": (confirmed, Status.CONFIRMED),
    "dispatched": (lambda: told(confirmed(), b.booked(), b.dispatched(), b.captured()), Status.CONFIRMED),
    "cancellation asked": (cancelling, Status.CONFIRMED),
    "completed": (lambda: told(confirmed(), b.dispatched(), b.captured(), b.delivered()), Status.COMPLETED),
    "rejected": (lambda: told(b.an_order(), b.refused()), Status.REJECTED),
    "rejected over a silence": (lambda: silenced(b.an_order(), 2), Status.REJECTED),
    "cancelled": (cancelled, Status.CANCELLED),
}

MESSAGES: dict[str, Any] = {
    "StockReserved": b.reserved(),
    "StockRefused": b.refused(),
    "StockRefused, waiting": b.refused(waiting=True),
    "ReservationCommitted": b.committed(),
    "ReservationBroken": b.broken(),
    "ReservationBroken, waiting": b.broken(waiting=True),
    "ReservationReleased": b.released(),
    "ReservationExpired": b.expired(),
    "StockConsumed": b.consumed(),
    "StockRestocked": b.restocked(),
    "RestockHeld": b.restock_held(),
    "RiskApproved": b.approved(),
    "RiskReviewOpened": b.review_opened(),
    "RiskReviewDecided, yes": b.review_decided(),
    "RiskReviewDecided, no": b.review_decided(approved=False),
    "RiskRejected": b.rejected(),
    "PapersCleared": b.cleared(),
    "PapersHeld": b.held(),
    "PapersProhibited": b.prohibited(),
    "PaymentAuthorised": b.authorised(),
    "PaymentAuthorised, another card": b.authorised(card_matches=False),
    "PaymentActionRequired": b.action_required(),
    "PaymentDeclined": b.declined(),
    "PaymentCaptured": b.captured(),
    "PaymentVoided": b.voided(),
    "PaymentOutcomeUnknown": b.unknown(),
    "PaymentOutcomeUnknown, a person must look": b.unknown(attention="payment.conflicted"),
    "RefundRequested": b.refund_requested(),
    "RefundSucceeded": b.refunded(),
    "RefundFailed": b.refund_failed(),
    "ShipmentBooked": b.booked(),
    "ShipmentDispatched": b.dispatched(),
    "ShipmentTracked": b.tracked(),
    "ShipmentDelivered": b.delivered(),
    "ShipmentException": b.in_trouble(),
    "ShipmentLost": b.lost(),
    "ShipmentCancelled": b.shipment_cancelled(),
    "CancellationRefused": b.cancellation_refused(),
    "ReturnParcelArrived": b.return_arrived(),
    "a wish to cancel": Wish(),
    "silence": None,
}


def test_every_event_of_the_topics_is_recorded_and_tabled() -> None:
    events = {kind for kind in EVENTS.values() if kind.topic in HEARD}
    assert set(RECORDERS) == events
    assert {type(message) for message in MESSAGES.values()} >= events


def test_every_status_is_tabled() -> None:
    assert {status for _, status in STANDINGS.values()} == set(Status)
    for make, status in STANDINGS.values():
        assert make().status is status


def test_the_table_is_what_the_code_does() -> None:
    now, written = table(), TABLE.read_text()
    difference = "\n".join(difflib.unified_diff(written.splitlines(), now.splitlines(), "written", "now", lineterm=""))
    assert now == written, (
        f"the answers changed; if that is meant, write {TABLE} anew (python -m {__name__}):\n{difference}"
    )


@pytest.mark.parametrize("message", list(MESSAGES))
@pytest.mark.parametrize("standing", [name for name, (_, status) in STANDINGS.items() if status.ended])
def test_nothing_follows_once_an_order_has_ended(standing: str, message: str) -> None:
    order = STANDINGS[standing][0]()
    status = order.status
    assert answer(order, MESSAGES[message]) in ("·", "409 order.ended")
    assert order.status is status


def test_an_event_that_no_order_hears_is_an_error() -> None:
    with pytest.raises(LookupError, match="ProductPublished"):
        record(NOTHING_KNOWN, b.a_product())


def test_recording_alone_decides_nothing() -> None:
    for message in MESSAGES.values():
        if type(message) in RECORDERS:
            assert isinstance(record(NOTHING_KNOWN, message), Facts)


def answer(order: Order, message: Any) -> str:
    """What an order publishes, or why it refuses; `·` where it only remembers."""
    if message is None:
        effects: Any = order.lose_patience(order.patient_until or b.NOON, b.an_announcement())
    elif isinstance(message, Wish):
        effects = order.cancel(message.reason, message.requested_by, b.NOON)
    else:
        effects = order.hear(message, b.NOON)
    if isinstance(effects, Refusal):
        return f"409 {effects.code}"
    return ", ".join(words(event) for event in events_of(effects)) or "·"


def words(event: Any) -> str:
    match event:
        case HoldPlaced(code=code):
            return f"hold {code}"
        case HoldCleared(code=code):
            return f"clear {code}"
        case _:
            return f"**{type(event).__name__}**"


def table() -> str:
    lines = [
        "# What an order answers",
        "",
        "Rows are what it hears, columns where it stands; cells are what it publishes. `·`: it only remembers the fact, which may",
        "decide later. Written by `tests/unit/orders/test_transition_table.py`, which fails when the code answers otherwise.",
        "",
        "| | " + " | ".join(STANDINGS) + " |",
        "|---|" + "---|" * len(STANDINGS),
    ]
    for name, message in MESSAGES.items():
        lines.append(f"| {name} | " + " | ".join(answer(make(), message) for make, _ in STANDINGS.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table())
