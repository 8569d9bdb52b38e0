"""A storefront places an order."""

from dataclasses import dataclass, replace

from services.orders.domain.binding import Ordered, refuse_unbound
from services.orders.domain.book import Entry, OrderBook
from services.orders.domain.number import order_number
from services.orders.domain.order import Order
from services.orders.domain.pricing import Counter, Wish, priced, refuse_other_total, totalled
from services.orders.domain.recipient import Recipient
from services.orders.domain.standing import STOREFRONT, PaymentTerms
from shared.contracts.orders import OrderPlaced
from shared.contracts.values import Incoterm, OrderLine, OrderTotals, RiskSignals, ServiceLevel
from shared.effects import Decision, Effects, Moment, Reply
from shared.errors import Refusal
from shared.ids import derive_id
from shared.money import Money
from shared.quote import QuoteClaims, lines_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOrder:
    """What a storefront sends. `quote` is genuine already; whether it is about this order is decided here.

    `currency` chooses where a market has prices in several; left out it is the market's own. Incoterm and service may be left to the quote; without one they are DAP and standard.
    """

    store_id: str
    market: str
    wishes: tuple[Wish, ...]
    recipient: Recipient
    terms: PaymentTerms
    signals: RiskSignals
    currency: str = ""
    incoterm: Incoterm | None = None
    service: ServiceLevel | None = None
    quote: QuoteClaims | None = None
    expected_total: Money | None = None


def place_order(command: PlaceOrder, book: OrderBook, now: Moment) -> Decision:
    """Price it, hold it against its quote and the total that the buyer saw, and announce it."""
    counter = Counter(store_id=command.store_id, market=command.market, currency=command.currency)
    lines = priced(command.wishes, counter, book.offers)
    if isinstance(lines, Refusal):
        return lines
    command = _with_promised_terms(command)
    refusal = _refuse_quote(command, lines[0].unit_price.currency, now)
    if refusal is not None:
        return refusal
    totals = totalled(lines, command.quote)
    if isinstance(totals, Refusal):
        return totals
    return refuse_other_total(command.expected_total, totals.total) or _announce(command, lines, totals, book, now)


def _with_promised_terms(command: PlaceOrder) -> PlaceOrder:
    quote = command.quote
    return replace(
        command,
        incoterm=command.incoterm or (quote.incoterm if quote else Incoterm.DAP),
        service=command.service or (quote.service if quote else ServiceLevel.STANDARD),
    )


def _refuse_quote(command: PlaceOrder, currency: str, now: Moment) -> Refusal | None:
    if command.quote is None:
        return None
    ordered = Ordered(
        store=command.store_id,
        market=command.market,
        destination=command.recipient.destination,
        lines_hash=lines_hash((wish.sku, wish.quantity) for wish in command.wishes),
        currency=currency,
        incoterm=command.incoterm or Incoterm.DAP,
        service=command.service or ServiceLevel.STANDARD,
    )
    return refuse_unbound(command.quote, ordered, now.decided_at)


def _announce(
    command: PlaceOrder, lines: tuple[OrderLine, ...], totals: OrderTotals, book: OrderBook, now: Moment
) -> Effects:
    order_id = derive_id("ord", now.message_id)
    placed = OrderPlaced(
        order_id=order_id,
        number=order_number(order_id),
        store_id=command.store_id,
        market=command.market,
        channel=STOREFRONT,
        placed_at=now.decided_at,
        lines=lines,
        totals=totals,
        destination=command.recipient.destination,
        payment_mode=command.terms.mode,
        payment_method=command.terms.method,
        incoterm=command.incoterm or Incoterm.DAP,
        service=command.service or ServiceLevel.STANDARD,
        quote_id=command.quote.quote_id if command.quote else "",
        signals=command.signals,
    )
    order = Order.place(placed, command.terms, now.decided_at, book.patience)
    book.enter(order, Entry(placed=placed, recipient=command.recipient))
    return [placed, *order.advance(now.decided_at), Reply({"id": order_id}, status=201)]
