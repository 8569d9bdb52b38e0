"""Prices: what the seller enters, and what the buyer in that market sees.

What the buyer sees is what the event carries, so that shop, order and invoice tell the same amount.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.catalog.domain.market import Market, MarketBook
from shared.contracts.catalog import MarketPrice
from shared.errors import Kind, Refusal
from shared.money import Money

_WHOLE_BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredPrice:
    """A price as the seller states it.

    `tax_included` None means as the market shows it. `tax_rate_bps` is the product's own rate where it is not the standard
    one (books, food). `foreign_currency` states that a currency other than the market's is meant.
    """

    market: str
    price: Money
    tax_included: bool | None = None
    tax_rate_bps: int | None = None
    foreign_currency: bool = False


def shown_prices(entered: Sequence[EnteredPrice], markets: MarketBook, day: date) -> tuple[MarketPrice, ...] | Refusal:
    """The prices that buyers see on that day, by market, the market's own currency first; or why one is refused."""
    shown: dict[tuple[str, bool, str], MarketPrice] = {}
    for index, price in enumerate(entered):
        market = markets.find(price.market)
        if market is None:
            return _refuse("price.unknown_market", f"there is no market {price.market}", index, "market")
        foreign = price.price.currency != market.currency
        key = (market.code, foreign, price.price.currency)
        if key in shown:
            return _refuse(
                "price.duplicate", f"{market.code} has two prices in {price.price.currency}", index, "market"
            )
        result = _shown(price, market, day, index)
        if isinstance(result, Refusal):
            return result
        shown[key] = result
    return tuple(shown[key] for key in sorted(shown))


def without_tax(price: MarketPrice) -> Money:
    """The part of a shown price that is not tax; half a minor unit rounds up."""
    if not price.tax_included:
        return price.price
    return price.price.scale(Decimal(_WHOLE_BPS) / Decimal(_WHOLE_BPS + price.tax_rate_bps))


def _shown(entered: EnteredPrice, market: Market, day: date, index: int) -> MarketPrice | Refusal:
    if entered.price.currency != market.currency and not entered.foreign_currency:
        return _refuse(
            "price.currency_mismatch", f"{market.code} sells in {market.currency}, the price is in {entered.price.currency}", index,
            "price", clears_with="foreign_currency: true, where it is meant",
        )  # fmt: skip
    rate = _rate(entered, market, day)
    shows_included = market.shows_tax_included and rate is not None
    included = shows_included if entered.tax_included is None else entered.tax_included
    if included and rate is None:
        return _refuse(
            "price.tax_rate_unknown", f"no single tax rate is known for {market.code}, so none can be inside the price", index,
            "tax_rate_bps", clears_with="tax_rate_bps, or a price without tax",
        )  # fmt: skip
    price = _turn(entered.price, included, shows_included, rate or 0)
    return MarketPrice(
        market=market.code, price=price, tax_included=shows_included, tax_rate_bps=rate or 0 if shows_included else 0
    )


def _rate(entered: EnteredPrice, market: Market, day: date) -> int | None:
    if entered.tax_rate_bps is not None:
        return entered.tax_rate_bps
    standard = market.rate_on(day)
    return standard.bps if standard else None


def _turn(price: Money, included: bool, wanted: bool, rate: int) -> Money:
    if included == wanted:
        return price
    with_tax, without = Decimal(_WHOLE_BPS + rate), Decimal(_WHOLE_BPS)
    return price.scale(with_tax / without if wanted else without / with_tax)


def _refuse(code: str, detail: str, index: int, field: str, clears_with: str | None = None) -> Refusal:
    facts = {"pointer": f"/prices/{index}/{field}"}
    return Refusal(code=code, detail=detail, kind=Kind.INVALID, clears_with=clears_with, facts=facts)
