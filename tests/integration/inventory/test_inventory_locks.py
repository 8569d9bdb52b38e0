"""What another replica does between reading which SKUs to lock and locking them, step by step."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.contracts.inventory import ReservationBroken, StockReserved
from tests.builders.inventory import order_id
from tests.fixtures.bench import STORE, Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration

_ADD = """
INSERT INTO reservation (order_id, store_id, status, demand, skus, country, refusable, confirmed, allocations, restocked,
    taken_at, rank)
VALUES ($1, $2, $3, $4::text::jsonb, $5, 'DE', $6, false, $7::text::jsonb, '{}',
    now(), to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS') || '-' || $1)
"""


@asynccontextmanager
async def another_replica_decides(bench: Bench, sku: str) -> AsyncGenerator[Any]:
    """A transaction of another replica that holds the lock of `sku`; it commits when the bench waits for that lock."""
    connection = await asyncpg.connect(bench.place.app_url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM stock_item WHERE sku = $1 FOR UPDATE", sku)
            yield connection
            async with asyncio.timeout(10):
                while not await bench.database.fetchval(  # noqa: ASYNC110 (another process, so no event)
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
                ):
                    await asyncio.sleep(0.01)  # only the server knows who waits for a lock
    finally:
        await connection.close()


async def test_a_hold_that_came_meanwhile_breaks_too(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", A=1, B=1)
    with capture_logs() as logs:
        async with another_replica_decides(bench, "A") as other:
            counting = asyncio.create_task(adjust("count", A=0))
            part = '{{"sku":"{}","warehouse":"BER","country":"DE","quantity":1}}'
            parts = f"[{part.format('A')},{part.format('B')}]"
            await other.execute("UPDATE stock_level SET reserved = 1")
            await other.execute(_ADD, order_id(1), STORE, "held", '{"A":1,"B":1}', ["A", "B"], True, parts)
        answer = await counting
    assert answer["broken_reservations"] == 1
    assert [event.order_id for event in await bench.published(ReservationBroken)] == [order_id(1)]
    assert await bench.database.fetchval("SELECT sum(reserved) FROM stock_level") == 0
    # B was not locked at first, so the batch was decided again.
    assert [entry["event"] for entry in logs] == ["batch.retry"]


async def test_an_order_that_joined_the_line_meanwhile_is_served_next(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", A=1, B=1)
    await adjust("write_off", A=1)
    async with another_replica_decides(bench, "A") as other:
        receiving = asyncio.create_task(adjust("receipt", A=1))
        await other.execute(_ADD, order_id(1), STORE, "waiting", '{"A":1,"B":1}', ["A", "B"], False, "[]")
    await receiving
    assert await bench.published(StockReserved) == []
    assert await bench.due("waiting.retry") == 1
    assert [event.order_id for event in await bench.published(StockReserved)] == [order_id(1)]
