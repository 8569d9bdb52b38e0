"""Reads for the API: SQL to views, beside the domain. Everything is the store's own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.payments.schemas import AttemptOut, BalanceOut, EntryOut, PaymentOut, PaymentSummary, RefundOut
from shared.database import Database, Row
from shared.errors import not_found
from shared.money import Money

_SUMMARY = """
SELECT p.*, a.captured, a.captured_currency, coalesce(r.refunded, 0) AS refunded
FROM payment p
LEFT JOIN LATERAL (
    SELECT captured, captured_currency FROM payment_attempt
    WHERE order_id = p.order_id AND NOT superseded AND captured IS NOT NULL ORDER BY number DESC LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT sum(amount) AS refunded FROM refund WHERE order_id = p.order_id AND state = 'succeeded'
) r ON true
"""
_ONE = f"{_SUMMARY} WHERE p.store_id = $1 AND p.order_id = $2"
_LIST = f"""
{_SUMMARY} WHERE p.store_id = $1 AND ($2::text IS NULL OR p.state = $2) AND (NOT $3 OR p.attention <> '')
    AND ($4::timestamptz IS NULL OR (p.requested_at, p.order_id) < ($4, $5))
ORDER BY p.requested_at DESC, p.order_id DESC LIMIT $6
"""
_LEDGER = """
SELECT t.id, t.kind, t.subject, t.at, e.account, e.amount, e.currency
FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id
WHERE t.order_id = $1 ORDER BY t.at, t.id, e.line
"""
_BALANCES = """
SELECT account, currency, sum(amount)::bigint AS balance FROM ledger_entry WHERE store_id = $1
GROUP BY account, currency ORDER BY currency, account
"""


async def payment(database: Database, store_id: str, order_id: str) -> PaymentOut:
    """The order's payment with attempts, refunds and ledger lines. Raises Refused `payment.not_found`."""
    row = await database.fetchrow(_ONE, store_id, order_id)
    if row is None:
        raise not_found("payment", f"for the order {order_id}")
    attempts = await database.fetch("SELECT * FROM payment_attempt WHERE order_id = $1 ORDER BY number", order_id)
    refunds = await database.fetch("SELECT * FROM refund WHERE order_id = $1 ORDER BY requested_at, id", order_id)
    ledger = await database.fetch(_LEDGER, order_id)
    return PaymentOut(
        **_summary(row),
        action_url=row["action_url"],
        action_expires_at=row["action_expires_at"],
        attempts=[_attempt(found) for found in attempts],
        refunds=[_refund(found) for found in refunds],
        ledger=[_entry(found) for found in ledger],
    )


async def payments(
    database: Database,
    store_id: str,
    *,
    state: str | None,
    attention: bool,
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[PaymentSummary]:
    """The newest payments first; one more than `limit`, so that the caller sees whether there are more."""
    instant, order_id = after or (None, None)
    rows = await database.fetch(_LIST, store_id, state, attention, instant, order_id, limit + 1)
    return [PaymentSummary(**_summary(row)) for row in rows]


async def balances(database: Database, store_id: str) -> list[BalanceOut]:
    """What every account of the store holds in every currency."""
    rows = await database.fetch(_BALANCES, store_id)
    return [BalanceOut(account=row["account"], balance=Money(row["balance"], row["currency"])) for row in rows]


async def owner(database: Database, order_id: str) -> tuple[str, str]:
    """The store and the market of an order's payment; empty where it is not known."""
    row = await database.fetchrow("SELECT store_id, market FROM payment WHERE order_id = $1", order_id)
    return ("", "") if row is None else (row["store_id"], row["market"])


def _summary(row: Row) -> dict[str, Any]:
    captured = None if row["captured"] is None else Money(row["captured"], row["captured_currency"])
    return {
        "order_id": row["order_id"],
        "payment_id": row["payment_id"],
        "state": row["state"],
        "amount": Money(row["amount"], row["currency"]),
        "captured": captured,
        "refunded": Money(int(row["refunded"]), row["captured_currency"] or row["currency"]),
        "mode": row["mode"],
        "method": row["method"],
        "channel": row["channel"],
        "attention": row["attention"],
        "requested_at": row["requested_at"],
    }


def _attempt(row: Row) -> AttemptOut:
    return AttemptOut(
        id=row["id"],
        number=row["number"],
        status=row["status"],
        charge_id=row["charge_id"],
        fingerprint=row["fingerprint"],
        decline_code=row["decline_code"],
        superseded=row["superseded"],
        amount=Money(row["amount"], row["currency"]),
        captured=None if row["captured"] is None else Money(row["captured"], row["captured_currency"]),
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
    )


def _refund(row: Row) -> RefundOut:
    return RefundOut(
        id=row["id"],
        order_id=row["order_id"],
        amount=Money(row["amount"], row["currency"]),
        reason=row["reason"],
        state=row["state"],
        return_id=row["return_id"],
        failure_code=row["failure_code"],
        requested_at=row["requested_at"],
        settled_at=row["settled_at"],
        asked=None if row["asked"] is None else Money(row["asked"], row["currency"]),
    )


def _entry(row: Row) -> EntryOut:
    return EntryOut(
        transaction_id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        account=row["account"],
        amount=Money(row["amount"], row["currency"]),
        at=row["at"],
    )
