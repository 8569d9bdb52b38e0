"""Inventory's rows in memory: what `repository.py` is to PostgreSQL. And random histories to play against it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from services.inventory.domain.adjustment import Adjustment, AdjustmentKind
from services.inventory.domain.channel import Channel
from services.inventory.domain.count import Count, Counts, Since
from services.inventory.domain.held import HeldReturns, HeldUnits, Key
from services.inventory.domain.movement import Movement
from services.inventory.domain.policy import Policy
from services.inventory.domain.reservation import Reservation, Status
from services.inventory.domain.shelves import EXPIRY, WAITING_RETRY, Shelves
from services.inventory.domain.stock import StockItem, StockLevel
from services.inventory.domain.transfer import Transfer, Transfers
from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from services.inventory.footprint import footprint_of
from services.inventory.usecases.put_warehouse import PutWarehouse
from shared.contracts.support import ReturnRelocated
from shared.contracts.values import Grade
from shared.effects import Due
from shared.ids import derive_id
from shared.messaging.message import Message
from tests.builders.inventory import (
    BERLIN,
    NEW_JERSEY,
    NINGBO,
    NOON,
    STORE,
    a_moment,
    a_snapshot,
    a_transfer_receipt,
    allocated,
    an_adjustment,
    arrived,
    cancelled,
    confirmed,
    dispatched,
    order_id,
    placed,
    rejected,
    returned,
    shipped,
)

SKUS = ("CAP", "MUG", "PEN")
WAREHOUSES = (BERLIN, NEW_JERSEY, NINGBO)
ORDERS = 9


def _warehouses() -> dict[str, Warehouse]:
    return {warehouse.code: warehouse for warehouse in WAREHOUSES}


def _channels() -> dict[str, Channel]:
    return {"storefront": Channel(name="storefront"), "bazaar": Channel(name="bazaar", policy=Policy(buffer=2))}


@dataclass(slots=True)
class MemoryStore:
    """Three warehouses, two channels. `load` hands out copies, and of the reservations only those that may be needed."""

    items: dict[str, StockItem] = field(default_factory=dict[str, StockItem])
    reservations: dict[str, Reservation] = field(default_factory=dict[str, Reservation])
    ledger: list[Movement] = field(default_factory=list[Movement])
    adjustments: list[Adjustment] = field(default_factory=list[Adjustment])
    warehouses: dict[str, Warehouse] = field(default_factory=_warehouses)
    held: dict[Key, HeldUnits] = field(default_factory=dict[Key, HeldUnits])
    counts: dict[tuple[str, str, str], Count] = field(default_factory=dict[tuple[str, str, str], Count])
    transfers: dict[str, Transfer] = field(default_factory=dict[str, Transfer])

    def load(self, messages: Sequence[Message]) -> Shelves:
        named = {getattr(message.body, "order_id", getattr(message.body, "key", "")) for message in messages}
        return Shelves(
            warehouses=dict(self.warehouses),
            channels={STORE: _channels()},
            items={sku: _copy_item(item) for sku, item in self.items.items()},
            reservations={
                # PostgreSQL keeps the keys of a JSON object in an order of its own.
                order: replace(
                    reservation, changed=False, demand=dict(sorted(reservation.demand.items(), reverse=True))
                )
                for order, reservation in self.reservations.items()
                if order in named or reservation.holding or reservation.status is Status.WAITING
            },
            queues=dict.fromkeys(SKUS),
            held=HeldReturns(dict(self.held), dict(self.held)),
            transfers=Transfers(
                {key: replace(known, lines=dict(known.lines)) for key, known in self.transfers.items()}
            ),
            counts=Counts(
                dict(self.counts),
                {
                    (sku, code, instant): Since().then(self.ledger, (sku, code), instant)
                    for sku, code, instant in footprint_of(messages).counted
                },
            ),
        )

    def save(self, state: Shelves) -> None:
        self.ledger.extend(state.ledger)
        self.adjustments.extend(state.adjustments)
        self.items.update(state.items)
        changed = {order: held for order, held in state.reservations.items() if held.changed}
        self.reservations.update(changed)
        self.warehouses.update(state.put_warehouses)
        self.held = dict(state.held.units)
        self.counts.update(state.counts.taken)
        self.transfers = dict(state.transfers.by_id)

    def rows(self) -> Any:
        levels = {
            (item.sku, code): (level.on_hand, level.reserved)
            for item in self.items.values()
            for code, level in item.levels.items()
            if (level.on_hand, level.reserved) != (0, 0)
        }
        versions = {item.sku: item.version for item in self.items.values() if item.version}
        reservations = {order: replace(held, changed=False) for order, held in self.reservations.items()}
        return (
            levels,
            versions,
            reservations,
            self.ledger,
            self.adjustments,
            self.held,
            self.counts,
            self._transfer_rows(),
        )

    def _transfer_rows(self) -> dict[str, Any]:
        return {
            key: (known.status, sorted(known.lines.values(), key=lambda line: line.sku))
            for key, known in self.transfers.items()
        }


def _copy_item(item: StockItem) -> StockItem:
    levels = {code: StockLevel(level.on_hand, level.reserved) for code, level in item.levels.items()}
    return StockItem(item.sku, item.store_id, item.version, levels)


_orders = st.integers(1, ORDERS)
_quantities = st.integers(1, 4)
_skus = st.sampled_from(SKUS)
_places = st.sampled_from(WAREHOUSES)
_parts = st.builds(allocated, _skus, _quantities, _places)
_adjusted = st.lists(st.tuples(_skus, st.integers(0, 6)), min_size=1, max_size=3, unique_by=lambda line: line[0])

bodies: st.SearchStrategy[object] = st.one_of(
    st.builds(
        placed,
        _orders,
        st.lists(st.tuples(_skus, _quantities), min_size=1, max_size=3),
        country=st.sampled_from(["DE", "US", "CN"]),
        refusable=st.booleans(),
    ),
    st.builds(confirmed, _orders, _parts),
    st.builds(cancelled, _orders),
    st.builds(rejected, _orders),
    st.builds(dispatched, _orders, _parts),
    st.builds(
        returned,
        _orders,
        sku=_skus,
        quantity=_quantities,
        grade=st.sampled_from(Grade),
        warehouse=st.sampled_from(["BER", "NJ", "ATL", "LEM"]),
    ),
    st.builds(
        lambda number, code: ReturnRelocated(order_id=order_id(number), return_id=f"ret_{number:026d}", warehouse=code),
        _orders,
        st.sampled_from(["BER", "ATL", "LEM"]),
    ),
    st.just(PutWarehouse(code="ATL", kind=WarehouseKind.HOME, country="GR", name="")),
    st.builds(lambda number: Due(EXPIRY, order_id(number)), _orders),
    st.builds(lambda sku: Due(WAITING_RETRY, f"/{sku}"), _skus),
    st.builds(
        lambda kind, lines, place: an_adjustment(kind, *lines, warehouse=place.code),
        st.sampled_from(AdjustmentKind),
        _adjusted,
        _places,
    ),
    st.builds(
        lambda sku, quantity, version, second, source, place: a_snapshot(
            quantity, version, NOON + timedelta(seconds=second), sku=sku, source=source, warehouse=place.code
        ),
        _skus,
        st.integers(0, 6),
        st.integers(1, 9),
        st.integers(0, 40),
        st.sampled_from(["wms", "erp"]),
        _places,
    ),
    st.builds(
        lambda lines, places: shipped(*lines, source=places[0].code, destination=places[1].code),
        st.lists(st.tuples(_skus, _quantities), min_size=1, max_size=2, unique_by=lambda line: line[0]),
        st.permutations(WAREHOUSES),
    ),
    st.builds(  # of whatever message: most are none, the first ones often are
        lambda number, found, complete: a_transfer_receipt(
            derive_id("trf", a_moment(number).message_id), found, complete=complete, reason="a reason"
        ),
        st.integers(1, 40),
        st.builds(arrived, _skus, st.integers(0, 4), st.integers(0, 1)),
        st.booleans(),
    ),
)


def as_messages(history: Sequence[object]) -> list[Message]:
    """Every message at a moment of its own, whatever batch it is in."""
    return [Message(body=body, moment=a_moment(number)) for number, body in enumerate(history, start=1)]


histories: st.SearchStrategy[list[Message]] = st.lists(bodies, min_size=1, max_size=40).map(as_messages)
