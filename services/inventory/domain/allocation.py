"""From which warehouses an order is served.

One plan is checked, reserved and consumed: medusa #14987 and #16338 check the sum over all places, reserve in the
first and ship from another.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from services.inventory.domain.stock import StockItem
from services.inventory.domain.warehouse import Warehouse
from shared.contracts.values import Allocation, OrderLine, Shortfall

# Up to so many warehouses every combination is tried (at most 4,095); beyond, the largest share goes first.
_TRY_ALL = 12


@dataclass(frozen=True, slots=True)
class Shortage:
    """The order cannot be served whole: what is missing, by SKU."""

    short: tuple[Shortfall, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """What one warehouse could give to this order: units by SKU, never more than is asked for."""

    warehouse: Warehouse
    units: Mapping[str, int]


def demand_of(lines: Iterable[OrderLine]) -> dict[str, int]:
    """Units by SKU. The same SKU on two lines is one demand (medusa #16502, vendure #1028).

    Raises ValueError for a quantity below one.
    """
    demand: dict[str, int] = {}
    for line in lines:
        if line.quantity < 1:
            raise ValueError(f"line {line.line} asks for {line.quantity} of {line.sku}")
        demand[line.sku] = demand.get(line.sku, 0) + line.quantity
    return demand


def units_of(parts: Iterable[Allocation]) -> dict[str, int]:
    """Units by SKU of a plan."""
    units: dict[str, int] = {}
    for part in parts:
        units[part.sku] = units.get(part.sku, 0) + part.quantity
    return units


def plan_allocation(
    demand: Mapping[str, int], items: Mapping[str, StockItem], warehouses: Mapping[str, Warehouse], country: str
) -> tuple[Allocation, ...] | Shortage:
    """All of the demand from the best warehouses for a buyer in `country`, or what is short.

    One warehouse that holds everything is best, in the buyer's country first; else as few parcels as can be; what is
    left equal is decided by the warehouse's code. Parts and shortfalls come by SKU, whatever the order of the basket.
    """
    demand = dict(sorted(demand.items()))
    offers = sorted(_offers(demand, items, warehouses, country), key=lambda offer: _preference(offer, country))
    short = tuple(_shortfalls(demand, offers))
    if short:
        return Shortage(short)
    return tuple(_draw(demand, fewest_parcels(demand, offers)))


def fewest_parcels(demand: Mapping[str, int], offers: Sequence[Offer]) -> Sequence[Offer]:
    """The smallest set of warehouses that covers the demand, the preferred ones first; together the offers must cover it.

    One warehouse that holds everything is the smallest set there is.
    """
    if len(offers) > _TRY_ALL:
        return _largest_first(demand, offers)
    sizes = range(1, len(offers) + 1)
    return next(chosen for size in sizes for chosen in combinations(offers, size) if _covers(demand, chosen))


def _preference(offer: Offer, country: str) -> tuple[bool, str]:
    return offer.warehouse.country != country, offer.warehouse.code


def _offers(
    demand: Mapping[str, int], items: Mapping[str, StockItem], warehouses: Mapping[str, Warehouse], country: str
) -> Iterator[Offer]:
    units: dict[str, dict[str, int]] = {}
    for sku, wanted in demand.items():
        item = items.get(sku)
        for code, level in item.levels.items() if item else ():
            if level.available > 0 and warehouses[code].serves(country):
                units.setdefault(code, {})[sku] = min(wanted, level.available)
    return (Offer(warehouses[code], by_sku) for code, by_sku in units.items())


def _offered(sku: str, offers: Iterable[Offer]) -> int:
    return sum(offer.units.get(sku, 0) for offer in offers)


def _covers(demand: Mapping[str, int], offers: Sequence[Offer]) -> bool:
    return all(_offered(sku, offers) >= wanted for sku, wanted in demand.items())


def _shortfalls(demand: Mapping[str, int], offers: Sequence[Offer]) -> Iterator[Shortfall]:
    for sku, wanted in demand.items():
        offered = _offered(sku, offers)
        if offered < wanted:
            yield Shortfall(sku=sku, requested=wanted, available=offered)


def _largest_first(demand: Mapping[str, int], offers: Sequence[Offer]) -> Sequence[Offer]:
    chosen: list[Offer] = []
    missing = dict(demand)
    rest = list(offers)
    while any(missing.values()):
        best = max(rest, key=lambda offer: sum(min(units, missing[sku]) for sku, units in offer.units.items()))
        rest.remove(best)
        chosen.append(best)
        missing = {sku: max(0, wanted - best.units.get(sku, 0)) for sku, wanted in missing.items()}
    return chosen


def _draw(demand: Mapping[str, int], chosen: Sequence[Offer]) -> Iterator[Allocation]:
    for sku, wanted in demand.items():
        missing = wanted
        for offer in chosen:
            taken = min(missing, offer.units.get(sku, 0))
            if taken:
                missing -= taken
                yield Allocation(
                    sku=sku, warehouse=offer.warehouse.code, country=offer.warehouse.country, quantity=taken
                )
