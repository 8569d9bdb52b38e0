"""A channel sends orders that it has sold already."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.orders.domain.book import Entry, OrderBook
from services.orders.domain.number import order_number
from services.orders.domain.order import Order
from services.orders.domain.pricing import Counter, Wish, priced, totalled
from services.orders.domain.recipient import Recipient
from services.orders.domain.standing import PaymentTerms
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import Destination, Incoterm, OrderLine, OrderTotals, RiskSignals, ServiceLevel
from shared.effects import Decision, Effect, Moment, Reply
from shared.errors import Kind, Refusal
from shared.ids import derive_id
from shared.money import Money


class Outcome(StrEnum):
    """What became of one order of an import."""

    CREATED = "created"
    EXISTING = "existing"  # the same content came before
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedOrder:
    """One order as the channel tells it. `presale` asks before it promises, so it may be refused like a storefront's."""

    market: str
    channel: str
    external_id: str
    placed_at: datetime
    wishes: tuple[Wish, ...]
    destination: Destination
    recipient: Recipient
    terms: PaymentTerms
    signals: RiskSignals
    shipping: Money | None = None
    taxes: Money | None = None  # that the channel charged beside its prices
    channel_fee: Money | None = (
        None  # what it keeps of the sale. It may settle it later, so it is no part of what it said
    )
    presale: bool = False
    incoterm: Incoterm = Incoterm.DAP
    service: ServiceLevel = ServiceLevel.STANDARD


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOrders:
    """Many orders at once; each is accepted or refused on its own."""

    store_id: str
    orders: tuple[ImportedOrder, ...]


def imported_order_id(store_id: str, channel: str, external_id: str) -> str:
    """The id of a channel's order: the same however often it is sent, so that a second import meets the first."""
    return derive_id("ord", f"imp_{'0' * 26}", store_id, channel, external_id)


def import_orders(command: ImportOrders, book: OrderBook, now: Moment) -> Decision:
    """Announce the new ones. The answer tells, in the order of the request, what became of each."""
    effects: list[Effect] = []
    results: list[dict[str, Any]] = []
    for order in command.orders:
        result, announced = _import_one(command.store_id, order, book, now)
        results.append({"channel": order.channel, "external_id": order.external_id, **result})
        effects += announced
    return [*effects, Reply({"data": results})]


def _import_one(
    store_id: str, order: ImportedOrder, book: OrderBook, now: Moment
) -> tuple[dict[str, Any], list[Effect]]:
    order_id = imported_order_id(store_id, order.channel, order.external_id)
    fingerprint = content_hash(order)
    known = book.imported.get(order_id)
    if known == fingerprint:
        return {"result": Outcome.EXISTING, "id": order_id, "number": order_number(order_id)}, []
    if known is not None:
        return _refused(_OTHER_CONTENT), []
    lines = priced(order.wishes, Counter(store_id=store_id, market=order.market), book.offers)
    if isinstance(lines, Refusal):
        return _refused(lines), []
    totals = totalled(lines, None, order.shipping, order.taxes)
    if isinstance(totals, Refusal):
        return _refused(totals), []
    placed = _placed(order_id, store_id, order, lines, totals)
    new = Order.place(placed, order.terms, now.decided_at, book.patience)
    book.enter(
        new, Entry(placed=placed, recipient=order.recipient, content_hash=fingerprint, channel_fee=order.channel_fee)
    )
    result = {"result": Outcome.CREATED, "id": order_id, "number": placed.number}
    return result, [placed, *new.advance(now.decided_at)]


def content_hash(order: ImportedOrder) -> str:
    """The fingerprint of all that the channel said; hashes of people are left out, their key may be rotated, and so is the channel's fee."""
    said = (
        order.market, order.channel, order.external_id, order.placed_at.isoformat(), order.wishes, order.destination,
        order.recipient, order.terms, order.shipping, order.presale, order.incoterm, order.service,
    )  # fmt: skip
    if order.taxes is not None:  # what came before there were any keeps its fingerprint
        said = (*said, order.taxes)
    return hashlib.sha256(repr(said).encode()).hexdigest()


_OTHER_CONTENT = Refusal(
    code="order.import_conflict",
    detail="this channel sent another order under that external id before",
    kind=Kind.CONFLICT,
    clears_with="an external id of its own",
)


def _refused(refusal: Refusal) -> dict[str, Any]:
    return {"result": Outcome.REFUSED, "code": refusal.code, "detail": refusal.detail, **dict(refusal.facts)}


def _placed(
    order_id: str, store_id: str, order: ImportedOrder, lines: tuple[OrderLine, ...], totals: OrderTotals
) -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id,
        number=order_number(order_id),
        store_id=store_id,
        market=order.market,
        channel=order.channel,
        placed_at=order.placed_at,
        lines=lines,
        totals=totals,
        destination=order.destination,
        payment_mode=order.terms.mode,
        payment_method=order.terms.method,
        refusable=order.presale,
        external_id=order.external_id,
        incoterm=order.incoterm,
        service=order.service,
        signals=order.signals,
    )
