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


_MIXED = Refusal(
    code="order.mixed_currencies", detail="the order's parts are in different currencies", kind=Kind.INVALID
)


@dataclass(frozen=True, slots=True)
class Wish:
    """So many units of a SKU, at the price of the day or, where it is sold already, at its own."""

    sku: str
    quantity: int
    unit_price: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Where something is sold: by which store, in which market, and in which currency where the market has several."""

    store_id: str
    market: str
    currency: str = ""


def priced(wishes: Sequence[Wish], counter: Counter, offers: Mapping[str, Offer]) -> tuple[OrderLine, ...] | Refusal:
    """The lines with their prices. Codes: `product.unknown`, `product.withdrawn`, `product.not_sold_here`, `order.mixed_currencies`."""
    found = [_price(wish, counter, offers.get(wish.sku)) for wish in wishes]
    refusals = [price for price in found if isinstance(price, Refusal)]
    if refusals:
        return _together(refusals)
    prices = [price for price in found if isinstance(price, Money)]
    if len({price.currency for price in prices}) > 1:
        return _MIXED
    return tuple(
        OrderLine(line=number, sku=wish.sku, quantity=wish.quantity, unit_price=price, total=price * wish.quantity)
        for number, (wish, price) in enumerate(zip(wishes, prices, strict=True), start=1)
    )


def totalled(
    lines: Sequence[OrderLine], quote: QuoteClaims | None, shipping: Money | None = None, taxes: Money | None = None
) -> OrderTotals | Refusal:
    """The totals. What the quote does not promise costs nothing here; `shipping` and `taxes` are what a channel charged.

    Codes: `order.mixed_currencies`, `order.total_out_of_range`.
    """
    currency = lines[0].unit_price.currency
    nothing = Money(0, currency)
    if quote is None:
        extras = (shipping or nothing, nothing, taxes or nothing, nothing)
    else:
        extras = (quote.shipping, quote.duties, quote.taxes, quote.fees)
    if any(extra.currency != currency for extra in extras):
        return _MIXED
    goods = total((line.total for line in lines), currency)
    sum_of_all = total((goods, *extras), currency)
    if sum_of_all.amount > MOST:
        return Refusal(
            code="order.total_out_of_range", detail="the order's total is beyond any order's", kind=Kind.INVALID
        )
    charged, duties, taxes, fees = extras
    return OrderTotals(goods=goods, shipping=charged, duties=duties, taxes=taxes, fees=fees, total=sum_of_all)


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


def _price(wish: Wish, counter: Counter, offer: Offer | None) -> Money | Refusal:
    if offer is None or offer.store_id != counter.store_id:
        return Refusal(code="product.unknown", detail=f"{wish.sku} is not in the catalog", kind=Kind.INVALID)
    if wish.unit_price is not None:
        return wish.unit_price  # sold already, at that price: what the catalog says today changes nothing
    if offer.withdrawn:
        return Refusal(code="product.withdrawn", detail=f"{wish.sku} is not sold any more", kind=Kind.INVALID)
    price = offer.price(counter.market, counter.currency)
    if price is None:
        where = f"{counter.market} in {counter.currency}" if counter.currency else counter.market
        return Refusal(code="product.not_sold_here", detail=f"{wish.sku} has no price in {where}", kind=Kind.INVALID)
    return price


def _together(refusals: Sequence[Refusal]) -> Refusal:
    problems = [{"code": refusal.code, "detail": refusal.detail} for refusal in refusals]
    first = refusals[0]
    return Refusal(code=first.code, detail=first.detail, kind=Kind.INVALID, facts={"problems": problems})
