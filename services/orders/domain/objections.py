"""Who may say no, and in which words. Each rule gives its reasons, or none."""

from collections.abc import Callable
from typing import TypeAlias

from services.orders.domain.facts import Facts, Papers, Payment, Stock, Verdict
from services.orders.domain.standing import Standing
from shared.contracts.values import Reason

Objection: TypeAlias = Callable[[Standing], tuple[Reason, ...]]


def stock_objects(order: Standing) -> tuple[Reason, ...]:
    """There is not enough. What is sold already waits instead."""
    if order.refusable and order.facts.stock in (Stock.REFUSED, Stock.LOST):
        return shortages(order.facts)
    return ()


def risk_objects(order: Standing) -> tuple[Reason, ...]:
    """A person said no, or the rules did about an order of our own storefront."""
    facts = order.facts
    if facts.risk is Verdict.REFUSED:
        return (Reason(code="risk.refused", message="refused after review"), *facts.risk_reasons)
    if facts.risk is Verdict.REJECTED and order.from_storefront:
        return facts.risk_reasons or (Reason(code="risk.rejected", message="refused by the rules of risk"),)
    if facts.card is Verdict.REFUSED:
        message = "another card was charged than announced, and a person refused it"
        return (Reason(code="risk.card_refused", message=message), *facts.card_reasons)
    return ()


def customs_objects(order: Standing) -> tuple[Reason, ...]:
    """These goods may not go there."""
    if order.facts.papers is not Papers.PROHIBITED:
        return ()
    return order.facts.findings or (Reason(code="customs.prohibited", message="these goods may not go there"),)


def payment_objects(order: Standing) -> tuple[Reason, ...]:
    """The buyer did not pay."""
    if order.facts.payment is not Payment.DECLINED:
        return ()
    return (order.facts.decline or Reason(code="payment.declined", message="the payment was declined"),)


SILENCES = {
    "inventory": "inventory has not said whether the goods are there",
    "risk": "risk has not said whether the order may go on",
    "logistics": "logistics has not answered",
    "payments": "payments has not said whether the buyer paid",
}


def silence_objects(order: Standing) -> tuple[Reason, ...]:
    """Somebody had to agree, was asked twice, and never answered."""
    return tuple(
        Reason(code=f"{who}.silent", message=SILENCES[who], clears_with="a new order", subject=who)
        for who in sorted(order.facts.given_up)
    )


def objections(order: Standing) -> tuple[Reason, ...]:
    """Every reason, known by now, to refuse an order that is not confirmed."""
    rules = (stock_objects, risk_objects, customs_objects, payment_objects, silence_objects)
    return tuple(reason for objects in rules for reason in objects(order))


# A payment that fails after the confirmation stops nothing by itself: what was promised and withdrawn needs a person.
_LATE: tuple[tuple[Objection, str], ...] = (
    (customs_objects, "customs"),
    (risk_objects, "risk"),
    (stock_objects, "stock"),
)


def late_objection(order: Standing) -> tuple[str, str] | None:
    """(reason, who objects) for an order that is confirmed already, or None."""
    for objects, requested_by in _LATE:
        if reasons := objects(order):
            return reasons[0].code, requested_by
    return None


def shortages(facts: Facts) -> tuple[Reason, ...]:
    """What is missing, SKU by SKU."""
    return tuple(
        Reason(
            code="stock.insufficient",
            message=f"{short.requested} asked for, {short.available} available",
            clears_with="stock",
            subject=short.sku,
        )
        for short in facts.short
    ) or (Reason(code="stock.insufficient", message="some line is short", clears_with="stock"),)
