"""Loading and saving what a batch touches: one statement a table, only what changed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.payments.domain.attempt import Attempt
from services.payments.domain.books import Books, EarlyWebhook
from services.payments.domain.charge import ChargeStatus
from services.payments.domain.ledger import LedgerTransaction
from services.payments.domain.payment import Payment, State
from services.payments.domain.refund import LIVE, Refund, RefundState
from services.payments.usecases.hear_webhook import EARLY_DEADLINE, HearWebhook
from services.payments.usecases.record_payout import RecordPayout
from services.payments.usecases.request_refund import RequestRefund
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched
from shared.contracts.orders import AnswerAwaited, OrderCancelled, OrderRejected, PaymentRequested
from shared.contracts.support import ReturnApproved, ReturnReceived
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.database import Connection, Row, columns
from shared.effects import Answered, Due
from shared.messaging.message import Message
from shared.money import Money

Rows = Mapping[str, tuple[Any, ...]]


async def load_books(messages: Sequence[Message], connection: Connection) -> Books:
    """The payments that the messages are about, locked by order, with their attempts and refunds."""
    orders = sorted({order for message in messages if (order := _order_of(message.body))})
    if not orders:
        return Books()
    rows = await connection.fetch("SELECT * FROM payment WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE", orders)
    payments = {row["order_id"]: _to_payment(row) for row in rows}
    if payments:
        await _load_parts(payments, connection)
    early = await _load_early(messages, connection)
    as_loaded = {
        "payments": {order: _payment_row(payment) for order, payment in payments.items()},
        "attempts": {row[0]: row for row in _attempt_rows(payments.values())},
        "refunds": {row[0]: row for row in _refund_rows(payments.values())},
        "states": {order: payment.state for order, payment in payments.items()},
        "early": {order: list(kept) for order, kept in early.items()},
    }
    return Books(payments, early, as_loaded)


async def save_books(books: Books, connection: Connection) -> None:
    """Payments that are new are inserted plainly: a twin of another replica must show as a conflict, not be overwritten."""
    known: Rows = books.as_loaded.get("payments", {})
    payments = [_payment_row(payment) for payment in books.payments.values()]
    if added := [row for row in payments if row[0] not in known]:
        await connection.execute(_INSERT_PAYMENTS, *columns(added))
    if changed := [row for row in payments if row[0] in known and known[row[0]] != row]:
        await connection.execute(_UPDATE_PAYMENTS, *columns(changed))
    if attempts := _changed(_attempt_rows(books.payments.values()), books.as_loaded.get("attempts", {})):
        await connection.execute(_PUT_ATTEMPTS, *columns(attempts))
    if refunds := _changed(_refund_rows(books.payments.values()), books.as_loaded.get("refunds", {})):
        await connection.execute(_PUT_REFUNDS, *columns(refunds))
    await _save_early(books, connection)
    await _append_to_ledger(books, connection)


# ── Which orders ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _order_of(body: Any) -> str:
    match body:
        case (
            PaymentRequested()
            | AnswerAwaited()
            | OrderRejected()
            | OrderCancelled()
            | ShipmentDispatched()
            | ShipmentDelivered()
            | ReturnApproved()
            | ReturnReceived()
            | RequestRefund()
            | RecordPayout()
            | HearWebhook()
        ):
            return body.order_id
        case Due(_, key) | Answered(_, _, key):
            return key
        case _:
            return ""


async def _load_parts(payments: dict[str, Payment], connection: Connection) -> None:
    orders = list(payments)
    for row in await connection.fetch(
        "SELECT * FROM payment_attempt WHERE order_id = ANY($1) ORDER BY order_id, number", orders
    ):
        payments[row["order_id"]].attempts.append(_to_attempt(row))
    for row in await connection.fetch(
        "SELECT * FROM refund WHERE order_id = ANY($1) ORDER BY order_id, requested_at, id", orders
    ):
        payments[row["order_id"]].refunds.append(_to_refund(row))


async def _load_early(messages: Sequence[Message], connection: Connection) -> dict[str, list[EarlyWebhook]]:
    """Only first requests, webhooks and their deadline can meet an early webhook."""
    orders = {
        _order_of(message.body)
        for message in messages
        if isinstance(message.body, PaymentRequested | AnswerAwaited | HearWebhook)
        or (isinstance(message.body, Due) and message.body.kind == EARLY_DEADLINE)
    }
    if not orders:
        return {}
    early: dict[str, list[EarlyWebhook]] = {}
    for row in await connection.fetch(
        "SELECT * FROM early_webhook WHERE order_id = ANY($1) ORDER BY order_id, webhook_id", sorted(orders)
    ):
        early.setdefault(row["order_id"], []).append(EarlyWebhook(**dict(row)))
    return early


# ── Rows to aggregates ────────────────────────────────────────────────────────────────────────────────────────────────


def _to_payment(row: Row) -> Payment:
    return Payment(
        order_id=row["order_id"],
        payment_id=row["payment_id"],
        store_id=row["store_id"],
        market=row["market"],
        channel=row["channel"],
        amount=Money(row["amount"], row["currency"]),
        mode=PaymentMode(row["mode"]),
        method=PaymentMethod(row["method"]),
        token=row["token"],
        claimed_fingerprint=row["claimed_fingerprint"],
        requested_at=row["requested_at"],
        state=State(row["state"]),
        capture_due=row["capture_due"],
        action_url=row["action_url"],
        action_expires_at=row["action_expires_at"],
        told=row["told"],
        attention=row["attention"],
    )


def _to_attempt(row: Row) -> Attempt:
    return Attempt(
        id=row["id"],
        number=row["number"],
        automatic=row["automatic"],
        amount=Money(row["amount"], row["currency"]),
        asked_at=row["asked_at"],
        status=ChargeStatus(row["status"]),
        superseded=row["superseded"],
        charge_id=row["charge_id"],
        fingerprint=row["fingerprint"],
        decline_code=row["decline_code"],
        renewable=row["renewable"],
        authorised_at=row["authorised_at"],
        expires_at=row["expires_at"],
        captured=None if row["captured"] is None else Money(row["captured"], row["captured_currency"]),
        calls=row["calls"],
        silences=row["silences"],
    )


def _to_refund(row: Row) -> Refund:
    return Refund(
        id=row["id"],
        key=row["key"],
        attempt=row["attempt"],
        amount=Money(row["amount"], row["currency"]),
        reason=row["reason"],
        return_id=row["return_id"],
        requested_at=row["requested_at"],
        state=RefundState(row["state"]),
        failure_code=row["failure_code"],
        settled_at=row["settled_at"],
        booked=row["booked"],
        calls=row["calls"],
        silences=row["silences"],
        asked=None if row["asked"] is None else Money(row["asked"], row["currency"]),
    )


# ── Aggregates to rows ────────────────────────────────────────────────────────────────────────────────────────────────


def _payment_row(payment: Payment) -> tuple[Any, ...]:
    return (
        payment.order_id,
        payment.payment_id,
        payment.store_id,
        payment.market,
        payment.channel,
        payment.amount.amount,
        payment.amount.currency,
        payment.mode.value,
        payment.method.value,
        payment.token,
        payment.claimed_fingerprint,
        payment.requested_at,
        payment.state.value,
        payment.capture_due,
        payment.action_url,
        payment.action_expires_at,
        payment.told,
        payment.attention,
    )


def _attempt_rows(payments: Iterable[Payment]) -> list[tuple[Any, ...]]:
    return [_attempt_row(payment, attempt) for payment in payments for attempt in payment.attempts]


def _attempt_row(payment: Payment, attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.id,
        payment.order_id,
        attempt.number,
        attempt.automatic,
        attempt.amount.amount,
        attempt.amount.currency,
        attempt.asked_at,
        attempt.status.value,
        attempt.superseded,
        attempt.charge_id,
        attempt.fingerprint,
        attempt.decline_code,
        attempt.renewable,
        attempt.authorised_at,
        attempt.expires_at,
        attempt.captured.amount if attempt.captured is not None else None,
        attempt.captured.currency if attempt.captured is not None else None,
        _given_back(payment, attempt),
        attempt.calls,
        attempt.silences,
    )


def _given_back(payment: Payment, attempt: Attempt) -> int:
    """What we promised of it: the database itself lets it not exceed what was taken."""
    currency = (attempt.captured or attempt.amount).currency
    return sum(
        refund.amount.amount
        for refund in payment.refunds
        if refund.attempt == attempt.id
        and refund.state in LIVE
        and refund.key == refund.id
        and refund.amount.currency == currency
    )


def _refund_rows(payments: Iterable[Payment]) -> list[tuple[Any, ...]]:
    return [
        (
            refund.id,
            payment.order_id,
            refund.key,
            refund.attempt,
            refund.amount.amount,
            refund.amount.currency,
            refund.reason,
            refund.return_id,
            refund.requested_at,
            refund.state.value,
            refund.failure_code,
            refund.settled_at,
            refund.booked,
            refund.calls,
            refund.silences,
            refund.asked.amount if refund.asked is not None else None,
        )
        for payment in payments
        for refund in payment.refunds
    ]


def _changed(rows: list[tuple[Any, ...]], known: Rows) -> list[tuple[Any, ...]]:
    return [row for row in rows if known.get(row[0]) != row]


# ── Statements ────────────────────────────────────────────────────────────────────────────────────────────────────────

_PAYMENT_COLUMNS = (
    "order_id, payment_id, store_id, market, channel, amount, currency, mode, method, token, claimed_fingerprint, requested_at,"
    " state, capture_due, action_url, action_expires_at, told, attention"
)
_GIVEN_PAYMENTS = """
    unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[],
           $11::text[], $12::timestamptz[], $13::text[], $14::bool[], $15::text[], $16::timestamptz[], $17::text[], $18::text[])
"""
_INSERT_PAYMENTS = f"INSERT INTO payment ({_PAYMENT_COLUMNS}) SELECT * FROM {_GIVEN_PAYMENTS}"  # noqa: S608 (constants)
_UPDATE_PAYMENTS = f"""
UPDATE payment p SET payment_id = n.payment_id, amount = n.amount, currency = n.currency, method = n.method, token = n.token,
    claimed_fingerprint = n.claimed_fingerprint, state = n.state, capture_due = n.capture_due, action_url = n.action_url,
    action_expires_at = n.action_expires_at, told = n.told, attention = n.attention
FROM {_GIVEN_PAYMENTS} AS n ({_PAYMENT_COLUMNS}) WHERE p.order_id = n.order_id
"""  # noqa: S608 (constants)

# Attempts and refunds are under the lock of their payment, so nobody else can have written them meanwhile.
_PUT_ATTEMPTS = """
INSERT INTO payment_attempt AS a (id, order_id, number, automatic, amount, currency, asked_at, status, superseded, charge_id,
    fingerprint, decline_code, renewable, authorised_at, expires_at, captured, captured_currency, given_back, calls, silences)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bool[], $5::bigint[], $6::text[], $7::timestamptz[], $8::text[],
    $9::bool[], $10::text[], $11::text[], $12::text[], $13::bool[], $14::timestamptz[], $15::timestamptz[], $16::bigint[],
    $17::text[], $18::bigint[], $19::int[], $20::int[])
ON CONFLICT (id) DO UPDATE SET asked_at = excluded.asked_at, status = excluded.status, superseded = excluded.superseded,
    charge_id = excluded.charge_id, fingerprint = excluded.fingerprint, decline_code = excluded.decline_code,
    renewable = excluded.renewable, authorised_at = excluded.authorised_at, expires_at = excluded.expires_at,
    captured = excluded.captured, captured_currency = excluded.captured_currency, given_back = excluded.given_back,
    calls = excluded.calls, silences = excluded.silences
"""
_PUT_REFUNDS = """
INSERT INTO refund AS r (id, order_id, key, attempt, amount, currency, reason, return_id, requested_at, state, failure_code,
    settled_at, booked, calls, silences, asked)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[], $10::text[], $11::text[], $12::timestamptz[], $13::bool[], $14::int[], $15::int[], $16::bigint[])
ON CONFLICT (id) DO UPDATE SET state = excluded.state, failure_code = excluded.failure_code, settled_at = excluded.settled_at,
    booked = excluded.booked, calls = excluded.calls, silences = excluded.silences
"""
_APPEND_TRANSACTIONS = """
INSERT INTO ledger_transaction (id, kind, subject, order_id, store_id, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
"""
_APPEND_ENTRIES = """
INSERT INTO ledger_entry (transaction_id, line, account, amount, currency, store_id)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::text[], $6::text[])
"""


async def _append_to_ledger(books: Books, connection: Connection) -> None:
    new = [(payment, transaction) for payment in books.payments.values() for transaction in payment.postings]
    if not new:
        return
    await connection.execute(_APPEND_TRANSACTIONS, *columns([_transaction_row(*pair) for pair in new]))
    entries = [row for payment, transaction in new for row in _entry_rows(payment, transaction)]
    await connection.execute(_APPEND_ENTRIES, *columns(entries))


def _transaction_row(payment: Payment, transaction: LedgerTransaction) -> tuple[Any, ...]:
    return (
        transaction.id,
        transaction.kind.value,
        transaction.subject,
        payment.order_id,
        payment.store_id,
        transaction.at,
    )


def _entry_rows(payment: Payment, transaction: LedgerTransaction) -> list[tuple[Any, ...]]:
    return [
        (transaction.id, line, entry.account.value, entry.amount.amount, entry.amount.currency, payment.store_id)
        for line, entry in enumerate(transaction.entries, start=1)
    ]


async def _save_early(books: Books, connection: Connection) -> None:
    was: Mapping[str, list[EarlyWebhook]] = books.as_loaded.get("early", {})
    before = {(kept.order_id, kept.webhook_id): kept for webhooks in was.values() for kept in webhooks}
    after = {(kept.order_id, kept.webhook_id): kept for webhooks in books.early.values() for kept in webhooks}
    if gone := sorted(before.keys() - after.keys()):
        await connection.execute(
            "DELETE FROM early_webhook e USING unnest($1::text[], $2::text[]) AS g(order_id, webhook_id)"
            " WHERE e.order_id = g.order_id AND e.webhook_id = g.webhook_id",
            *columns(gone),
        )
    if new := [after[key] for key in sorted(after.keys() - before.keys())]:
        await connection.execute(
            "INSERT INTO early_webhook (order_id, webhook_id, attempt_key, received_at)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) ON CONFLICT DO NOTHING",
            *columns([(kept.order_id, kept.webhook_id, kept.attempt_key, kept.received_at) for kept in new]),
        )
