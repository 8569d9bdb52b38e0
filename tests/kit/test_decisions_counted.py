"""What a service decided is counted when it is committed: once, however often the transaction had to be run."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from services.inventory.main import SERVICE as INVENTORY
from services.orders.main import SERVICE as ORDERS
from services.payments.main import SERVICE as PAYMENTS
from services.risk.main import SERVICE as RISK
from shared.database import Stale
from tests.builders import inventory, orders, payments, risk
from tests.fixtures.bench import Bench, BenchFactory

pytestmark = pytest.mark.integration

PROVIDER = {
    "provider_url": "http://127.0.0.1:9",
    "provider_key": SecretStr("sk_test"),
    "provider_webhook_secret": SecretStr("whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"),
}


@pytest.fixture
def counted_when_run_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Bench, Callable[[], Awaitable[Any]], str, dict[str, str]], Awaitable[float]]:
    """By how much a sample rises while the first transaction is beaten by another replica after it has saved."""

    async def run_twice(bench: Bench, act: Callable[[], Awaitable[Any]], metric: str, labels: dict[str, str]) -> float:
        save, runs = bench.kit.desk.save, 0

        async def beaten_once(state: Any, connection: Any) -> None:
            nonlocal runs
            await save(state, connection)
            runs += 1
            if runs == 1:
                raise Stale("another replica was faster")

        monkeypatch.setattr(bench.kit.desk, "save", beaten_once)
        before = REGISTRY.get_sample_value(metric, labels) or 0.0
        await act()
        assert runs == 2
        return (REGISTRY.get_sample_value(metric, labels) or 0.0) - before

    return run_twice


async def test_a_reservation_counts_once(service_bench: BenchFactory, counted_when_run_twice: Any) -> None:
    bench = await service_bench(INVENTORY)
    rise = await counted_when_run_twice(
        bench, lambda: bench.deliver(inventory.placed()), "freeport_stock_reservations_total", {"outcome": "refused"}
    )
    assert rise == 1


async def test_an_assessment_counts_once(service_bench: BenchFactory, counted_when_run_twice: Any) -> None:
    bench = await service_bench(RISK)
    rise = await counted_when_run_twice(
        bench, lambda: bench.deliver(risk.placed()), "freeport_risk_decisions_total", {"decision": "approve"}
    )
    assert rise == 1


async def test_a_payment_counts_once(service_bench: BenchFactory, counted_when_run_twice: Any) -> None:
    bench = await service_bench(PAYMENTS, **PROVIDER)
    rise = await counted_when_run_twice(
        bench,
        lambda: bench.deliver(payments.a_payment_request()),
        "freeport_payments_total",
        {"outcome": "authorising"},
    )
    assert rise == 1


async def test_an_order_counts_once(service_bench: BenchFactory, counted_when_run_twice: Any) -> None:
    bench = await service_bench(ORDERS, pii_hash_key="0123456789abcdef0123456789abcdef")
    await bench.deliver(orders.a_product("MUG"), orders.a_product("TEA"))
    async with bench.client as client:
        rise = await counted_when_run_twice(
            bench,
            lambda: client.post("/v1/orders", json=orders.order_json()),
            "freeport_orders_total",
            {"market": "DE", "state": "placed"},
        )
    assert rise == 1
