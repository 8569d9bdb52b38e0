"""Warehouses, shelves and messages for tests: name only what matters."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from services.inventory.consumers import routes
from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.channel import SHARED, Channel
from services.inventory.domain.count import Counts, Since
from services.inventory.domain.policy import Policy
from services.inventory.domain.reservation import Reservation, Status
from services.inventory.domain.shelves import EXPIRY, Shelves
from services.inventory.domain.stock import StockItem, StockLevel
from services.inventory.domain.transfer import Arrival
from services.inventory.domain.warehouse import Warehouse, WarehouseKind
from services.inventory.usecases.adjust_stock import AdjustStock
from services.inventory.usecases.count_stock import CountedLine, CountStock
from services.inventory.usecases.put_channel import PutChannel
from services.inventory.usecases.receive_transfer import ReceiveTransfer
from services.inventory.usecases.ship_transfer import ShipTransfer
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected
from shared.contracts.registry import Event
from shared.contracts.support import ReturnReceived
from shared.contracts.topics import RESERVATION
from shared.contracts.values import (
    Allocation,
    Destination,
    Grade,
    OrderLine,
    OrderTotals,
    PaymentMethod,
    PaymentMode,
    Reason,
    ReceivedLine,
)
from shared.effects import Decision, Due, Effect, Moment
from shared.errors import Refusal
from shared.messaging.routing import Router
from shared.money import Money

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
STORE = "str_demo"
_NOTHING = Money(0, "EUR")

Lines = Mapping[str, int] | Sequence[tuple[str, int]]


def order_id(number: int) -> str:
    """The id of the number-th order: later orders have greater ids, as in life."""
    return f"ord_{number:026d}"


def a_moment(number: int = 0, *, at: datetime | None = None, store_id: str = STORE) -> Moment:
    """The moment of the number-th message, a second after the one before."""
    instant = at or NOON + timedelta(seconds=number)
    return Moment(decided_at=instant, occurred_at=instant, message_id=f"evt_{number:026d}", store_id=store_id)


def a_warehouse(code: str, country: str = "DE", kind: WarehouseKind = WarehouseKind.HOME) -> Warehouse:
    return Warehouse(code=code, store_id=STORE, kind=kind, country=country)


BERLIN = a_warehouse("BER", "DE")
NEW_JERSEY = a_warehouse("NJ", "US", WarehouseKind.OVERSEAS)
NINGBO = a_warehouse("NGB", "CN", WarehouseKind.BONDED)


def some_shelves(
    stock: Mapping[str, Mapping[str, int]] | None = None,
    *,
    warehouses: Sequence[Warehouse] = (BERLIN, NEW_JERSEY, NINGBO),
    channels: Sequence[Channel] = (Channel(name="storefront"),),
    reservations: Sequence[Reservation] = (),
) -> Shelves:
    """Shelves with units on hand by warehouse and SKU: `some_shelves({"BER": {"MUG": 5}})`."""
    items: dict[str, StockItem] = {}
    for warehouse, units in (stock or {}).items():
        for sku, on_hand in units.items():
            items.setdefault(sku, StockItem(sku, STORE)).levels[warehouse] = StockLevel(on_hand=on_hand)
    return Shelves(
        warehouses={warehouse.code: warehouse for warehouse in warehouses},
        channels={STORE: {channel.name: channel for channel in channels}},
        items=items,
        reservations={reservation.order_id: reservation for reservation in reservations},
        queues=dict.fromkeys(items),
        counts=Counts(since=defaultdict(Since)),  # one working set that lives on: its own ledger tells all
    )


def placed(number: int = 1, lines: Lines | None = None, *, country: str = "DE", refusable: bool = True) -> OrderPlaced:
    """An order of these SKUs and quantities, one MUG by default."""
    pairs = list(lines.items()) if isinstance(lines, Mapping) else list(lines or [("MUG", 1)])
    return OrderPlaced(
        order_id=order_id(number),
        number=f"F-{number}",
        store_id=STORE,
        market="DE",
        channel="storefront" if refusable else "bazaar",
        placed_at=NOON,
        lines=tuple(
            OrderLine(line=line, sku=sku, quantity=quantity, unit_price=_NOTHING, total=_NOTHING)
            for line, (sku, quantity) in enumerate(pairs, start=1)
        ),
        totals=OrderTotals(
            goods=_NOTHING, shipping=_NOTHING, duties=_NOTHING, taxes=_NOTHING, fees=_NOTHING, total=_NOTHING
        ),
        destination=Destination(country=country),
        payment_mode=PaymentMode.COLLECT,
        payment_method=PaymentMethod.CARD,
        refusable=refusable,
    )


def confirmed(number: int = 1, *allocations: Allocation) -> OrderConfirmed:
    return OrderConfirmed(order_id=order_id(number), allocations=allocations)


def rejected(number: int = 1) -> OrderRejected:
    return OrderRejected(order_id=order_id(number), reasons=(Reason(code="risk.rejected", message="no"),))


def cancelled(number: int = 1) -> OrderCancelled:
    return OrderCancelled(order_id=order_id(number), reason="changed_mind", requested_by="buyer")


def allocated(sku: str, quantity: int, warehouse: Warehouse = BERLIN) -> Allocation:
    return Allocation(sku=sku, warehouse=warehouse.code, country=warehouse.country, quantity=quantity)


def dispatched(number: int = 1, *items: Allocation) -> ShipmentDispatched:
    return ShipmentDispatched(
        order_id=order_id(number), shipment_id=f"shp_{number:026d}", items=items, dispatched_at=NOON
    )


def returned(
    number: int = 1, *, sku: str = "MUG", quantity: int = 1, grade: Grade = Grade.SELLABLE, warehouse: str = "BER"
) -> ReturnReceived:
    line = ReceivedLine(sku=sku, quantity=quantity, grade=grade, warehouse=warehouse)
    return ReturnReceived(order_id=order_id(number), return_id=f"ret_{number:026d}", lines=(line,))


def an_adjustment(kind: AdjustmentKind, *lines: tuple[str, int], warehouse: str = "BER") -> AdjustStock:
    return AdjustStock(kind=kind, warehouse=warehouse, reason="a reason", lines=lines)


def a_receipt(*lines: tuple[str, int], warehouse: str = "BER") -> AdjustStock:
    return an_adjustment(AdjustmentKind.RECEIPT, *lines, warehouse=warehouse)


def a_count(*lines: tuple[str, int], warehouse: str = "BER") -> AdjustStock:
    return an_adjustment(AdjustmentKind.COUNT, *lines, warehouse=warehouse)


def a_snapshot(
    quantity: int,
    version: int,
    as_of: datetime = NOON,
    *,
    sku: str = "MUG",
    source: str = "wms",
    warehouse: str = "BER",
) -> CountStock:
    """A warehouse system's word on one SKU."""
    line = CountedLine(sku=sku, quantity=quantity, version=version, as_of=as_of)
    return CountStock(source=source, warehouse=warehouse, lines=(line,))


def shipped(*lines: tuple[str, int], source: str = "BER", destination: str = "NJ") -> ShipTransfer:
    return ShipTransfer(source=source, destination=destination, reason="a reason", lines=lines)


def arrived(sku: str = "MUG", received: int = 0, damaged: int = 0, reason: str = "a reason") -> Arrival:
    return Arrival(sku=sku, received=received, damaged=damaged, reason=reason)


def a_transfer_receipt(transfer_id: str, *found: Arrival, complete: bool = False, reason: str = "") -> ReceiveTransfer:
    return ReceiveTransfer(transfer_id=transfer_id, arrivals=found, complete=complete, reason=reason)


def a_channel_put(
    policy: Policy = SHARED,
    *,
    name: str = "bazaar",
    units_per_s: float | None = None,
    buffers: Mapping[str, int] | None = None,
) -> PutChannel:
    return PutChannel(name=name, country="", policy=policy, units_per_s=units_per_s, buffers=buffers)


class Play:
    """Plays messages one by one through the service's own routing table, each at a moment of its own."""

    def __init__(self, shelves: Shelves) -> None:
        self.shelves = shelves
        self._router = Router[Shelves]()
        routes(self._router)
        self._count = 0

    def __call__(self, *bodies: object) -> list[Effect]:
        """The effects of all of them. A refusal fails the test: ask for it with `decide`."""
        effects: list[Effect] = []
        for body in bodies:
            decision = self.decide(body)
            assert not isinstance(decision, Refusal), decision
            effects.extend(decision)
        return effects

    def decide(self, body: object) -> Decision:
        self._count += 1
        return self.decide_at(body, a_moment(self._count))

    def decide_at(self, body: object, moment: Moment) -> Decision:
        return self._router.decide(body, self.shelves, moment)

    def told(self, *bodies: object) -> list[Event]:
        """What the reservations' topic is told."""
        return [effect for effect in self(*bodies) if isinstance(effect, Event) and effect.topic is RESERVATION]

    def level(self, sku: str = "MUG", warehouse: str = "BER") -> tuple[int, int]:
        """(on hand, reserved)."""
        level = self.shelves.item(sku).level(warehouse)
        return level.on_hand, level.reserved

    def status(self, number: int = 1) -> Status:
        return self.shelves.reservations[order_id(number)].status


def expiry_of(number: int = 1) -> Due:
    return Due(EXPIRY, order_id(number))
