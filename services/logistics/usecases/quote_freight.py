"""What sending these goods there would cost, service by service: freight from the tariffs, thin in duties and taxes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from services.logistics.domain.carriers import CarrierBook, Choice, Load, NoneFits, choose_service
from services.logistics.domain.goods import Goods, Product
from services.logistics.domain.rules import Rulebook
from shared.contracts.values import Destination, ServiceLevel
from shared.errors import Kind, Refusal
from shared.money import Money

DUTIES_NOTE = "Duties and import taxes are not in this quote: the landed cost is not computed yet, the carrier collects what is due."


@dataclass(frozen=True, slots=True, kw_only=True)
class FreightRequest:
    """What is to go where. `origin` is the country that it would leave from."""

    destination: Destination
    lines: tuple[tuple[str, int], ...]  # (sku, quantity)
    service: ServiceLevel
    currency: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FreightOption:
    """A service level, who would carry it, for how much, in how many days."""

    level: ServiceLevel
    choice: Choice
    price: Money


def quote_freight(
    request: FreightRequest, products: Mapping[str, Product], rulebook: Rulebook, carriers: CarrierBook, day: date
) -> tuple[FreightOption, ...] | Refusal:
    """The wanted level first, then the others that are possible. Refused when the wanted one is not."""
    unknown = sorted(sku for sku, _ in request.lines if sku not in products or products[sku].withdrawn)
    if unknown:
        return _no("quote.unknown_product", f"not for sale: {', '.join(unknown)}", "products that are for sale")
    weightless = sorted({sku for sku, _ in request.lines if products[sku].weight_grams <= 0})
    if weightless:
        return _no("weight.missing", f"no weight is known of {', '.join(weightless)}", "a weight in the catalog")
    if request.currency not in carriers.rates:
        return _no("quote.currency", f"there is no rate for {request.currency}", "another currency")
    goods = tuple(Goods(product=products[sku], quantity=quantity) for sku, quantity in request.lines)
    levels = (request.service, *(level for level in ServiceLevel if level is not request.service))
    options = [_option(request, level, goods, rulebook, carriers, day) for level in levels]
    wanted, *others = options
    if isinstance(wanted, NoneFits):
        words = "; ".join(reason.message for reason in wanted.refused)
        return _no("quote.no_service", f"nobody carries this {request.service} to there: {words}", "another service")
    return (wanted, *(option for option in others if not isinstance(option, NoneFits)))


def _option(
    request: FreightRequest,
    level: ServiceLevel,
    goods: tuple[Goods, ...],
    rulebook: Rulebook,
    carriers: CarrierBook,
    day: date,
) -> FreightOption | NoneFits:
    load = Load(
        goods=goods,
        gross_grams=carriers.gross(goods),
        origin=request.origin,
        destination=request.destination.country,
        level=level,
        value=Money(0, request.currency),  # prices are the catalog's and orders' business
    )
    choice = choose_service(load, carriers, rulebook.limits_on(day))
    if isinstance(choice, NoneFits):
        return choice
    price = carriers.convert(choice.cost, request.currency)
    return NoneFits(()) if price is None else FreightOption(level=level, choice=choice, price=price)


def _no(code: str, detail: str, clears_with: str) -> Refusal:
    return Refusal(code=code, detail=detail, kind=Kind.INVALID, clears_with=clears_with)
