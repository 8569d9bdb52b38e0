"""What a batch of messages touches, read from the messages alone: the orders, the SKUs, the stock that may come free."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.shelves import ANNOUNCE, EXPIRY, WAITING_RETRY, parse_retry_key
from services.inventory.usecases.adjust_stock import AdjustStock
from services.inventory.usecases.answer_again import WHO
from services.inventory.usecases.count_stock import CountStock
from services.inventory.usecases.put_channel import PutChannel
from services.inventory.usecases.put_policies import PutPolicies
from services.inventory.usecases.put_warehouse import PutWarehouse
from services.inventory.usecases.receive_transfer import ReceiveTransfer
from services.inventory.usecases.ship_transfer import ShipTransfer
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.orders import AnswerAwaited, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected
from shared.contracts.support import ReturnReceived, ReturnRelocated
from shared.effects import Due
from shared.messaging.message import Message


@dataclass(slots=True)
class Shortening:
    """How low a batch may bring what is on hand of a SKU in a warehouse: to a count, and down from there."""

    lowest_count: int | None = None
    decrease: int = 0


@dataclass(slots=True)
class Footprint:
    """`ending` are orders that may give something back. `freed` says behind which order to look at who waits for a SKU.

    `set_up` are (store, code) of warehouses that may just come to be, `named` the codes that returns name, and `returns` those whose
    goods are put away. `counted` are (SKU, warehouse, instant) with the fewest units said to have been there then; `goods_move`
    tells that counts must be known.
    """

    orders: set[str] = field(default_factory=set[str])
    ending: set[str] = field(default_factory=set[str])
    skus: set[str] = field(default_factory=set[str])
    freed: dict[str, str] = field(default_factory=dict[str, str])
    shortened: dict[tuple[str, str], Shortening] = field(default_factory=dict[tuple[str, str], Shortening])
    rounds: set[str] = field(default_factory=set[str])  # keys of announcements
    stores: set[str] = field(default_factory=set[str])  # whose channels change
    set_up: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    named: set[str] = field(default_factory=set[str])
    returns: set[str] = field(default_factory=set[str])
    transfers: set[str] = field(default_factory=set[str])
    counted: dict[tuple[str, str, datetime], int] = field(default_factory=dict[tuple[str, str, datetime], int])
    goods_move: bool = False

    def order(self, order_id: str, skus: Iterable[str] = (), *, ends: bool = False) -> None:
        """An order is touched, with SKUs that the message names."""
        self.orders.add(order_id)
        self.skus.update(skus)
        if ends:
            self.ending.add(order_id)

    def free(self, skus: Iterable[str], after: str = "") -> None:
        """Stock of these may come free."""
        for sku in skus:
            self.skus.add(sku)
            self.freed[sku] = min(after, self.freed.get(sku, after))

    def adjust(self, command: AdjustStock) -> None:
        """Stock comes or goes by hand."""
        self.free(sku for sku, _ in command.lines)
        for sku, quantity in command.lines:
            level = self.shortened.setdefault((sku, command.warehouse), Shortening())
            if command.kind is AdjustmentKind.COUNT:
                level.lowest_count = min(quantity, quantity if level.lowest_count is None else level.lowest_count)
            else:
                level.decrease += max(0, -command.kind.change(quantity, 0))

    def ship(self, command: ShipTransfer) -> None:
        """Goods leave for another warehouse: what comes after them in the batch may break holds all the sooner."""
        self.free(sku for sku, _ in command.lines)
        for sku, quantity in command.lines:
            self.shortened.setdefault((sku, command.source), Shortening()).decrease += quantity

    def count(self, command: CountStock, now: datetime) -> None:
        """A warehouse system says what was there. How far the books fall is known when the ledger since then is."""
        self.free(line.sku for line in command.lines)
        for line in command.lines:
            key = line.sku, command.warehouse, line.known_at(now)
            self.counted[key] = min(line.quantity, self.counted.get(key, line.quantity))

    def shorten_to(self, place: tuple[str, str], on_hand: int) -> None:
        """A count may bring the place down to this, and no further."""
        level = self.shortened.setdefault(place, Shortening())
        level.lowest_count = on_hand if level.lowest_count is None else min(level.lowest_count, on_hand)


def footprint_of(messages: Sequence[Message]) -> Footprint:
    """What all of them touch."""
    found = Footprint()
    for message in messages:
        _add(message, found)
    return found


def _add(message: Message, found: Footprint) -> None:
    body = message.body
    match body:
        case OrderPlaced():
            found.order(body.order_id, (line.sku for line in body.lines))
        case OrderConfirmed():
            found.order(body.order_id, (part.sku for part in body.allocations))
        case AnswerAwaited() if WHO in body.whom:
            parts = body.confirmed.allocations if body.confirmed else ()
            found.order(body.order_id, {*(line.sku for line in body.placed.lines), *(part.sku for part in parts)})
        case OrderRejected() | OrderCancelled():
            found.order(body.order_id, ends=True)
        case ShipmentDispatched():
            found.order(body.order_id, (part.sku for part in body.items))
            found.goods_move = True
        case ReturnReceived():
            found.order(body.order_id)
            found.stores.add(message.moment.store_id)
            found.free(line.sku for line in body.lines)
            found.named.update(line.warehouse for line in body.lines)
            found.returns.add(body.return_id)
            found.goods_move = True
        case ReturnRelocated():
            found.order(body.order_id)
            found.named.add(body.warehouse)
            found.returns.add(body.return_id)
            found.goods_move = True
        case PutWarehouse():
            found.set_up.add((message.moment.store_id, body.code))
        case AdjustStock():
            found.adjust(body)
            found.stores.add(message.moment.store_id)  # whose a new SKU becomes
            found.goods_move = True
        case CountStock():
            found.count(body, message.moment.decided_at)
            found.goods_move = True
        case ShipTransfer():
            found.ship(body)
            found.stores.add(message.moment.store_id)
            found.goods_move = True
        case ReceiveTransfer():
            found.free(arrival.sku for arrival in body.arrivals)
            found.transfers.add(body.transfer_id)
            found.goods_move = True
        case PutChannel():
            found.stores.add(message.moment.store_id)
        case PutPolicies():
            found.stores.add(message.moment.store_id)
            found.skus.update(body.policies)
        case Due():
            _add_due(body, found)
        case _:
            pass


def _add_due(due: Due, found: Footprint) -> None:
    if due.kind == EXPIRY:
        found.order(due.key, ends=True)
    elif due.kind == WAITING_RETRY:
        sku, after = parse_retry_key(due.key)
        found.free([sku], after)
    elif due.kind == ANNOUNCE:
        found.rounds.add(due.key)
