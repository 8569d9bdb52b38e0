"""What an order comes to: goods from the offers, the rest from the quote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.orders.domain.offer import Offer
from shared.contracts.values import OrderLine, OrderTotals
from shared.errors import Kind, Refusal
from shared.money import Money, total
from shared.quote import QuoteClaims

MOST = 2**53
"""Minor units beyond this are a mistake: no order costs ninety trillion of anything."""


@dataclass(frozen=True, slots=True)
class Wish:
    """So many units of a SKU, at the price of the day or, where it is sold already, at its own."""

    sku: str
    quantity: int
    unit_price: Money | None = None


def priced(wishes: Sequence[Wish], market: str, offers: Mapping[str, Offer]) -> tuple[OrderLine, ...] | Refusal:
    """The lines at the market's prices. Codes: `product.unknown`, `product.withdrawn`, `product.not_sold_here`, `order.mixed_currencies`."""
    refusals = [refusal for wish in wishes if (refusal := _refuse(wish, market, offers)) is not None]
    if refusals:
        return _together(refusals)
    prices = [wish.unit_price or offers[wish.sku].prices[market] for wish in wishes]
    if len({price.currency for price in prices}) > 1:
        return Refusal(
            code="order.mixed_currencies", detail="the lines are priced in different currencies", kind=Kind.INVALID
        )
    return tuple(
        OrderLine(line=number, sku=wish.sku, quantity=wish.quantity, unit_price=price, total=price * wish.quantity)
        for number, (wish, price) in enumerate(zip(wishes, prices, strict=True), start=1)
    )


def totalled(
    lines: Sequence[OrderLine], quote: QuoteClaims | None, shipping: Money | None = None
) -> OrderTotals | Refusal:
    """The totals. What the quote does not promise costs nothing here; `shipping` is what a channel charged for it."""
    currency = lines[0].unit_price.currency
    nothing = Money(0, currency)
    goods = total((line.total for line in lines), currency)
    extras = (
        (quote.shipping, quote.duties, quote.taxes, quote.fees)
        if quote
        else (shipping or nothing, nothing, nothing, nothing)
    )
    sum_of_all = total((goods, *extras), currency)
    if sum_of_all.amount > MOST:
        return Refusal(
            code="order.total_out_of_range", detail="the order's total is beyond any order's", kind=Kind.INVALID
        )
    shipping_, duties, taxes, fees = extras
    return OrderTotals(goods=goods, shipping=shipping_, duties=duties, taxes=taxes, fees=fees, total=sum_of_all)


def refuse_other_total(expected: Money | None, actual: Money) -> Refusal | None:
    """The buyer was shown another total: they must see the new one before they owe it."""
    if expected is None or expected == actual:
        return None
    return Refusal(
        code="order.total_changed",
        detail=f"the order comes to {actual}, not {expected}",
        kind=Kind.CONFLICT,
        clears_with="the buyer's agreement to the new total",
        facts={"expected_total": expected, "total": actual},
    )


def _refuse(wish: Wish, market: str, offers: Mapping[str, Offer]) -> Refusal | None:
    offer = offers.get(wish.sku)
    if offer is None:
        return Refusal(code="product.unknown", detail=f"{wish.sku} is not in the catalog", kind=Kind.INVALID)
    if wish.unit_price is not None:
        return None  # sold already, at that price: what the catalog says today changes nothing
    if offer.withdrawn:
        return Refusal(code="product.withdrawn", detail=f"{wish.sku} is not sold any more", kind=Kind.INVALID)
    if market not in offer.prices:
        return Refusal(code="product.not_sold_here", detail=f"{wish.sku} has no price in {market}", kind=Kind.INVALID)
    return None


def _together(refusals: Sequence[Refusal]) -> Refusal:
    problems = [{"code": refusal.code, "detail": refusal.detail} for refusal in refusals]
    first = refusals[0]
    return Refusal(code=first.code, detail=first.detail, kind=Kind.INVALID, facts={"problems": problems})
