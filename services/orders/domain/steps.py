"""What follows from the facts: one pure, total function, so that any order of their arrival ends alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from services.orders.domain.facts import Cancellation, Facts, Papers, Payment, Shipment, Verdict
from services.orders.domain.objections import late_objection, objections
from services.orders.domain.standing import Standing, Status
from shared.contracts.values import Reason


@dataclass(frozen=True, slots=True)
class RequestPayment:
    """Everybody who had to agree did; or a channel has the money of an order that is about to end, and it must go back."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """It is paid for."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Somebody said no before the confirmation."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class AskCancellation:
    """Somebody said no after it. Booking may have begun, so logistics is asked."""

    reason: str
    requested_by: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing will be handed over."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Delivered and paid."""


Step: TypeAlias = RequestPayment | Confirm | Reject | AskCancellation | Cancel | Complete


def next_step(order: Standing) -> Step | None:
    """The one step that the facts allow now; ask again when it is taken."""
    return _STEPS[order.status](order)


def _while_placed(order: Standing) -> Step | None:
    facts = order.facts
    if awaits_booking(order):
        return None if facts.payment_asked else RequestPayment()
    if (end := _early_end(order)) is not None:
        return end
    # Papers may still be missing: the buyer pays, the parcel waits. Whether they can be had at all is awaited.
    if facts.risk is not Verdict.APPROVED or not facts.stock.was_planned:
        return None
    if not facts.payment_asked:
        return RequestPayment() if facts.papers is not Papers.NONE else None
    if facts.paid and _card_is_fine(facts):
        return Confirm()
    return None


def _early_end(order: Standing) -> Reject | Cancel | None:
    """Somebody wants it to end, or said no, before it is confirmed. A wish goes first, whichever came first."""
    if order.facts.cancel_by:
        return Cancel()
    reasons = objections(order)
    return Reject(reasons) if reasons else None


_SETTLED = (Payment.CAPTURED, Payment.DECLINED, Payment.VOIDED)


def awaits_booking(order: Standing) -> bool:
    """It is to end, a channel has the buyer's money, and payments has not booked it: only what is booked goes back."""
    open_ = order.status is Status.PLACED and order.channel_has_money and order.facts.payment not in _SETTLED
    return open_ and _early_end(order) is not None


def _while_confirmed(order: Standing) -> Step | None:
    facts = order.facts
    if facts.cancellation is Cancellation.GRANTED:
        return Cancel()
    if facts.cancellation is Cancellation.NONE and (objection := late_objection(order)) is not None:
        return AskCancellation(*objection)
    if facts.shipment is Shipment.DELIVERED and facts.payment is Payment.CAPTURED:
        return Complete()
    return None


def _nothing_more(order: Standing) -> Step | None:
    return None


_STEPS: dict[Status, Callable[[Standing], Step | None]] = {
    Status.PLACED: _while_placed,
    Status.CONFIRMED: _while_confirmed,
    Status.COMPLETED: _nothing_more,
    Status.REJECTED: _nothing_more,
    Status.CANCELLED: _nothing_more,
}


def _card_is_fine(facts: Facts) -> bool:
    return facts.card is Verdict.APPROVED or (facts.card is Verdict.NONE and facts.card_matches)
