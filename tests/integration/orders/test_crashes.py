"""Crashes at every step of every path, over the five services and their databases: no orphan order, hold, charge or label.

Each life is led three times: undisturbed; with a crash before and after the commit of every message, answer and deadline; and
so again with one service, another for each life, hearing everything last. It must end alike.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from services.inventory.domain.shelves import EXPIRY
from services.orders.domain.order import SILENCE
from tests.builders.risk import a_document, a_rule
from tests.fixtures.bench import BenchFactory
from tests.integration.orders.conftest import HASH_KEY
from tests.integration.orders.platform import CARRIER_SECRET, Crashes, Platform, a_platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SETTINGS: dict[str, dict[str, Any]] = {
    "orders": {"pii_hash_key": HASH_KEY},
    "logistics": {"carrier_webhook_secret": CARRIER_SECRET},
    "payments": {"provider_key": "sk_provider_test", "provider_webhook_secret": CARRIER_SECRET},
}
RULES = a_document(
    a_rule({"ge": [{"fact": "units"}, 50]}, id="many", points=100),
    a_rule({"ge": [{"fact": "units"}, 20]}, id="some", points=60),
)
SERVICES = ("orders", "inventory", "risk", "logistics", "payments")
Life = Callable[[Platform], Awaitable[tuple[str, str]]]


@pytest_asyncio.fixture
async def platform(service_bench: BenchFactory, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Platform]:
    made = await a_platform(service_bench, Crashes(), monkeypatch, SETTINGS)
    async with made["risk"].client as client:
        assert (await client.put("/v1/rule-sets", json=RULES)).status_code == 200
    yield made


# ── Lives: (order id, SKU) ────────────────────────────────────────────────────────────────────────────────────────────


async def delivered(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5)
    order_id = await platform.place(sku)
    await platform.settle()
    await platform.scan(order_id, "picked_up")
    await platform.scan(order_id, "delivered")
    return order_id, sku


async def refunded(platform: Platform) -> tuple[str, str]:
    order_id, sku = await delivered(platform)
    body = {"order_id": order_id, "amount": {"amount": "500", "currency": "EUR"}, "reason": "goodwill"}
    await platform.post("payments", "/v1/refunds", body, 202)
    await platform.settle()
    return order_id, sku


async def declined(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5)
    order_id = await platform.place(sku, token="tok_declined")
    await platform.settle()
    return order_id, sku


async def the_bank_was_silent(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5)
    order_id = await platform.place(sku, token="tok_timeout")
    await platform.settle()
    return order_id, sku


async def out_of_stock(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(0)
    order_id = await platform.place(sku)
    await platform.settle()
    return order_id, sku


async def rejected_by_risk(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(60)
    order_id = await platform.place(sku, quantity=50)
    await platform.settle()
    return order_id, sku


async def _reviewed(platform: Platform, decision: str) -> tuple[str, str]:
    sku = await platform.stock(60)
    order_id = await platform.place(sku, quantity=20)
    await platform.settle()
    review_id = await platform["risk"].database.fetchval("SELECT review_id FROM review WHERE order_id = $1", order_id)
    await platform.post("risk", f"/v1/reviews/{review_id}/decision", {"decision": decision, "note": "called them"}, 200)
    await platform.settle()
    return order_id, sku


async def reviewed_and_approved(platform: Platform) -> tuple[str, str]:
    return await _reviewed(platform, "approve")


async def reviewed_and_refused(platform: Platform) -> tuple[str, str]:
    return await _reviewed(platform, "reject")


async def held_for_papers_and_cleared(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5, hs_code="")
    order_id = await platform.place(sku)
    await platform.settle()
    await platform.publish(sku, version=2)
    return order_id, sku


async def prohibited(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5, category="ivory")
    order_id = await platform.place(sku)
    await platform.settle()
    return order_id, sku


async def cancelled_at_once(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5)
    order_id = await platform.place(sku)
    await platform.cancel(order_id)
    return order_id, sku


async def cancelled_after_booking(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5)
    order_id = await platform.place(sku)
    await platform.settle()
    await platform.cancel(order_id)
    return order_id, sku


async def cancelled_too_late(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5)
    order_id = await platform.place(sku)
    await platform.settle()
    platform.held_back = {"orders"}  # the buyer changes their mind before orders hears of the hand-over
    await platform.scan(order_id, "picked_up")
    await platform.cancel(order_id)
    platform.held_back = set()
    await platform.settle()
    await platform.scan(order_id, "delivered")
    return order_id, sku


async def _paid_after_expiry(platform: Platform, *, sold_out: bool) -> tuple[str, str]:
    sku = await platform.stock(1)
    platform.calls_wait = True
    order_id = await platform.place(sku)
    await platform.settle()
    await platform.due("inventory", EXPIRY, order_id)
    if sold_out:
        await platform.sell(sku)
        await platform.settle()
    platform.calls_wait = False
    await platform.settle()
    return order_id, sku


async def paid_after_expiry(platform: Platform) -> tuple[str, str]:
    return await _paid_after_expiry(platform, sold_out=False)


async def paid_after_expiry_and_sold_out(platform: Platform) -> tuple[str, str]:
    return await _paid_after_expiry(platform, sold_out=True)


async def sold_by_a_channel_and_prohibited(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(5, category="ivory")
    order_id = await platform.sell(sku)
    await platform.settle()
    return order_id, sku


async def sold_by_a_channel_short_and_given_up(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(0)
    order_id = await platform.sell(sku)
    await platform.settle()
    await platform.cancel(order_id, "seller")
    return order_id, sku


async def sold_by_a_channel_short_and_served(platform: Platform) -> tuple[str, str]:
    sku = await platform.stock(0)
    order_id = await platform.sell(sku)
    await platform.settle()
    await platform.receive(sku, 3)
    return order_id, sku


async def _silent(platform: Platform, *whom: str, times: int) -> tuple[str, str]:
    sku = await platform.stock(5)
    platform.held_back = set(whom)
    order_id = await platform.place(sku)
    await platform.settle()
    for _ in range(times):
        sql = (
            "UPDATE orders SET patient_until = now() - interval '1 second' WHERE id = $1 AND patient_until IS NOT NULL"
        )
        await platform["orders"].database.execute(sql, order_id)
        await platform.due("orders", SILENCE, order_id)
    platform.held_back = set()
    await platform.settle()
    return order_id, sku


async def everybody_was_silent_and_answered_the_question(platform: Platform) -> tuple[str, str]:
    return await _silent(platform, "inventory", "risk", "logistics", times=1)


async def payments_was_silent_and_answered_the_question(platform: Platform) -> tuple[str, str]:
    return await _silent(platform, "payments", times=1)


async def payments_was_silent_until_a_person_was_told(platform: Platform) -> tuple[str, str]:
    return await _silent(platform, "payments", times=2)


async def risk_was_silent_until_it_was_given_up(platform: Platform) -> tuple[str, str]:
    return await _silent(platform, "risk", times=2)


CONFIRMED = {
    "order": ("confirmed", "authorised", "booked"), "stock": "committed", "payment": "authorised", "shipment": "booked",
    "taken": 0, "charges": ["authorised"], "labels": 1, "level": (5, 1),
}  # fmt: skip
DELIVERED = {
    "order": ("completed", "captured", "delivered"), "stock": "consumed", "payment": "captured", "shipment": "delivered",
    "taken": 1299, "charges": ["captured"], "labels": 1, "level": (4, 0),
}  # fmt: skip
CANCELLED = {
    "order": ("cancelled", "voided", "cancelled"), "stock": "released", "payment": "voided", "shipment": "cancelled",
    "taken": 0, "charges": ["voided"], "labels": 0, "level": (5, 0),
}  # fmt: skip
NEVER_PAID = {"payment": None, "taken": 0, "charges": [], "shipment": "cancelled", "labels": 0}
BOOKED_AND_BACK = {
    "payment": "captured", "refunds": [("succeeded", 1299)], "taken": 0, "charges": [], "shipment": "cancelled", "labels": 0,
}  # fmt: skip

LIVES: dict[Life, dict[str, Any]] = {
    delivered: DELIVERED,
    refunded: DELIVERED | {"order": ("completed", "partially_refunded", "delivered"), "taken": 799, "refunds": [("succeeded", 500)]},
    declined: {
        "order": ("rejected", "declined", "unfulfilled"), "reasons": ["payment.card_declined"], "stock": "released",
        "payment": "declined", "taken": 0, "charges": ["declined"], "shipment": "cancelled", "labels": 0, "level": (5, 0),
    },
    the_bank_was_silent: CONFIRMED,
    out_of_stock: NEVER_PAID | {"order": ("rejected", "none", "unfulfilled"), "reasons": ["stock.insufficient"], "stock": "released"},
    rejected_by_risk: NEVER_PAID | {"order": ("rejected", "none", "unfulfilled"), "stock": "released", "level": (60, 0)},
    reviewed_and_approved: CONFIRMED | {"level": (60, 20)},
    reviewed_and_refused: NEVER_PAID | {
        "order": ("rejected", "none", "unfulfilled"), "stock": "released", "level": (60, 0),
    },
    held_for_papers_and_cleared: CONFIRMED,
    prohibited: NEVER_PAID | {"order": ("rejected", "none", "unfulfilled"), "stock": "released", "level": (5, 0)},
    cancelled_at_once: NEVER_PAID | {"order": ("cancelled", "none", "unfulfilled"), "stock": "released", "level": (5, 0)},
    cancelled_after_booking: CANCELLED,
    cancelled_too_late: DELIVERED,
    paid_after_expiry: CONFIRMED | {"level": (1, 1)},
    paid_after_expiry_and_sold_out: CANCELLED | {"level": (1, 1)},
    sold_by_a_channel_and_prohibited: BOOKED_AND_BACK | {
        "order": ("rejected", "refunded", "unfulfilled"), "stock": "released", "level": (5, 0),
    },
    sold_by_a_channel_short_and_given_up: BOOKED_AND_BACK | {"order": ("cancelled", "refunded", "unfulfilled"), "stock": "released"},
    sold_by_a_channel_short_and_served: CONFIRMED | {
        "order": ("confirmed", "captured", "booked"), "payment": "captured", "charges": [], "level": (3, 1),
    },
    everybody_was_silent_and_answered_the_question: CONFIRMED,
    payments_was_silent_and_answered_the_question: CONFIRMED,
    payments_was_silent_until_a_person_was_told: CONFIRMED | {"holds": []},
    risk_was_silent_until_it_was_given_up: NEVER_PAID | {
        "order": ("rejected", "none", "unfulfilled"), "reasons": ["risk.silent"], "stock": "released", "level": (5, 0),
    },
}  # fmt: skip


async def lead(platform: Platform, life: Life, *, crashes: bool, late: str = "") -> dict[str, Any]:
    platform.crashes.everywhere, platform.late = crashes, late
    order_id, sku = await life(platform)
    platform.crashes.everywhere, platform.late = False, ""
    await platform.settle()
    return await platform.outcome(order_id) | {"level": await platform.level(sku)}


@pytest.mark.parametrize(
    ("life", "late"),
    [(life, SERVICES[number % len(SERVICES)]) for number, life in enumerate(LIVES)],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_a_life_ends_alike_whatever_crashes(platform: Platform, life: Life, late: str) -> None:
    undisturbed = await lead(platform, life, crashes=False)
    assert undisturbed.items() >= LIVES[life].items(), undisturbed
    assert await lead(platform, life, crashes=True) == undisturbed
    assert platform.crashes.met > 10, "the crashes were really met"
    assert await lead(platform, life, crashes=True, late=late) == undisturbed, f"{late} heard everything last"
    assert await platform.troubles() == []
