"""What a return refunds: never more than was paid for its units, never more in all than the order came to."""

from collections.abc import Sequence

from services.support.domain.purchase import Purchase
from services.support.domain.return_policy import refund_of_damaged
from services.support.domain.returns import OrderReturns, Return
from shared.contracts.values import Grade, ReceivedLine
from shared.money import Money


def refund_without_return(purchase: Purchase, returns: OrderReturns, claim: Return) -> Money:
    """The price of all units, which the buyer keeps."""
    worth = purchase.worth_all(claim.units(), returns.settled())
    return _capped(worth, purchase, returns)


def refund_of_received(
    purchase: Purchase, returns: OrderReturns, claim: Return, lines: Sequence[ReceivedLine]
) -> Money:
    """The price of what came back: sellable units in full, damaged ones by policy, missing ones not.

    Of a SKU whose lines had several prices, units count in the order of the lines. What was refunded without waiting for the
    goods is not refunded again.
    """
    if not claim.send_back:
        return Money(0, purchase.currency)
    settled, amount = returns.settled(), 0
    for line in claim.lines:
        before = settled.get(line.sku, 0)
        sellable = _units(lines, line.sku, Grade.SELLABLE)
        damaged = _units(lines, line.sku, Grade.DAMAGED)
        amount += purchase.worth(line.sku, before, sellable).amount
        amount += refund_of_damaged(purchase.worth(line.sku, before + sellable, damaged), line.reason).amount
    return _capped(Money(amount, purchase.currency), purchase, returns)


def _units(lines: Sequence[ReceivedLine], sku: str, grade: Grade) -> int:
    return sum(line.quantity for line in lines if line.sku == sku and line.grade is grade)


def _capped(amount: Money, purchase: Purchase, returns: OrderReturns) -> Money:
    total = purchase.total.amount if purchase.total is not None else 0
    left = total - purchase.refunded_outside - returns.promised()
    return Money(max(0, min(amount.amount, left)), amount.currency)
