"""Each invariant is broken on purpose, over the data of the whole demo, and exactly it is reported.

What is broken lives in a transaction that the audit reads through and that is rolled back: the platform never sees it.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from freeport.audit.books import Books, Connection, ProviderBook
from freeport.audit.check import ask
from freeport.audit.command import CHECKS, audit_platform
from freeport.demo.scene import Result
from freeport.layout import ROOT, SERVICES
from freeport.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

_CONFIRMED = "(SELECT order_id FROM reservation WHERE status = 'committed' ORDER BY order_id LIMIT 1)"
_CONSUMED = "(SELECT order_id FROM reservation WHERE status = 'consumed' ORDER BY order_id LIMIT 1)"
_CAPTURE = "(SELECT id FROM ledger_transaction WHERE kind = 'capture' ORDER BY id LIMIT 1)"
_CAPTURED = "(SELECT order_id FROM payment WHERE state = 'captured' ORDER BY order_id LIMIT 1)"
_LAST = "(SELECT max(id) FROM outbox)"

# service, what is done to its database, the checks that must tell: these and no others.
BREAKS: list[tuple[str, str, set[str]]] = [
    ("orders", f"DELETE FROM outbox WHERE id = {_LAST}", {"streams.gapless"}),
    ("support", f"UPDATE outbox SET published_at = NULL WHERE id = {_LAST}", {"streams.published"}),
    (
        "risk",
        "INSERT INTO parked_message VALUES ('risk', 'orders.order.v1', 'ord_x', 2, '{}', '{}', now())",
        {"streams.nothing_parked"},
    ),
    (
        "payments",
        "INSERT INTO dead_letter (id, source, consumer, topic, key, sequence, headers, payload, error, attempts)"
        " VALUES ('ded_1', 'event', 'payments', 'orders.order.v1', 'ord_x', 3, '{}', '{}', 'ValueError()', 5)",
        {"streams.no_dead_letters"},
    ),
    (
        "inventory",
        "UPDATE stream_position SET sequence = sequence - 1 WHERE topic = 'orders.order.v1'"
        " AND key = (SELECT min(key) FROM stream_position WHERE topic = 'orders.order.v1')",
        {"streams.applied"},
    ),
    (
        "logistics",
        "INSERT INTO outside_call (id, kind, key, request, context, next_at)"
        " VALUES ('cal_1', 'label', 'ord_x', '{}', '{}', now() - interval '1 hour')",
        {"calls.made"},
    ),
    (
        "inventory",
        "ALTER TABLE stock_level DROP CONSTRAINT ck_stock_level_promises;"
        "UPDATE stock_level SET reserved = on_hand + 1 WHERE sku = (SELECT min(sku) FROM stock_level)",
        {"stock.within_bounds", "stock.counters_are_the_ledger", "stock.reserved_is_held"},
    ),
    (
        "inventory",
        "INSERT INTO movement (sku, warehouse, kind, on_hand, reserved, cause, store_id, message_id, at)"
        " SELECT sku, warehouse, 'receipt', 1, 0, 'adj_x', 'str_demo', 'cmd_x', now() FROM stock_level LIMIT 1",
        {"stock.counters_are_the_ledger"},
    ),
    (
        "inventory",
        f"UPDATE reservation SET status = 'released' WHERE order_id = {_CONFIRMED}",
        {"stock.reserved_is_held", "orders.agree_with_stock"},
    ),
    (
        "inventory",
        "UPDATE reservation SET demand = (SELECT jsonb_object_agg(key, value::bigint + 1) FROM jsonb_each_text(demand))"
        f" WHERE order_id = {_CONFIRMED}",
        {"stock.plans_are_whole"},
    ),
    (
        "inventory",
        f"UPDATE reservation SET status = 'refused' WHERE order_id = {_CONSUMED}",
        {"orders.agree_with_stock", "shipments.agree_with_stock"},
    ),
    (
        "payments",
        f"UPDATE payment SET state = 'voided' WHERE order_id = {_CAPTURED}",
        {"orders.agree_with_payment"},
    ),
    (
        "payments",
        "UPDATE payment SET amount = amount + 1 WHERE order_id = (SELECT min(order_id) FROM payment)",
        {"orders.agree_with_payment"},
    ),
    (
        "orders",
        "UPDATE orders SET status = 'cancelled', payment_status = 'captured' WHERE id ="
        " (SELECT min(id) FROM orders WHERE status = 'completed' AND payment_status = 'captured')",
        {"orders.agree_with_payment", "orders.agree_with_stock", "orders.agree_with_shipment"},
    ),
    (
        "logistics",
        "UPDATE consignment SET state = 'booked' WHERE order_id ="
        " (SELECT min(order_id) FROM consignment WHERE state = 'delivered')",
        {"orders.agree_with_shipment", "shipments.agree_with_stock"},
    ),
    (
        "orders",
        "DELETE FROM orders WHERE id = (SELECT min(id) FROM orders WHERE status = 'completed')",
        {"orders.acknowledged_are_there", "orders.agree_with_stock", "orders.agree_with_payment"},
    ),
    (
        "risk",
        "DELETE FROM order_file WHERE order_id = (SELECT min(order_id) FROM order_file)",
        {"orders.known_everywhere"},
    ),
    (
        "support",
        "UPDATE return_case SET refunded_amount = refunded_amount + 1 WHERE refund = 'refunded'",
        {"returns.agree"},
    ),
    (
        "inventory",
        "UPDATE movement SET cause = 'ret_x' WHERE kind = 'restocked'",
        {"returns.agree"},
    ),
    (
        "orders",
        "UPDATE offer SET version = version + 1 WHERE sku = (SELECT min(sku) FROM offer)",
        {"offers.are_the_catalog"},
    ),
    (
        "payments",
        f"UPDATE ledger_entry SET amount = amount + 1 WHERE transaction_id = {_CAPTURE} AND amount > 0",
        {"ledger.adds_up"},
    ),
    (
        "payments",
        f"UPDATE ledger_entry SET amount = amount + sign(amount) WHERE transaction_id = {_CAPTURE}",
        {"ledger.tells_the_payments"},
    ),
    (
        "payments",
        "INSERT INTO payment_attempt SELECT 'pay_again', order_id, number + 1, automatic, amount, currency, asked_at, status,"
        " superseded, '', fingerprint, decline_code, renewable, authorised_at, expires_at, captured, captured_currency, 0, 0, 0"
        f" FROM payment_attempt WHERE order_id = {_CAPTURED}",
        {"payments.captured_once", "ledger.tells_the_payments"},
    ),
    (
        "payments",
        "UPDATE refund SET amount = amount + 1000000",
        {"payments.captured_once", "payments.agree_with_provider", "ledger.tells_the_payments", "returns.agree"},
    ),
    (
        "payments",
        "UPDATE payment SET attention = 'conflict' WHERE order_id = (SELECT min(order_id) FROM payment)",
        {"payments.nobody_must_look"},
    ),
]


@pytest.fixture
async def databases(played: dict[str, Result], platform: Platform) -> AsyncIterator[dict[str, Connection]]:
    """Connections as the owners, in transactions that are rolled back, on data that has come to rest."""
    assert all(verdict.ok for verdict in await audit_platform(platform, wait=60))
    connections: dict[str, Connection] = {}
    for service in SERVICES:
        connections[service] = await asyncpg.connect(platform.database_url(service))
        await connections[service].execute("BEGIN")
    yield connections
    for connection in connections.values():
        await connection.execute("ROLLBACK")
        await connection.close()


@pytest.fixture
def provider(platform: Platform) -> ProviderBook:
    return ProviderBook.read(platform.sandbox_directory("provider") / "provider.sqlite3")


async def violated(databases: dict[str, Connection], provider: ProviderBook) -> dict[str, tuple[str, ...]]:
    verdicts = [await ask(check, Books(databases, provider)) for check in CHECKS]
    return {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok}


def test_every_check_is_broken_by_some_test() -> None:
    by_provider = {"provider.captured_once", "payments.agree_with_provider"}
    assert set.union(*(checks for _, _, checks in BREAKS)) | by_provider == {check.name for check in CHECKS}


@pytest.mark.parametrize(("service", "sql", "checks"), BREAKS, ids=[" ".join(sorted(checks)) for *_, checks in BREAKS])
async def test_what_is_broken_is_reported_and_nothing_else(
    databases: dict[str, Connection], provider: ProviderBook, service: str, sql: str, checks: set[str]
) -> None:
    await databases[service].execute(sql)
    assert set(await violated(databases, provider)) == checks


async def test_a_double_charge_shows_in_the_providers_book(
    databases: dict[str, Connection], provider: ProviderBook
) -> None:
    charge = next(row for row in provider.charges if row["status"] == "captured" and not row["refunded"])
    again = {**charge, "id": "ch_again", "key": "pay_again"}
    capture: dict[str, Any] = {
        "key": "op_again",
        "kind": "capture",
        "charge_id": "ch_again",
        "amount": charge["captured"],
        "status": "succeeded",
    }
    doubled = replace(provider, charges=(*provider.charges, again), operations=(*provider.operations, capture))
    found = await violated(databases, doubled)
    assert set(found) == {"provider.captured_once", "payments.agree_with_provider"}
    assert any(
        charge["reference"] in violation and "2 times" in violation for violation in found["provider.captured_once"]
    )


async def test_a_charge_that_was_given_back_is_no_double_charge(
    databases: dict[str, Connection], provider: ProviderBook
) -> None:
    charge = next(row for row in provider.charges if row["status"] == "captured" and not row["refunded"])
    again = {**charge, "id": "ch_again", "key": "pay_again", "refunded": charge["captured"]}
    both: list[dict[str, Any]] = [
        {
            "key": f"op_{kind}",
            "kind": kind,
            "charge_id": "ch_again",
            "amount": charge["captured"],
            "status": "succeeded",
        }
        for kind in ("capture", "refund")
    ]
    given_back = replace(provider, charges=(*provider.charges, again), operations=(*provider.operations, *both))
    assert set(await violated(databases, given_back)) == {"payments.agree_with_provider"}


async def test_a_charge_that_the_provider_lost_is_missed(
    databases: dict[str, Connection], provider: ProviderBook
) -> None:
    lost = provider.charges[0]
    found = await violated(databases, replace(provider, charges=provider.charges[1:]))
    assert found["payments.agree_with_provider"] == (
        f"{lost['reference']}: the provider knows nothing of charge {lost['id']}",
    )


def test_the_guide_lists_every_check() -> None:
    guide = (ROOT / "docs" / "audit.md").read_text()
    assert [check.name for check in CHECKS if f"| `{check.name}` |" not in guide] == []
