import pytest

from shared.contracts.orders import OrderConfirmed
from tests.fixtures.bench import BenchFactory
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration


async def test_a_command_is_answered_and_replayed(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    async with bench.client as client:
        first = await client.post("/v1/additions", json={"name": "a", "units": 2}, headers={"idempotency-key": "k1"})
        again = await client.post("/v1/additions", json={"name": "a", "units": 2}, headers={"idempotency-key": "k1"})
        other = await client.post("/v1/additions", json={"name": "a", "units": 3}, headers={"idempotency-key": "k1"})
    assert (first.status_code, first.json()) == (201, {"name": "a", "count": 2}), first.text
    assert (again.status_code, again.json(), again.headers["idempotent-replayed"]) == (
        201,
        {"name": "a", "count": 2},
        "true",
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.mismatch")
    await bench.deliver(OrderConfirmed(order_id="o1", allocations=()), OrderConfirmed(order_id="o2", allocations=()))
    assert len(await bench.published()) == 3
    assert await bench.due() == 2
    rung = []

    async def ring(call):
        rung.append(call)
        return None if len(rung) < 3 else {"ok": True}

    assert await bench.calls({"till.ring": ring}) == 4
    assert await bench.database.fetchval("SELECT units FROM till WHERE name='rung'") == 2
