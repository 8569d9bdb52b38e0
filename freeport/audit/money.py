"""Invariants of the money: the ledger, the payments and the provider's own book tell the same story."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from freeport.audit.books import Books, Row
from freeport.audit.check import Check, Finding
from freeport.audit.stuck import Stuck

_TRANSACTIONS = """
SELECT transaction_id, currency, sum(amount)::bigint AS amount FROM ledger_entry GROUP BY transaction_id, currency
"""
_ORPHANS = """
SELECT DISTINCT e.transaction_id FROM ledger_entry e
LEFT JOIN ledger_transaction t ON t.id = e.transaction_id WHERE t.id IS NULL
"""
# What an order's buyer paid and got back, as the ledger has it.
_LEDGER = """
SELECT t.order_id, e.currency,
    -coalesce(sum(e.amount) FILTER (WHERE e.account = 'sales_clearing'), 0)::bigint AS captured,
    coalesce(sum(e.amount) FILTER (WHERE e.account = 'refunds'), 0)::bigint AS refunded
FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id GROUP BY t.order_id, e.currency
"""
_CAPTURED = """
SELECT order_id, captured_currency AS currency, sum(captured)::bigint AS captured,
    count(*) FILTER (WHERE NOT superseded) AS counting
FROM payment_attempt WHERE captured IS NOT NULL GROUP BY order_id, captured_currency
"""
# What is promised or given back. What failed has been booked back.
_REFUNDED = """
SELECT order_id, currency, sum(amount)::bigint AS refunded,
    coalesce(sum(amount) FILTER (WHERE booked), 0)::bigint AS booked
FROM refund WHERE state IN ('sent', 'by_hand', 'succeeded') GROUP BY order_id, currency
"""
_ATTEMPTS = "SELECT id, order_id, amount, currency, status, charge_id, captured FROM payment_attempt"
_PROVIDER_REFUNDS = """
SELECT attempt, sum(amount)::bigint AS refunded FROM refund WHERE state = 'succeeded' GROUP BY attempt
"""
# Payments that were charged otherwise than asked: what the provider has is known to differ, and the audit lists them.
_CONFLICTS = "SELECT order_id FROM payment WHERE attention <> '' AND attention NOT LIKE 'refund.%'"

Account = tuple[str, str]


async def ledger_adds_up(books: Books) -> Finding:
    """Every transaction adds up to zero in each currency, and so does the whole ledger."""
    parts = await books.read("payments", _TRANSACTIONS)
    sums: defaultdict[str, int] = defaultdict(int)
    for part in parts:
        sums[part["currency"]] += part["amount"]
    finding = Finding().add(
        len(parts),
        (
            f"{part['transaction_id']} adds up to {part['amount']} {part['currency']}"
            for part in parts
            if part["amount"]
        ),
    )
    finding.add(
        len(sums), (f"the ledger adds up to {amount} {currency}" for currency, amount in sums.items() if amount)
    )
    orphans = await books.read("payments", _ORPHANS)
    return finding.add(0, (f"entries of {row['transaction_id']} belong to no transaction" for row in orphans))


async def ledger_tells_the_payments(books: Books) -> Finding:
    """For each order the ledger's captures and refunds are those of its payment."""
    ledger = _by_account(await books.read("payments", _LEDGER))
    captured = _by_account(await books.read("payments", _CAPTURED))
    refunded = _by_account(await books.read("payments", _REFUNDED))
    accounts = ledger.keys() | captured.keys() | refunded.keys()
    finding = Finding(checked=len(accounts))
    for account in sorted(accounts):
        booked = ledger.get(account, {})
        taken = captured.get(account, {}).get("captured", 0)
        given = refunded.get(account, {}).get("booked", 0)
        if (booked.get("captured", 0), booked.get("refunded", 0)) != (taken, given):
            finding.violations.append(
                f"{account[0]} ({account[1]}): the ledger has {booked.get('captured', 0)} captured and"
                f" {booked.get('refunded', 0)} refunded, the payment {taken} and {given}"
            )
    return finding


async def captured_once(books: Books) -> Finding:
    """At most one capture of an order counts, and no more goes back than was taken."""
    captured = _by_account(await books.read("payments", _CAPTURED))
    refunded = _by_account(await books.read("payments", _REFUNDED))
    twice = [
        f"{order_id}: {row['counting']} captures count"
        for (order_id, _), row in captured.items()
        if row["counting"] > 1
    ]
    beyond = [
        f"{account[0]}: {row['refunded']} {account[1]} refunded of {captured.get(account, {}).get('captured', 0)} captured"
        for account, row in refunded.items()
        if row["refunded"] > captured.get(account, {}).get("captured", 0)
    ]
    return Finding().add(len(captured.keys() | refunded.keys()), [*twice, *beyond])


async def provider_captured_once(books: Books) -> Finding:
    """In the provider's book each order is charged once: a second charge was given back, and no refund exceeds its charge."""
    if books.provider is None:
        return Finding()
    operations: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for operation in books.provider.operations:
        if operation["status"] != "failed":
            operations[operation["charge_id"], operation["kind"]].append(operation)
    kept: defaultdict[str, list[str]] = defaultdict(list)
    finding = Finding(checked=len(books.provider.charges))
    for charge in books.provider.charges:
        captures, refunds = operations[charge["id"], "capture"], operations[charge["id"], "refund"]
        if len(captures) > 1:
            finding.violations.append(
                f"{charge['reference']}: charge {charge['id']} was captured {len(captures)} times"
            )
        taken, given = _sum(captures), _sum(refunds)
        if (taken, given) != (charge["captured"], charge["refunded"]) or given > taken:
            finding.violations.append(
                f"{charge['reference']}: charge {charge['id']} says {charge['captured']} captured and"
                f" {charge['refunded']} refunded, its operations {taken} and {given}"
            )
        if taken > given or (taken and not refunds):
            kept[charge["reference"]].append(charge["id"])
    doubles = (
        f"{order_id}: charged {len(ids)} times ({', '.join(ids)})" for order_id, ids in kept.items() if len(ids) > 1
    )
    return finding.add(0, doubles)


async def payments_agree_with_provider(books: Books) -> Finding:
    """Every charge is known to payments and stands there as it stands at the provider, to the minor unit.

    Where the provider charged otherwise than asked, that is known and waits for a person: not judged here.
    """
    if books.provider is None:
        return Finding()
    attempts = await books.by_key("payments", _ATTEMPTS, "id")
    given_back = await books.by_key("payments", _PROVIDER_REFUNDS, "attempt")
    charges = {charge["key"]: charge for charge in books.provider.charges}
    known = (await Stuck.of(books)).subjects | (await books.by_key("payments", _CONFLICTS)).keys()
    finding = Finding(checked=len(charges))
    for key, charge in charges.items():
        attempt = attempts.get(key)
        if (attempt["order_id"] if attempt is not None else charge["reference"]) in known:
            continue
        if attempt is None:
            finding.violations.append(f"{charge['reference']}: payments knows nothing of charge {charge['id']}")
        elif there := _difference(attempt, charge, given_back.get(key, {}).get("refunded", 0)):
            finding.violations.append(f"{attempt['order_id']}: {there}")
    lost = (
        f"{attempt['order_id']}: the provider knows nothing of charge {attempt['charge_id']}"
        for key, attempt in attempts.items()
        if attempt["charge_id"] and key not in charges and attempt["order_id"] not in known
    )
    return finding.add(0, lost)


def _difference(attempt: Row, charge: Row, refunded: int) -> str:
    ours = {
        "captured": attempt["captured"] or 0,
        "refunded": refunded,
        "amount": attempt["amount"],
        "currency": attempt["currency"],
        "status": attempt["status"],
    }
    theirs: Mapping[str, Any] = {name: charge[name] for name in ours}
    return "; ".join(
        f"{name} is {ours[name]} here and {theirs[name]} at the provider" for name in ours if ours[name] != theirs[name]
    )


def _by_account(rows: Iterable[Row]) -> dict[Account, Row]:
    return {(row["order_id"], row["currency"]): row for row in rows}


def _sum(operations: Iterable[Row]) -> int:
    return sum(operation["amount"] for operation in operations)


_NEEDS = ("payments",)
CHECKS = (
    Check("ledger.adds_up", "the ledger sums to zero in every currency", _NEEDS, ledger_adds_up),
    Check(
        "ledger.tells_the_payments",
        "the ledger's captures and refunds are the payments'",
        _NEEDS,
        ledger_tells_the_payments,
    ),
    Check("payments.captured_once", "one capture an order, refunds within it", _NEEDS, captured_once),
    Check(
        "provider.captured_once",
        "one capture an order in the provider's book, refunds within it",
        _NEEDS,
        provider_captured_once,
    ),
    Check(
        "payments.agree_with_provider", "payments and the provider's book agree", _NEEDS, payments_agree_with_provider
    ),
)
