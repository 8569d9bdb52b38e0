"""Inventory on a bench, with two warehouses and a way to stock them."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest_asyncio

from services.inventory.main import SERVICE
from tests.fixtures.bench import Bench, BenchFactory

Stock = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    bench = await service_bench(SERVICE)
    for code, kind, country in (("BER", "home", "DE"), ("NJ", "overseas", "US")):
        response = await bench.client.put(f"/v1/warehouses/{code}", json={"kind": kind, "country": country})
        assert response.status_code == 201, response.text
    return bench


@pytest_asyncio.fixture
async def adjust(bench: Bench) -> Stock:
    """`await adjust("receipt", MUG=5, warehouse="NJ")`; the answer's body."""

    async def adjust(kind: str, *, warehouse: str = "BER", **units: int) -> dict[str, Any]:
        lines = [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]
        body = {"kind": kind, "warehouse": warehouse, "reason": "a test", "lines": lines}
        response = await bench.client.post("/v1/stock/adjustments", json=body)
        assert response.status_code == 201, response.text
        return response.json()

    return adjust
