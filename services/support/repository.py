"""Loading and saving what a batch touches: one statement a table."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from services.support.cost_table import return_costs
from services.support.domain.cases import Cases
from services.support.domain.purchase import Purchase
from services.support.domain.returns import Return
from services.support.domain.ticket import Ticket, TicketMessage
from services.support.rows import purchase_from, return_from, ticket_from
from services.support.usecases.answer_ticket import AnswerTicket
from services.support.usecases.approve_return import ApproveReturn
from services.support.usecases.open_ticket import OpenTicket
from services.support.usecases.receive_return import ReceiveReturn
from services.support.usecases.refuse_return import RefuseReturn
from services.support.usecases.relocate_return import RelocateReturn
from services.support.usecases.request_return import RequestReturn
from services.support.usecases.resolve_ticket import ResolveTicket
from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.logistics import ReturnParcelArrived, ShipmentDelivered, ShipmentDispatched
from shared.contracts.orders import OrderCancelled, OrderPlaced
from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.database import Connection, Stale, columns
from shared.effects import Due
from shared.jsonable import dumps
from shared.messaging.message import Message

K = TypeVar("K")


async def load_cases(messages: Sequence[Message], connection: Connection) -> Cases:
    """The orders that the messages are about, locked; their returns where one matters; their tickets."""
    named = _Named([message.body for message in messages])
    cases = Cases(return_costs())
    orders = sorted(named.orders | await _orders_of(named.returns, connection))
    if orders:
        await _load_purchases(cases, orders, connection)
    if orders and (named.returns or named.orders_with_returns):
        await _load_returns(cases, orders, connection)
    if named.tickets:
        await _load_tickets(cases, sorted(named.tickets), connection)
    return cases


async def save_cases(cases: Cases, connection: Connection) -> None:
    """Insert what is new and update what changed, in the order of the tables."""
    await _save_purchases(cases, connection)
    await _save_returns(cases, connection)
    await _save_tickets(cases, connection)


class _Named:
    """Which rows a batch is about."""

    def __init__(self, bodies: Sequence[Any]) -> None:
        self.orders: set[str] = set()
        self.orders_with_returns: set[str] = set()
        self.returns: set[str] = set()
        self.tickets: set[str] = set()
        for body in bodies:
            self._note(body)
        self.orders |= self.orders_with_returns

    def _note(self, body: Any) -> None:
        match body:
            case OrderPlaced() | OrderCancelled() | ShipmentDispatched() | ShipmentDelivered():
                self.orders.add(body.order_id)
            case RequestReturn():
                self.orders_with_returns.add(body.order_id)
            case ApproveReturn() | RefuseReturn() | ReceiveReturn() | RelocateReturn():
                self.returns.add(body.return_id)
            case (
                ReturnParcelArrived()
                | StockRestocked()
                | RestockHeld()
                | RefundRequested()
                | RefundSucceeded()
                | RefundFailed()
            ):
                self.orders_with_returns.add(body.order_id)
            case OpenTicket():
                self.orders |= {body.order_id} if body.order_id else set()
            case AnswerTicket() | ResolveTicket():
                self.tickets.add(body.ticket_id)
            case Due():
                self.tickets.add(body.key)
            case _:
                return


async def _orders_of(returns: set[str], connection: Connection) -> set[str]:
    """Whose returns these are: it never changes, so it is read without a lock, before the orders are locked."""
    if not returns:
        return set()
    rows = await connection.fetch("SELECT order_id FROM return_case WHERE id = ANY($1)", sorted(returns))
    return {row["order_id"] for row in rows}


async def _load_purchases(cases: Cases, order_ids: list[str], connection: Connection) -> None:
    rows = await connection.fetch(
        "SELECT * FROM purchase WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE", order_ids
    )
    cases.purchases = {row["order_id"]: purchase_from(row) for row in rows}


async def _load_returns(cases: Cases, order_ids: list[str], connection: Connection) -> None:
    rows = await connection.fetch(
        "SELECT * FROM return_case WHERE order_id = ANY($1) ORDER BY id FOR UPDATE", order_ids
    )
    if not rows:
        return
    ids = [row["id"] for row in rows]
    lines = _by_return(
        await connection.fetch("SELECT * FROM return_line WHERE return_id = ANY($1) ORDER BY return_id, position", ids)
    )
    received = _by_return(
        await connection.fetch("SELECT * FROM receipt_line WHERE return_id = ANY($1) ORDER BY return_id, position", ids)
    )
    cases.returns = {row["id"]: return_from(row, lines[row["id"]], received[row["id"]]) for row in rows}


async def _load_tickets(cases: Cases, ids: list[str], connection: Connection) -> None:
    rows = await connection.fetch("SELECT * FROM ticket WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
    cases.tickets = {row["id"]: ticket_from(row) for row in rows}


def _by_return(rows: Sequence[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row["return_id"]].append(row)
    return grouped


# ── Purchases ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_PURCHASES = """
    unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bigint[], $9::text[],
           $10::text[], $11::jsonb[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::jsonb[])
    AS given(order_id, store_id, number, channel, market, destination, placed_at, total_amount, currency, lines, shipped, shipped_from,
             dispatched_at, delivered_at, cancelled_at, refunds)
"""
_INSERT_PURCHASES = f"""
INSERT INTO purchase (order_id, store_id, number, channel, market, destination, placed_at, total_amount, currency, lines, shipped,
                      shipped_from, dispatched_at, delivered_at, cancelled_at, refunds)
SELECT order_id, store_id, number, channel, market, destination, placed_at, total_amount, currency, lines::jsonb, shipped,
       shipped_from::text[], dispatched_at, delivered_at, cancelled_at, refunds
FROM {_PURCHASES}
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id
"""  # noqa: S608 - made of constants
_UPDATE_PURCHASES = f"""
UPDATE purchase SET
    store_id = given.store_id, number = given.number, channel = given.channel, market = given.market,
    destination = given.destination, placed_at = given.placed_at, total_amount = given.total_amount, currency = given.currency,
    lines = given.lines::jsonb, shipped = given.shipped, shipped_from = given.shipped_from::text[],
    dispatched_at = given.dispatched_at, delivered_at = given.delivered_at, cancelled_at = given.cancelled_at,
    refunds = given.refunds
FROM {_PURCHASES}
WHERE purchase.order_id = given.order_id
"""  # noqa: S608 - made of constants


async def _save_purchases(cases: Cases, connection: Connection) -> None:
    new, changed = _split(cases.purchases, cases)
    if new:
        made = await connection.fetch(_INSERT_PURCHASES, *columns([_purchase_row(each) for each in new]))
        if len(made) < len(new):
            raise Stale("another replica has just heard of one of these orders first")
    if changed:
        await connection.execute(_UPDATE_PURCHASES, *columns([_purchase_row(each) for each in changed]))


def _purchase_row(purchase: Purchase) -> tuple[Any, ...]:
    lines = [
        {"line": line.line, "sku": line.sku, "quantity": line.quantity, "paid": line.paid.amount}
        for line in purchase.lines
    ]
    return (
        purchase.order_id,
        purchase.store_id,
        purchase.number,
        purchase.channel,
        purchase.market,
        purchase.destination,
        purchase.placed_at,
        purchase.total.amount if purchase.total else None,
        purchase.total.currency if purchase.total else None,
        dumps(lines).decode(),  # lists in a list would be taken for one array of two dimensions
        purchase.shipped,
        f"{{{','.join(sorted(purchase.shipped_from))}}}",
        purchase.dispatched_at,
        purchase.delivered_at,
        purchase.cancelled_at,
        purchase.refunds.document(),
    )


# ── Returns ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_RETURNS = """
    unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::text[], $9::bigint[], $10::bigint[],
           $11::jsonb[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::bigint[], $17::jsonb[],
           $18::jsonb[], $19::text[])
    AS given(id, order_id, store_id, state, restock, refund, send_back, currency, promised_amount, refunded_amount, refused_because,
             requested_at, decided_at, arrived_at, received_at, under_way_amount, refund_because, restock_because,
             relocated_to)
"""
_INSERT_RETURNS = f"""
INSERT INTO return_case (id, order_id, store_id, state, restock, refund, send_back, currency, promised_amount, refunded_amount,
                         refused_because, requested_at, decided_at, arrived_at, received_at, under_way_amount, refund_because,
                         restock_because, relocated_to)
SELECT * FROM {_RETURNS}
"""  # noqa: S608 - made of constants
_UPDATE_RETURNS = f"""
UPDATE return_case SET
    state = given.state, restock = given.restock, refund = given.refund, send_back = given.send_back, currency = given.currency,
    promised_amount = given.promised_amount, refunded_amount = given.refunded_amount, refused_because = given.refused_because,
    decided_at = given.decided_at, arrived_at = given.arrived_at, received_at = given.received_at,
    under_way_amount = given.under_way_amount, refund_because = given.refund_because,
    restock_because = given.restock_because, relocated_to = given.relocated_to
FROM {_RETURNS}
WHERE return_case.id = given.id
"""  # noqa: S608 - made of constants
_INSERT_LINES = """
INSERT INTO return_line (return_id, position, sku, quantity, reason)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[])
"""
_INSERT_RECEIPTS = """
INSERT INTO receipt_line (return_id, position, sku, quantity, grade, warehouse)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[], $6::text[])
ON CONFLICT (return_id, position) DO NOTHING
"""


async def _save_returns(cases: Cases, connection: Connection) -> None:
    new, changed = _split(cases.returns, cases)
    if new:
        await connection.execute(_INSERT_RETURNS, *columns([_return_row(each) for each in new]))
        await connection.execute(_INSERT_LINES, *columns([row for each in new for row in _line_rows(each)]))
    if changed:
        await connection.execute(_UPDATE_RETURNS, *columns([_return_row(each) for each in changed]))
    if receipts := [row for each in (*new, *changed) for row in _receipt_rows(each)]:
        await connection.execute(_INSERT_RECEIPTS, *columns(receipts))


def _return_row(case: Return) -> tuple[Any, ...]:
    money = case.promised or case.refunded
    return (
        case.id,
        case.order_id,
        case.store_id,
        case.state,
        case.restock,
        case.refund,
        case.send_back,
        money.currency if money is not None else None,
        case.promised.amount if case.promised is not None else None,
        case.refunded.amount if case.refunded is not None else None,
        case.refused_because,
        case.requested_at,
        case.decided_at,
        case.arrived_at,
        case.received_at,
        case.under_way,
        case.refund_because,
        case.restock_because,
        case.relocated_to,
    )


def _line_rows(case: Return) -> Iterator[tuple[Any, ...]]:
    for position, line in enumerate(case.lines, start=1):
        yield case.id, position, line.sku, line.quantity, line.reason


def _receipt_rows(case: Return) -> Iterator[tuple[Any, ...]]:
    for position, line in enumerate(case.received, start=1):
        yield case.id, position, line.sku, line.quantity, line.grade, line.warehouse


# ── Tickets ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_INSERT_TICKETS = """
INSERT INTO ticket (id, store_id, order_id, customer, subject, status, messages, opened_at, first_responded_at, first_response_breached,
                    clock_stopped_at, resolved_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::timestamptz[],
                     $9::timestamptz[], $10::bool[], $11::timestamptz[], $12::timestamptz[])
"""
_UPDATE_TICKETS = """
UPDATE ticket SET
    status = given.status, messages = given.messages, first_responded_at = given.first_responded_at,
    first_response_breached = given.first_response_breached, clock_stopped_at = given.clock_stopped_at, resolved_at = given.resolved_at
FROM unnest($1::text[], $2::text[], $3::int[], $4::timestamptz[], $5::bool[], $6::timestamptz[], $7::timestamptz[])
    AS given(id, status, messages, first_responded_at, first_response_breached, clock_stopped_at, resolved_at)
WHERE ticket.id = given.id
"""
_INSERT_MESSAGES = """
INSERT INTO ticket_message (ticket_id, position, id, author, text, written_at)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
"""


async def _save_tickets(cases: Cases, connection: Connection) -> None:
    new, changed = _split(cases.tickets, cases)
    if new:
        await connection.execute(_INSERT_TICKETS, *columns([_ticket_row(each) for each in new]))
    if changed:
        await connection.execute(_UPDATE_TICKETS, *columns([_ticket_changes(each) for each in changed]))
    if cases.messages:
        await connection.execute(_INSERT_MESSAGES, *columns([_message_row(each) for each in cases.messages]))


def _ticket_row(ticket: Ticket) -> tuple[Any, ...]:
    return (
        ticket.id,
        ticket.store_id,
        ticket.order_id,
        ticket.customer,
        ticket.subject,
        ticket.status,
        ticket.messages,
        ticket.opened_at,
        ticket.first_responded_at,
        ticket.first_response_breached,
        ticket.clock_stopped_at,
        ticket.resolved_at,
    )


def _ticket_changes(ticket: Ticket) -> tuple[Any, ...]:
    return (
        ticket.id,
        ticket.status,
        ticket.messages,
        ticket.first_responded_at,
        ticket.first_response_breached,
        ticket.clock_stopped_at,
        ticket.resolved_at,
    )


def _message_row(message: TicketMessage) -> tuple[Any, ...]:
    return message.ticket_id, message.position, message.id, message.author, message.text, message.written_at


def _split(all_: dict[str, K], cases: Cases) -> tuple[list[K], list[K]]:
    """What is new and what is only changed, each sorted by key."""
    new = [all_[key] for key in sorted(cases.new & all_.keys())]
    changed = [all_[key] for key in sorted((cases.changed - cases.new) & all_.keys())]
    return new, changed
