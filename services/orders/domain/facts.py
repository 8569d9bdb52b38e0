"""What is known about an order. Each message records a fact; nothing here decides.

Facts of one topic come in their order, facts of different topics in any. So a fact never depends on another topic's: that
is what lets every order of arrival end alike.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contracts.inventory import (
    ReservationBroken,
    ReservationCommitted,
    ReservationExpired,
    ReservationReleased,
    RestockHeld,
    StockConsumed,
    StockRefused,
    StockReserved,
    StockRestocked,
)
from shared.contracts.logistics import (
    CancellationRefused,
    PapersCleared,
    PapersHeld,
    PapersProhibited,
    ReturnParcelArrived,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentException,
    ShipmentLost,
    ShipmentTracked,
    TrackingStatus,
)
from shared.contracts.payments import (
    CHARGED_TWICE,
    REFUND_BOUNCED,
    PaymentActionRequired,
    PaymentAuthorised,
    PaymentCaptured,
    PaymentDeclined,
    PaymentOutcomeUnknown,
    PaymentVoided,
    RefundFailed,
    RefundRequested,
    RefundSucceeded,
)
from shared.contracts.registry import Event
from shared.contracts.risk import ReviewCause, RiskApproved, RiskRejected, RiskReviewDecided, RiskReviewOpened
from shared.contracts.values import Allocation, Reason, Shortfall


class Stock(StrEnum):
    """What inventory said last."""

    NONE = "none"
    RESERVED = "reserved"
    REFUSED = "refused"
    WAITING = "waiting"  # sold already and short: queues for stock
    EXPIRED = "expired"  # the hold ran out; asked for again when the order is confirmed
    BROKEN = "broken"  # a count took it before it was committed; asked for again when the order is confirmed
    COMMITTED = "committed"
    LOST = "lost"  # a count took it after it was committed: nothing brings it back by itself
    CONSUMED = "consumed"
    RELEASED = "released"

    @property
    def was_planned(self) -> bool:
        """Inventory had a plan for all lines. What expired or broke since is reserved again upon confirmation, or refused then."""
        return self in (Stock.RESERVED, Stock.EXPIRED, Stock.BROKEN, Stock.COMMITTED)


class Verdict(StrEnum):
    """What risk said last, of the order or of the card."""

    NONE = "none"
    APPROVED = "approved"
    REVIEW = "review"
    REFUSED = "refused"  # a person said no
    REJECTED = "rejected"  # the rules said no


class Papers(StrEnum):
    """What customs papers allow."""

    NONE = "none"
    CLEARED = "cleared"
    HELD = "held"
    PROHIBITED = "prohibited"


class Payment(StrEnum):
    """Where the money is. It only moves forward: a late `unknown` takes nothing back."""

    NONE = "none"
    REQUESTED = "requested"
    ACTION = "action"
    UNKNOWN = "unknown"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"


class Shipment(StrEnum):
    """Where the parcels are. Trouble on the way is told apart, because it may pass."""

    NONE = "none"
    BOOKED = "booked"
    CANCELLED = "cancelled"
    DISPATCHED = "dispatched"
    LOST = "lost"
    DELIVERED = "delivered"

    @property
    def handed_over(self) -> bool:
        """The carrier has, or had, the parcels."""
        return self in (Shipment.DISPATCHED, Shipment.LOST, Shipment.DELIVERED)


class Cancellation(StrEnum):
    """The handshake with logistics, which owns the hand-over."""

    NONE = "none"
    ASKED = "asked"
    GRANTED = "granted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was heard about an order, and nothing that follows from it."""

    stock: Stock = Stock.NONE
    allocations: tuple[Allocation, ...] = ()
    short: tuple[Shortfall, ...] = ()
    risk: Verdict = Verdict.NONE
    risk_reasons: tuple[Reason, ...] = ()
    card: Verdict = Verdict.NONE  # only asked where the provider saw another card than was announced
    card_reasons: tuple[Reason, ...] = ()
    card_matches: bool = True
    papers: Papers = Papers.NONE
    findings: tuple[Reason, ...] = ()
    payment_asked: bool = False  # by us, once
    payment: Payment = Payment.NONE
    decline: Reason | None = None
    doubted: str = ""  # the operation (authorise, capture, renew, void) that made the money doubtful
    doubt: Reason | None = None  # why; not for a first outcome that is only unknown: `payment` says so
    action_url: str = ""
    refunded: int = 0  # minor units that went back of what the buyer was to pay
    beside: frozenset[str] = frozenset()  # refunds of what was taken beyond that
    shipment: Shipment = Shipment.NONE
    trouble: Reason | None = None
    cancellation: Cancellation = Cancellation.NONE
    cancel_reason: str = ""
    cancel_by: str = ""
    cancel_refusal: Reason | None = None
    asked: frozenset[str] = frozenset()  # whose answer was missing at the first deadline: they were asked again
    overdue: frozenset[str] = frozenset()  # and is missing at the second: a person was told
    given_up: frozenset[str] = frozenset()  # or the order was ended over it
    complaints: tuple[
        Reason, ...
    ] = ()  # what goes wrong with its channel; the subject is what was told or is to be told
    channel_has_tracking: bool = False
    stock_wait_until: datetime | None = None  # the seller lets it wait for stock until then
    stock_wait_over: bool = False  # and that time has passed

    @property
    def paid(self) -> bool:
        """The money is promised or here. A promise that was lost or is other than asked is none; one that ends soon still is."""
        return self.payment in (Payment.AUTHORISED, Payment.CAPTURED) and self.doubted in ("", RENEWAL)


RENEWAL = "renew"
"""The operation that fails while the promise still stands."""

NOTHING_KNOWN = Facts()


def record(facts: Facts, message: Event) -> Facts:
    """The facts with the message's added. Raises LookupError for an event that no order hears."""
    recorder = RECORDERS.get(type(message))
    if recorder is None:
        raise LookupError(f"{type(message).__name__} is not about an order's life")
    return recorder(facts, message)


def _stock_reserved(facts: Facts, message: StockReserved) -> Facts:
    return replace(facts, stock=Stock.RESERVED, allocations=message.allocations, short=())


def _stock_refused(facts: Facts, message: StockRefused) -> Facts:
    return replace(facts, stock=Stock.WAITING if message.waiting else Stock.REFUSED, short=message.short)


def _reservation_committed(facts: Facts, message: ReservationCommitted) -> Facts:
    return replace(facts, stock=Stock.COMMITTED, short=())


def _reservation_broken(facts: Facts, message: ReservationBroken) -> Facts:
    if message.waiting:
        return replace(facts, stock=Stock.WAITING, short=message.short)
    # Before the commitment inventory hears of the confirmation later and tries again; after it, it will hear nothing more.
    lost = facts.stock in (Stock.COMMITTED, Stock.LOST)
    return replace(facts, stock=Stock.LOST if lost else Stock.BROKEN, short=message.short)


def _reservation_expired(facts: Facts, message: ReservationExpired) -> Facts:
    return replace(facts, stock=Stock.EXPIRED)


def _reservation_released(facts: Facts, message: ReservationReleased) -> Facts:
    return replace(facts, stock=Stock.RELEASED)


def _stock_consumed(facts: Facts, message: StockConsumed) -> Facts:
    return replace(facts, stock=Stock.CONSUMED, short=())


def _risk_approved(facts: Facts, message: RiskApproved) -> Facts:
    return replace(facts, risk=Verdict.APPROVED, risk_reasons=())


def _risk_rejected(facts: Facts, message: RiskRejected) -> Facts:
    return replace(facts, risk=Verdict.REJECTED, risk_reasons=message.reasons)


def _review_opened(facts: Facts, message: RiskReviewOpened) -> Facts:
    if message.cause is ReviewCause.CARD_MISMATCH:
        return replace(facts, card=Verdict.REVIEW, card_reasons=message.reasons)
    return replace(facts, risk=Verdict.REVIEW, risk_reasons=message.reasons)


def _review_decided(facts: Facts, message: RiskReviewDecided) -> Facts:
    verdict = Verdict.APPROVED if message.approved else Verdict.REFUSED
    if message.cause is ReviewCause.CARD_MISMATCH:
        return replace(facts, card=verdict)
    return replace(facts, risk=verdict)


def _papers_cleared(facts: Facts, message: PapersCleared) -> Facts:
    return replace(facts, papers=Papers.CLEARED, findings=())


def _papers_held(facts: Facts, message: PapersHeld) -> Facts:
    return replace(facts, papers=Papers.HELD, findings=message.findings)


def _papers_prohibited(facts: Facts, message: PapersProhibited) -> Facts:
    return replace(facts, papers=Papers.PROHIBITED, findings=message.findings)


_UNDECIDED = (Payment.NONE, Payment.REQUESTED, Payment.ACTION, Payment.UNKNOWN)


def _payment_action_required(facts: Facts, message: PaymentActionRequired) -> Facts:
    if facts.payment not in _UNDECIDED:
        return facts
    return _told(facts, payment=Payment.ACTION, action_url=message.action_url)


def _payment_authorised(facts: Facts, message: PaymentAuthorised) -> Facts:
    payment = Payment.CAPTURED if facts.payment is Payment.CAPTURED else Payment.AUTHORISED
    return _told(facts, payment=payment, card_matches=message.card_matches)


def _payment_declined(facts: Facts, message: PaymentDeclined) -> Facts:
    if facts.payment is Payment.CAPTURED:
        return facts
    return _told(facts, payment=Payment.DECLINED, decline=message.reason)


def _payment_captured(facts: Facts, message: PaymentCaptured) -> Facts:
    return _told(facts, payment=Payment.CAPTURED)


def _payment_voided(facts: Facts, message: PaymentVoided) -> Facts:
    return facts if facts.payment is Payment.CAPTURED else _told(facts, payment=Payment.VOIDED)


def _payment_unknown(facts: Facts, message: PaymentOutcomeUnknown) -> Facts:
    # An unknown renewal, capture or void leaves the promise standing; payments asks and tells.
    undecided = facts.payment in _UNDECIDED
    payment = Payment.UNKNOWN if undecided else facts.payment
    if undecided and message.attention is None:
        return replace(facts, payment=payment)
    return replace(facts, payment=payment, doubted=message.operation, doubt=message.attention or _unknown(message))


def _unknown(message: PaymentOutcomeUnknown) -> Reason:
    return Reason(
        code=f"payment.{message.operation}_unknown",
        message=f"the provider has not said what became of the request to {message.operation}",
        clears_with="the provider's answer",
        subject=message.payment_id,
    )


def _told(facts: Facts, *, action_url: str = "", **changes: Any) -> Facts:
    """Payments says where the money is: nothing is in doubt any more, and the buyer need not act unless it says so."""
    return replace(facts, action_url=action_url, doubted="", doubt=None, **changes)


def _refund_requested(facts: Facts, message: RefundRequested) -> Facts:
    beside = message.reason == CHARGED_TWICE
    return replace(facts, beside=facts.beside | {message.refund_id}) if beside else facts


def _refund_succeeded(facts: Facts, message: RefundSucceeded) -> Facts:
    if message.refund_id in facts.beside:
        return facts
    return replace(facts, refunded=facts.refunded + message.amount.amount)


def _refund_failed(facts: Facts, message: RefundFailed) -> Facts:
    # Payments alarms, whichever it was. What never went changes nothing here; what came back is not with the buyer.
    bounced = message.reason.code == REFUND_BOUNCED and message.refund_id not in facts.beside
    return replace(facts, refunded=facts.refunded - message.amount.amount) if bounced else facts


def _shipment_booked(facts: Facts, message: ShipmentBooked) -> Facts:
    return facts if facts.shipment.handed_over else replace(facts, shipment=Shipment.BOOKED, trouble=None)


def _shipment_dispatched(facts: Facts, message: ShipmentDispatched) -> Facts:
    return replace(facts, shipment=Shipment.DISPATCHED, trouble=None)


_PROGRESS = (
    TrackingStatus.PICKED_UP,
    TrackingStatus.IN_TRANSIT,
    TrackingStatus.OUT_FOR_DELIVERY,
    TrackingStatus.DELIVERED,
)


def _shipment_tracked(facts: Facts, message: ShipmentTracked) -> Facts:
    return replace(facts, trouble=None) if message.status in _PROGRESS else facts


def _shipment_delivered(facts: Facts, message: ShipmentDelivered) -> Facts:
    return replace(facts, shipment=Shipment.DELIVERED, trouble=None)


def _shipment_exception(facts: Facts, message: ShipmentException) -> Facts:
    return facts if facts.shipment is Shipment.DELIVERED else replace(facts, trouble=message.reason)


def _shipment_lost(facts: Facts, message: ShipmentLost) -> Facts:
    return facts if facts.shipment is Shipment.DELIVERED else replace(facts, shipment=Shipment.LOST)


def _shipment_cancelled(facts: Facts, message: ShipmentCancelled) -> Facts:
    if facts.shipment.handed_over:
        return facts
    asked = facts.cancellation is Cancellation.ASKED
    return replace(
        facts,
        shipment=Shipment.CANCELLED,
        cancellation=Cancellation.GRANTED if asked else facts.cancellation,
        trouble=None,
    )


def _cancellation_refused(facts: Facts, message: CancellationRefused) -> Facts:
    return replace(facts, cancellation=Cancellation.REFUSED, cancel_refusal=message.reason)


def _nothing_new(facts: Facts, message: Event) -> Facts:
    return facts


RECORDERS: dict[type[Event], Callable[[Facts, Any], Facts]] = {
    StockReserved: _stock_reserved,
    StockRefused: _stock_refused,
    ReservationCommitted: _reservation_committed,
    ReservationBroken: _reservation_broken,
    ReservationExpired: _reservation_expired,
    ReservationReleased: _reservation_released,
    StockConsumed: _stock_consumed,
    StockRestocked: _nothing_new,
    RestockHeld: _nothing_new,
    RiskApproved: _risk_approved,
    RiskRejected: _risk_rejected,
    RiskReviewOpened: _review_opened,
    RiskReviewDecided: _review_decided,
    PapersCleared: _papers_cleared,
    PapersHeld: _papers_held,
    PapersProhibited: _papers_prohibited,
    PaymentActionRequired: _payment_action_required,
    PaymentAuthorised: _payment_authorised,
    PaymentDeclined: _payment_declined,
    PaymentCaptured: _payment_captured,
    PaymentVoided: _payment_voided,
    PaymentOutcomeUnknown: _payment_unknown,
    RefundRequested: _refund_requested,
    RefundSucceeded: _refund_succeeded,
    RefundFailed: _refund_failed,
    ShipmentBooked: _shipment_booked,
    ShipmentDispatched: _shipment_dispatched,
    ShipmentTracked: _shipment_tracked,
    ShipmentDelivered: _shipment_delivered,
    ShipmentException: _shipment_exception,
    ShipmentLost: _shipment_lost,
    ShipmentCancelled: _shipment_cancelled,
    CancellationRefused: _cancellation_refused,
    ReturnParcelArrived: _nothing_new,
}
"""Total: a test compares it with the events that inventory, risk, payments and logistics publish about orders."""
