"""From allocations to parcels: one a warehouse, each with the service that is chosen for it."""

from collections import Counter, defaultdict
from datetime import datetime

from services.logistics.domain.carriers import Choice, Load, NoneFits, choose_service
from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk
from services.logistics.domain.parcels import Box, Way
from shared.contracts.values import Allocation, Reason
from shared.ids import derive_id
from shared.money import Money, total


def pack(consignment: Consignment, desk: Desk, at: datetime) -> list[Box] | Reason:
    """A parcel for every warehouse; or why not: the goods are not those of the order, or nobody carries them."""
    if (mismatch := _mismatch(consignment)) is not None:
        return mismatch
    by_warehouse: dict[str, list[Allocation]] = defaultdict(list)
    for allocation in consignment.allocations:
        by_warehouse[allocation.warehouse].append(allocation)
    limits = desk.rulebook.limits_on(at.date())
    boxes: list[Box] = []
    for warehouse, items in sorted(by_warehouse.items()):
        load = _load(consignment, items, desk)
        choice = choose_service(load, desk.carriers, limits)
        if isinstance(choice, NoneFits):
            return _nobody(warehouse, choice)
        boxes.append(_box(consignment, warehouse, tuple(items), load, choice))
    return boxes


def _mismatch(consignment: Consignment) -> Reason | None:
    """Packing list and invoice say the same, or nothing is sent."""
    ordered, allocated = Counter[str](), Counter[str]()
    for line in consignment.facts.lines:
        ordered[line.sku] += line.quantity
    for allocation in consignment.allocations:
        allocated[allocation.sku] += allocation.quantity
    wrong = sorted(sku for sku in ordered | allocated if ordered[sku] != allocated[sku])
    if not wrong:
        return None
    sku = wrong[0]
    return Reason(
        code="shipment.quantity_mismatch",
        message=f"{ordered[sku]} of {sku} were ordered and {allocated[sku]} are allocated",
        clears_with="a new confirmation of the order with what was ordered; then book again",
        subject=sku,
    )


def _load(consignment: Consignment, items: list[Allocation], desk: Desk) -> Load:
    goods = desk.goods([(item.sku, item.quantity) for item in items])
    return Load(
        goods=goods,
        gross_grams=desk.carriers.gross(goods),
        origin=items[0].country,
        destination=consignment.facts.destination.country,
        level=consignment.facts.service,
        value=_value(consignment, items),
    )


def _value(consignment: Consignment, items: list[Allocation]) -> Money:
    """What the units in a parcel were sold for: the unit price of the order's first line of their SKU."""
    prices = {line.sku: line.unit_price for line in reversed(consignment.facts.lines)}
    currency = consignment.facts.totals.goods.currency
    return total((prices[item.sku] * item.quantity for item in items if item.sku in prices), currency)


def _box(consignment: Consignment, warehouse: str, items: tuple[Allocation, ...], load: Load, choice: Choice) -> Box:
    return Box(
        parcel_id=derive_id("pcl", consignment.order_id, warehouse),
        warehouse=warehouse,
        country=load.origin,
        items=items,
        gross_grams=load.gross_grams,
        carrier=choice.offer.carrier,
        service=choice.offer.id,
        mode=choice.offer.mode,
        cost=choice.cost,
        way=Way(),
    )


def _nobody(warehouse: str, choice: NoneFits) -> Reason:
    return Reason(
        code="shipment.no_service",
        message=f"nobody carries the goods in {warehouse}: " + "; ".join(each.message for each in choice.refused),
        clears_with="another service level, fewer units or corrected goods; then book again",
        subject=warehouse,
    )
