"""What keeps an order from going on. Holds are derived from the facts, so each appears and clears by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from services.orders.domain.facts import Cancellation, Facts, Papers, Payment, Shipment, Stock, Verdict
from services.orders.domain.objections import (
    SILENCES,
    Objection,
    customs_objects,
    risk_objects,
    shortages,
    stock_objects,
)
from services.orders.domain.standing import Standing, Status
from shared.contracts.values import Reason

WAIT, CANCEL = "wait", "cancel"
"""The decisions about what is sold and short."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The reasons, and since when there is one."""

    reasons: tuple[Reason, ...]
    since: datetime


def holds_of(order: Standing) -> dict[str, tuple[Reason, ...]]:
    """The reasons of every hold, by code. An order that has ended is held by nothing."""
    if order.status.ended:
        return {}
    found = {code: rule(order) for code, rule in HOLDS.items()}
    return {code: reasons for code, reasons in found.items() if reasons}


def risk_review(order: Standing) -> tuple[Reason, ...]:
    """A person looks at the order, or at the card that was charged."""
    facts = order.facts
    if Verdict.REVIEW not in (facts.risk, facts.card):
        return _ending(order, risk_objects)
    reviews = (facts.risk, facts.risk_reasons), (facts.card, facts.card_reasons)
    reasons = tuple(reason for verdict, reasons in reviews if verdict is Verdict.REVIEW for reason in reasons)
    return reasons or (Reason(code="risk.review", message="a person looks at it", clears_with="the review's decision"),)


def customs_papers(order: Standing) -> tuple[Reason, ...]:
    """Papers are missing. Each finding says what would clear it."""
    if order.facts.papers is Papers.HELD:
        return order.facts.findings or (Reason(code="customs.held", message="papers are missing"),)
    return _ending(order, customs_objects)


def payment_action(order: Standing) -> tuple[Reason, ...]:
    """The buyer must act, as in 3-D Secure."""
    if order.facts.payment is not Payment.ACTION:
        return ()
    return (
        Reason(
            code="payment.action", message="the buyer must confirm the payment", clears_with="the buyer's confirmation"
        ),
    )


def stock_short(order: Standing) -> tuple[Reason, ...]:
    """It is sold, and short."""
    stock = order.facts.stock
    if stock is Stock.WAITING or (stock in (Stock.REFUSED, Stock.LOST) and not order.refusable):
        return shortages(order.facts)
    return _ending(order, stock_objects)


def stock_choices(facts: Facts) -> tuple[str, ...]:
    """What the seller may decide about an order that lacks stock. None while it is about to end, or where it has left."""
    open_ = facts.cancellation is Cancellation.NONE and not facts.shipment.handed_over
    return (WAIT, CANCEL) if open_ else ()


def needs_attention(order: Standing) -> tuple[Reason, ...]:
    """No rule knows how this goes on; a person does."""
    return tuple(reason for rule in _ATTENTION for reason in rule(order))


HOLDS: dict[str, Callable[[Standing], tuple[Reason, ...]]] = {
    "risk_review": risk_review,
    "customs_papers": customs_papers,
    "payment_action": payment_action,
    "stock": stock_short,
    "needs_attention": needs_attention,
}


def _ending(order: Standing, objects: Objection) -> tuple[Reason, ...]:
    """An objection holds an order that cannot end at once: until logistics, or payments about a channel's money, has answered."""
    asked = order.status is Status.PLACED or order.facts.cancellation is Cancellation.ASKED
    return objects(order) if asked else ()


def _silence(order: Standing) -> tuple[Reason, ...]:
    return tuple(
        Reason(code=f"{who}.silent", message=SILENCES[who], clears_with=f"an answer of {who}", subject=who)
        for who in sorted(order.facts.overdue)
    )


def _money_in_doubt(order: Standing) -> tuple[Reason, ...]:
    if order.facts.doubt is not None:
        return (order.facts.doubt,)
    if order.facts.payment is Payment.VOIDED:
        return (
            Reason(code="payment.voided", message="the promised payment was given back", clears_with="a new payment"),
        )
    if order.facts.payment is Payment.DECLINED and order.status is Status.CONFIRMED:
        return (Reason(code="payment.withdrawn", message="the payment failed after all", clears_with="a new payment"),)
    return ()


def _risk_rejects_what_is_sold(order: Standing) -> tuple[Reason, ...]:
    if order.facts.risk is not Verdict.REJECTED or order.from_storefront:
        return ()
    return order.facts.risk_reasons or (Reason(code="risk.rejected", message="the rules of risk say no"),)


def _parcel_in_trouble(order: Standing) -> tuple[Reason, ...]:
    facts = order.facts
    if facts.trouble is not None:
        return (facts.trouble,)
    if facts.shipment is Shipment.LOST and not facts.refunded:
        return (Reason(code="shipment.lost", message="the carrier gave a parcel up", clears_with="a refund or a find"),)
    if facts.shipment is Shipment.CANCELLED and facts.cancellation is Cancellation.NONE:
        return (
            Reason(code="shipment.cancelled", message="the shipment is off, the order is not", clears_with="a booking"),
        )
    return ()


def _channel_in_trouble(order: Standing) -> tuple[Reason, ...]:
    return order.facts.complaints


def _waited_in_vain(order: Standing) -> tuple[Reason, ...]:
    if not order.facts.stock_wait_over or not stock_short(order):
        return ()
    message = "the time that the seller let it wait for stock is over"
    return (Reason(code="stock.wait_over", message=message, clears_with="stock, or another decision"),)


ATTENTION_REASONS = frozenset(
    {f"{who}.silent" for who in SILENCES}
    | {f"payment.{operation}_unknown" for operation in ("authorise", "capture", "renew", "void")}
    | {"payment.conflicted", "payment.promise_lost", "payment.promise_expiring", "payment.capture_failed"}
    | {"payment.charge_missing", "payment.dispatched_unpaid", "payment.voided", "payment.withdrawn"}
    | {"shipment.lost", "shipment.cancelled", "shipment.quantity_mismatch", "shipment.no_service", "label.refused"}
    | {"parcel.damaged", "parcel.delivery_failed", "parcel.returned", "recipient.missing"}
    | {"risk.rejected"}
    | {"channel.refused", "channel.silent", "channel.ship_by_nears", "channel.ship_by_missed"}
    | {"stock.wait_over"}
)
"""The codes that are counted one by one; every other (a rule of risk, a newer service's) counts as other."""

_ATTENTION = (
    _silence,
    _money_in_doubt,
    _risk_rejects_what_is_sold,
    _parcel_in_trouble,
    _channel_in_trouble,
    _waited_in_vain,
)
