"""What an open letter, or a payment that waits for a person, excuses: its own order, and of that no more than it explains."""

from typing import Any

import pytest

from freeport.audit import money, orders, parcels
from freeport.audit.attention import payments_that_need_somebody
from freeport.audit.books import CarrierBook, ProviderBook
from freeport.audit.check import Check, ask
from tests.unit.freeport.audit.books_by_hand import Tables, books_of

LETTER = {"id": "dlt_1", "source": "event", "topic": "orders.order.v1", "key": "ord_1", "subject": "ord_1"}
BOTH = ("ord_1", "ord_2")
CHECKS = {check.name: check for check in (*orders.CHECKS, *parcels.CHECKS, *money.CHECKS)}


def of_both(**row: Any) -> list[dict[str, Any]]:
    return [{"order_id": order_id, **row} for order_id in BOTH]


def an_order(**other: Any) -> list[dict[str, Any]]:
    """Confirmed, paid, and to be sent; twice."""
    usual = {"status": "confirmed", "payment_status": "authorised", "fulfilment_status": "unfulfilled", "held": False}
    return of_both(**(usual | {"total": 1000, "currency": "EUR"} | other))


def a_payment(**other: Any) -> list[dict[str, Any]]:
    usual = {"state": "captured", "amount": 1000, "currency": "EUR", "attention": ""}
    return of_both(**(usual | {"captured": 1000, "going_back": 0, "failed": 0} | other))


RETURNS = [
    {"id": f"ret_{order_id}", "order_id": order_id, "refund": "refunded", "refunded_amount": 500, "restock": "none", "sellable": 0}
    for order_id in BOTH
]  # fmt: skip
CHARGES = tuple(
    {"id": f"ch_{order_id}", "key": f"pay_{order_id}", "reference": order_id, "amount": 1000, "currency": "EUR",
     "status": "captured", "captured": 1000, "refunded": 0}
    for order_id in BOTH
)  # fmt: skip
PARCELS = [
    {"parcel_id": f"pcl_{order_id}", "label_key": f"pcl_{order_id}", "order_id": order_id, "label": "made",
     "tracking_number": "LX1", "state": "booked", "handed_over": False}
    for order_id in BOTH
]  # fmt: skip

# Two orders (or SKUs) of which the same is wrong, for each check that an open letter excuses one from.
WRONG: dict[str, dict[str, Tables]] = {
    "orders.agree_with_stock": {"orders": {"orders": an_order()}, "inventory": {"reservation": of_both(status="released")}},
    "orders.agree_with_payment": {"orders": {"orders": an_order()}, "payments": {"payment": a_payment(state="voided")}},
    "orders.agree_with_shipment": {"orders": {"orders": an_order()}, "logistics": {"consignment": of_both(state="lost")}},
    "shipments.agree_with_stock": {
        "inventory": {"reservation": of_both(status="committed")},
        "logistics": {"consignment": of_both(state="dispatched")},
    },
    "shipments.agree_with_carrier": {"logistics": {"parcel": PARCELS}},
    "orders.known_everywhere": {"orders": {"orders": an_order()}, "risk": {}},
    "returns.agree": {"support": {"return_case": RETURNS}, "payments": {}, "inventory": {}},
    "offers.are_the_catalog": {
        "catalog": {"product": [{"sku": sku, "version": 2, "status": "active"} for sku in BOTH]},
        "orders": {"offer": []},
    },
    "payments.agree_with_provider": {"payments": {}},
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_an_open_letter_excuses_its_own_subject_and_nobody_else(name: str) -> None:
    assert await violations(CHECKS[name], WRONG[name]) == [*BOTH]
    for service, tables in WRONG[name].items():
        excused = WRONG[name] | {service: {**tables, "dead_letter": [LETTER]}}
        assert await violations(CHECKS[name], excused) == ["ord_2"]


def test_every_check_that_looks_at_letters_is_asked() -> None:
    looking = {name for name, check in CHECKS.items() if "Stuck" in check.ask.__code__.co_names}
    assert looking == WRONG.keys()


async def violations(check: Check, databases: dict[str, Tables]) -> list[str]:
    """Whom the check's violations are about."""
    verdict = await ask(check, books_of(databases, ProviderBook(CHARGES, ()), CarrierBook(())))
    assert not verdict.skipped
    return sorted(order_id for order_id in BOTH if any(order_id in violation for violation in verdict.violations))


# ── Money that somebody is owed ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("going_back", "failed", "kept"),
    [
        (1000, 0, None),
        (0, 1000, None),
        (0, 2000, None),  # by hand it failed as well
        (400, 1000, None),  # a part was paid by hand since
        (0, 0, 1000),
        (0, 400, 1000),  # of the rest nothing was ever tried
        (400, 0, 600),
    ],
)
async def test_what_a_cancelled_order_paid_is_back_or_owed_by_refunds_that_failed(
    going_back: int, failed: int, kept: int | None
) -> None:
    tables = {
        "orders": {"orders": an_order(status="cancelled", payment_status="captured")},
        "payments": {"payment": a_payment(going_back=going_back, failed=failed)},
    }
    verdict = await ask(CHECKS["orders.agree_with_payment"], books_of(tables))
    told = () if kept is None else tuple(f"{order_id} is cancelled, and {kept} EUR of it are kept" for order_id in BOTH)
    assert verdict.violations == told


async def test_a_payment_is_listed_with_what_settles_it() -> None:
    codes = ("payment.conflicted", "payment.dispatched_unpaid", "refund.conflicted")
    rows = [{"order_id": code, "state": "captured", "attention": code} for code in codes]
    items = await payments_that_need_somebody(books_of({"payments": {"payment": rows}}))
    clears = {item.about: item.clears_with for item in items}
    assert "cancelling the order" in clears["payment.conflicted"]
    assert clears["payment.dispatched_unpaid"] == "the money, collected another way"
    assert "the provider" in clears["refund.conflicted"]
