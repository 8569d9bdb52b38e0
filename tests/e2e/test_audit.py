"""Each invariant is broken on purpose, over the data of the whole demo, and exactly it is reported.

What is broken lives in a transaction that the audit reads through and that is rolled back: the platform never sees it.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from freeport.audit.attention import MATTERS, Item, attention
from freeport.audit.books import Books, CarrierBook, Connection, ProviderBook, Row
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
_DELIVERED_PARCEL = "(SELECT min(parcel_id) FROM parcel JOIN consignment USING (order_id) WHERE state = 'delivered')"
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
        "INSERT INTO movement (sku, warehouse, kind, on_hand, reserved, cause, store_id, message_id, at, occurred_at)"
        " SELECT sku, warehouse, 'receipt', 1, 0, 'adj_x', 'str_demo', 'cmd_x', now(), now() FROM stock_level LIMIT 1",
        {"stock.counters_are_the_ledger"},
    ),
    (
        "inventory",
        "INSERT INTO movement (sku, warehouse, kind, on_hand, reserved, in_transit, cause, store_id, message_id, at, occurred_at)"
        " SELECT sku, warehouse, 'transfer_out', 0, 0, 1, 'trf_x', 'str_demo', 'cmd_x', now(), now() FROM stock_level LIMIT 1",
        {"stock.in_transit_is_the_ledger"},
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
        "logistics",
        f"UPDATE parcel SET tracking_number = 'LX000000000DE' WHERE parcel_id = {_DELIVERED_PARCEL}",
        {"shipments.agree_with_carrier"},
    ),
    (
        "logistics",
        f"UPDATE parcel SET parcel_id = 'pcl_lost' WHERE parcel_id = {_DELIVERED_PARCEL}",
        {"shipments.agree_with_carrier"},
    ),
    (
        "logistics",
        f"UPDATE parcel SET label = 'void' WHERE parcel_id = {_DELIVERED_PARCEL}",
        {"shipments.agree_with_carrier"},
    ),
    (
        "logistics",
        f"UPDATE parcel SET status = 'label_created', taken = false WHERE parcel_id = {_DELIVERED_PARCEL}",
        {"shipments.agree_with_carrier"},
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


@pytest.fixture
def carrier(platform: Platform) -> CarrierBook:
    return CarrierBook.read(platform.sandbox_directory("carrier") / "carrier.sqlite3")


async def violated(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> dict[str, tuple[str, ...]]:
    verdicts = [await ask(check, Books(databases, provider, carrier)) for check in CHECKS]
    return {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok}


async def listed(databases: dict[str, Connection], name: str) -> list[Item]:
    found = {findings.name: findings for findings in await attention(Books(databases))}
    return list(found[name].items)


def test_every_check_is_broken_by_some_test() -> None:
    by_provider = {"provider.captured_once", "payments.agree_with_provider"}
    assert set.union(*(checks for _, _, checks in BREAKS)) | by_provider == {check.name for check in CHECKS}


@pytest.mark.parametrize(("service", "sql", "checks"), BREAKS, ids=[" ".join(sorted(checks)) for *_, checks in BREAKS])
async def test_what_is_broken_is_reported_and_nothing_else(
    databases: dict[str, Connection],
    provider: ProviderBook,
    carrier: CarrierBook,
    service: str,
    sql: str,
    checks: set[str],
) -> None:
    await databases[service].execute(sql)
    assert set(await violated(databases, provider, carrier)) == checks


async def test_a_double_charge_shows_in_the_providers_book(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
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
    found = await violated(databases, doubled, carrier)
    assert set(found) == {"provider.captured_once", "payments.agree_with_provider"}
    assert any(
        charge["reference"] in violation and "2 times" in violation for violation in found["provider.captured_once"]
    )


async def test_a_charge_that_was_given_back_is_no_double_charge(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
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
    assert set(await violated(databases, given_back, carrier)) == {"payments.agree_with_provider"}


async def test_a_charge_that_the_provider_lost_is_missed(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    lost = provider.charges[0]
    found = await violated(databases, replace(provider, charges=provider.charges[1:]), carrier)
    assert found["payments.agree_with_provider"] == (
        f"{lost['reference']}: the provider knows nothing of charge {lost['id']}",
    )


# ── The carrier's own book ────────────────────────────────────────────────────────────────────────────────────────────


def _booked(carrier: CarrierBook) -> Row:
    return next(label for label in carrier.labels if label["kind"] == "outbound" and label["voided_at"] is None)


async def test_a_label_that_the_carrier_lost_is_missed(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    lost = _booked(carrier)
    left = tuple(label for label in carrier.labels if label is not lost)
    found = await violated(databases, provider, CarrierBook(left))
    assert set(found) == {"shipments.agree_with_carrier"}
    [violation] = found["shipments.agree_with_carrier"]
    assert lost["reference"] in violation
    assert "the carrier never made" in violation


async def test_a_label_that_was_made_twice_shows(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    again = {**_booked(carrier), "key": "pcl_again", "tracking": "LX000000000DE", "code": "label_created"}
    found = await violated(databases, provider, CarrierBook((*carrier.labels, again)))
    assert found == {
        "shipments.agree_with_carrier": (
            f"{again['reference']}: the carrier has the live label LX000000000DE, of which logistics knows nothing",
        )
    }
    taken_back = CarrierBook((*carrier.labels, {**again, "voided_at": 1.0}))
    assert await violated(databases, provider, taken_back) == {}


async def test_a_label_of_a_cancelled_shipment_that_lives_on_shows(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    void = next(label for label in carrier.labels if label["voided_at"] is not None)
    alive = tuple({**label, "voided_at": None} if label is void else label for label in carrier.labels)
    found = await violated(databases, provider, CarrierBook(alive))
    assert set(found) == {"shipments.agree_with_carrier"}
    assert void["reference"] in found["shipments.agree_with_carrier"][0]
    assert "alive at the carrier" in found["shipments.agree_with_carrier"][0]


async def test_a_booked_label_that_is_void_at_the_carrier_shows(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    booked = _booked(carrier)
    voided = tuple({**label, "voided_at": 1.0} if label is booked else label for label in carrier.labels)
    found = await violated(databases, provider, CarrierBook(voided))
    assert set(found) == {"shipments.agree_with_carrier"}
    assert "which is void at the carrier" in found["shipments.agree_with_carrier"][0]


# ── What needs a person breaks no invariant ───────────────────────────────────────────────────────────────────────────

_LETTER = (
    "INSERT INTO dead_letter (id, source, consumer, topic, key, sequence, headers, payload, error, attempts)"
    " VALUES ('dlt_1', 'event', 'inventory', 'orders.order.v1', $1, 3, '{}', '{}', 'ValueError()', 3)"
)


async def test_a_payment_that_was_charged_otherwise_is_listed_with_what_settles_it(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    charge = next(row for row in provider.charges if row["status"] == "captured" and not row["refunded"])
    otherwise = {**charge, "amount": charge["amount"] + 500}
    charges = tuple(otherwise if row is charge else row for row in provider.charges)
    unknown = await violated(databases, replace(provider, charges=charges), carrier)
    assert set(unknown) == {"payments.agree_with_provider"}
    await databases["payments"].execute(
        "UPDATE payment SET attention = 'payment.conflicted' WHERE order_id = $1", charge["reference"]
    )
    assert await violated(databases, replace(provider, charges=charges), carrier) == {}
    [item] = [item for item in await listed(databases, "payments.need_attention") if item.about == charge["reference"]]
    assert "payment.conflicted" in item.says
    assert "cancelling the order" in item.clears_with
    await databases["payments"].execute(
        "UPDATE payment SET attention = 'refund.refused' WHERE order_id = $1", charge["reference"]
    )
    listed_now = await listed(databases, "payments.need_attention")  # nothing is owed here that would tell of it
    assert charge["reference"] in {item.about for item in listed_now}


async def _undo(databases: dict[str, Connection], provider: ProviderBook, state: str) -> tuple[Row, ProviderBook]:
    """A refund of a return that succeeded, put back into `state` in all books; and the provider's book without it."""
    row = await databases["payments"].fetchrow(
        "UPDATE refund SET state = $1, failure_code = 'refund.refused' WHERE id ="
        " (SELECT min(id) FROM refund WHERE state = 'succeeded' AND return_id <> '')"
        " RETURNING id, order_id, return_id, amount, attempt",
        state,
    )
    assert row is not None
    words = {"by_hand": "pending", "failed": "failed"}
    await databases["support"].execute(
        "UPDATE return_case SET refund = $2, refunded_amount = NULL WHERE id = $1", row["return_id"], words[state]
    )
    [charge] = [charge for charge in provider.charges if charge["key"] == row["attempt"]]
    charges = tuple({**each, "refunded": 0} if each is charge else each for each in provider.charges)
    operations = tuple(
        each for each in provider.operations if each["charge_id"] != charge["id"] or each["kind"] != "refund"
    )
    return dict(row), ProviderBook(charges, operations)


async def test_cash_that_is_to_be_paid_by_hand_is_listed_and_breaks_nothing(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    refund, book = await _undo(databases, provider, "by_hand")
    assert await violated(databases, book, carrier) == {}
    [item] = await listed(databases, "refunds.to_pay_by_hand")
    assert item.about == refund["order_id"]
    assert str(refund["amount"]) in item.says
    assert item.clears_with == f"paying it, then POST /v1/refunds/{refund['id']}/payout"
    await databases["payments"].execute("UPDATE refund SET state = 'sent' WHERE state = 'by_hand'")
    assert set(await violated(databases, book, carrier)) == {"returns.agree"}  # nobody has to pay it: it has to come


async def test_what_a_failed_refund_leaves_owed_is_listed_and_breaks_nothing_but_the_ledger_that_was_not_told(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    refund, book = await _undo(databases, provider, "failed")
    await databases["payments"].execute(
        "UPDATE payment SET attention = 'refund.failed' WHERE order_id = $1", refund["order_id"]
    )
    assert set(await violated(databases, book, carrier)) == {"ledger.tells_the_payments"}
    [item] = [item for item in await listed(databases, "refunds.owed") if item.about == refund["order_id"]]
    assert item.says.startswith(f"{refund['amount']} ")
    assert refund["return_id"] in item.clears_with


async def test_an_ended_order_whose_refund_failed_is_owed_and_one_whose_money_nobody_sent_back_is_a_violation(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    row = await databases["payments"].fetchrow(
        "SELECT p.order_id, a.id, a.captured, p.currency FROM payment p JOIN payment_attempt a USING (order_id)"
        " WHERE p.state = 'captured' AND p.attention = ''"
        " AND NOT EXISTS (SELECT FROM refund r WHERE r.order_id = p.order_id) ORDER BY 1 LIMIT 1"
    )
    assert row is not None
    order_id = row["order_id"]
    await databases["orders"].execute("UPDATE orders SET status = 'cancelled' WHERE id = $1", order_id)
    kept = f"{order_id} is cancelled, and {row['captured']} {row['currency']} of it are kept"
    assert kept in (await violated(databases, provider, carrier))["orders.agree_with_payment"]
    await databases["payments"].execute(
        "INSERT INTO refund (id, order_id, key, attempt, amount, currency, reason, return_id, requested_at, state,"
        " failure_code, booked, calls, silences)"
        " VALUES ('rfd_x', $1, 'rfd_x', $2, $3, $4, 'cancelled', '', now(), 'failed', 'refund.refused', false, 1, 0)",
        order_id, row["id"], row["captured"], row["currency"],
    )  # fmt: skip
    assert "orders.agree_with_payment" not in await violated(databases, provider, carrier)
    [item] = [item for item in await listed(databases, "refunds.owed") if item.about == order_id]
    assert "rfd_x" in item.says
    assert "refund.refused" in item.says


async def test_what_a_return_is_owed_is_listed_with_the_amount(databases: dict[str, Connection]) -> None:
    return_id = await databases["payments"].fetchval("SELECT min(return_id) FROM refund WHERE return_id <> ''")
    before = await listed(databases, "refunds.owed")
    await databases["payments"].execute("UPDATE refund SET asked = amount + 250 WHERE return_id = $1", return_id)
    new = [item for item in await listed(databases, "refunds.owed") if item not in before]
    assert [item.says.split()[0] for item in new] == ["250"]
    assert return_id in new[0].clears_with


async def test_orders_that_are_held_are_listed_with_their_reasons(databases: dict[str, Connection]) -> None:
    order_id = await databases["orders"].fetchval("SELECT min(id) FROM orders WHERE status = 'confirmed'")
    reasons = [{"code": "x", "message": "no weight", "clears_with": "a weight in the catalog"}]
    for code in ("customs_papers", "needs_attention"):
        await databases["orders"].execute(
            "INSERT INTO order_hold (order_id, code, store_id, reasons, since) VALUES ($1, $2, 'str_demo', $3, now())"
            " ON CONFLICT (order_id, code) DO UPDATE SET reasons = excluded.reasons",
            order_id, code, json.dumps(reasons),
        )  # fmt: skip
    for name, code in (("orders.held", "customs_papers"), ("orders.need_attention", "needs_attention")):
        [item] = [item for item in await listed(databases, name) if item.about == order_id]
        assert item.says.startswith(f"{code} since ")
        assert item.says.endswith(": no weight")
        assert item.clears_with == "a weight in the catalog"


async def test_returned_goods_that_no_warehouse_takes_are_listed(databases: dict[str, Connection]) -> None:
    await databases["inventory"].execute(
        "INSERT INTO held_return (return_id, sku, warehouse, order_id, store_id, quantity, held_at)"
        " VALUES ('rtn_1', 'MUG', 'NOWHERE', 'ord_1', 'str_demo', 2, now())"
    )
    [item] = await listed(databases, "returns.goods_held")
    assert (item.about, "2 of MUG" in item.says, "NOWHERE" in item.clears_with) == ("rtn_1", True, True)


async def test_an_order_whose_message_could_not_be_decided_is_no_disagreement_while_its_letter_is_open(
    databases: dict[str, Connection], provider: ProviderBook, carrier: CarrierBook
) -> None:
    order_id = await databases["inventory"].fetchval(
        f"UPDATE reservation SET status = 'refused' WHERE order_id = {_CONSUMED} RETURNING order_id"
    )
    disagreement = {"orders.agree_with_stock", "shipments.agree_with_stock"}
    assert set(await violated(databases, provider, carrier)) == disagreement
    await databases["inventory"].execute(_LETTER, order_id)
    assert await violated(databases, provider, carrier) == {}
    assert [item.about for item in await listed(databases, "letters.open")] == [order_id]
    await databases["inventory"].execute("UPDATE dead_letter SET state = 'parked'")
    assert set(await violated(databases, provider, carrier)) == disagreement


def test_the_guide_lists_every_matter() -> None:
    guide = (ROOT / "docs" / "audit.md").read_text()
    assert [matter.name for matter in MATTERS if f"| `{matter.name}` |" not in guide] == []


def test_the_guide_lists_every_check() -> None:
    guide = (ROOT / "docs" / "audit.md").read_text()
    assert [check.name for check in CHECKS if f"| `{check.name}` |" not in guide] == []
