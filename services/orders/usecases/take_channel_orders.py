"""A channel that we are connected with shows what it sold: fetched page by page, or pushed."""

from dataclasses import dataclass
from datetime import datetime

from services.orders.domain.book import ChannelRefusal, OrderBook
from services.orders.domain.channel import BY_CHANNEL, acknowledgement, ship_by
from services.orders.domain.fulfilled import FulfilledThere
from services.orders.usecases.import_orders import (
    ImportedOrder,
    ImportOrders,
    Outcome,
    import_orders,
    imported_order_id,
)
from shared.effects import Decision, Effect, Moment, Reply
from shared.errors import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldOrder:
    """An order as the channel tells it, and until when it wants tracking."""

    order: ImportedOrder
    ship_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledThere:
    """The channel ended an order. `reason` is a code."""

    external_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeChannelOrders:
    """What one page or notice shows. `cursor` is where the page is read again."""

    store_id: str
    channel: str
    sold: tuple[SoldOrder, ...] = ()
    cancelled: tuple[CancelledThere, ...] = ()
    fulfilled_there: tuple[FulfilledThere, ...] = ()
    cursor: str = ""


def take_channel_orders(command: TakeChannelOrders, book: OrderBook, now: Moment) -> Decision:
    """Import what is new, begin the cancellation of what the channel ended, and acknowledge what is here.

    What the channel ships from its own warehouse is counted: it neither reserves nor books, and nobody is told of it.

    Whatever comes twice or late changes nothing: the import knows its orders by their external ids, the acknowledgement
    has an id that follows from the order's, and an order that ended or is ending is not ended again.
    """
    orders = ImportOrders(store_id=command.store_id, orders=tuple(sold.order for sold in command.sold))
    imported = import_orders(orders, book, now)
    if isinstance(imported, Refusal):
        return imported
    (reply,) = [effect for effect in imported if isinstance(effect, Reply)]
    effects: list[Effect] = [effect for effect in imported if not isinstance(effect, Reply)]
    for sold, result in zip(command.sold, reply.body["data"], strict=True):
        effects += _follow(command, sold, result, book)
    for order in command.fulfilled_there:
        _count(command, order, book)
    for cancelled in command.cancelled:
        effects += _cancel(command, cancelled, book, now)
    return [*effects, reply]


def _follow(command: TakeChannelOrders, sold: SoldOrder, result: dict[str, str], book: OrderBook) -> list[Effect]:
    refused = result["result"] == Outcome.REFUSED
    code, detail = (result["code"], result["detail"]) if refused else ("", "")
    book.channel_refusals.append(_refusal(command, sold.order.external_id, code, detail))
    if result["result"] != Outcome.CREATED:
        return []
    order = book.orders[result["id"]]
    return [acknowledgement(order), *(ship_by(order, sold.ship_by) if sold.ship_by else [])]


def _count(command: TakeChannelOrders, order: FulfilledThere, book: OrderBook) -> None:
    refusal = order.out_of_range()
    if refusal is None:
        book.count_there(command.store_id, command.channel, order)
    code, detail = (refusal.code, refusal.detail) if refusal else ("", "")
    book.channel_refusals.append(_refusal(command, order.external_id, code, detail))


def _refusal(command: TakeChannelOrders, external_id: str, code: str, detail: str) -> ChannelRefusal:
    return ChannelRefusal(
        store_id=command.store_id,
        channel=command.channel,
        external_id=external_id,
        code=code,
        detail=detail,
        cursor=command.cursor,
    )


def _cancel(command: TakeChannelOrders, cancelled: CancelledThere, book: OrderBook, now: Moment) -> list[Effect]:
    order = book.orders.get(imported_order_id(command.store_id, command.channel, cancelled.external_id))
    if order is None:
        return []  # it never came in: nothing was done for it
    decision = order.cancel(cancelled.reason, BY_CHANNEL, now.decided_at)
    if isinstance(decision, Refusal):
        return []  # it ended already, is about to, or the parcel is with the carrier: a return follows, or a refund
    book.changed.add(order.id)
    return decision
