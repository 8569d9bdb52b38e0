"""What the seller decides about a short order, over the API and a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.orders.domain.order import STOCK_WAIT
from shared.contracts.orders import OrderCancelled
from tests.builders import orders as build
from tests.fixtures.bench import Bench

pytestmark = pytest.mark.integration


async def a_short_order(bench: Bench) -> str:
    async with bench.client as client:
        (sold,) = (await client.post("/v1/orders:import", json={"orders": [build.import_json()]})).json()["data"]
    await bench.deliver(build.refused(sold["id"], waiting=True))
    return sold["id"]


async def decide(bench: Bench, order_id: str, **decision: Any) -> httpx.Response:
    async with bench.client as client:
        return await client.post(f"/v1/orders/{order_id}/stock-decision", json=decision)


async def holds(bench: Bench, order_id: str) -> list[dict[str, Any]]:
    async with bench.client as client:
        return (await client.get(f"/v1/orders/{order_id}")).json()["holds"]


async def test_the_hold_shows_the_choices_and_until_when_it_waits(bench: Bench) -> None:
    order_id = await a_short_order(bench)
    (before,) = await holds(bench, order_id)
    assert (before["choices"], before["wait_until"]) == (["wait", "cancel"], None)
    until = datetime.now(UTC) + timedelta(days=3)
    answer = await decide(bench, order_id, decision="wait", until=until.isoformat())
    assert answer.status_code == 200, answer.text
    (hold,) = answer.json()["holds"]
    assert datetime.fromisoformat(hold["wait_until"]) == until
    assert await bench.database.fetchval("SELECT due_at FROM deadline WHERE kind = $1", STOCK_WAIT) == until


async def test_when_the_time_is_over_a_person_is_told_until_stock_comes(bench: Bench) -> None:
    order_id = await a_short_order(bench)
    await decide(bench, order_id, decision="wait", until=(datetime.now(UTC) + timedelta(days=3)).isoformat())
    assert await bench.due(STOCK_WAIT, order_id) == 1
    assert [hold["code"] for hold in await holds(bench, order_id)] == ["stock"], "a deadline that came early"
    await decide(bench, order_id, decision="wait", until=(datetime.now(UTC) + timedelta(days=3)).isoformat())
    past = "UPDATE orders SET facts = jsonb_set(facts, '{stock_wait_until}', to_jsonb(now() - interval '1 second'))"
    await bench.database.execute(past)
    assert await bench.due(STOCK_WAIT, order_id) == 1
    found = {hold["code"]: hold["reasons"][0]["code"] for hold in await holds(bench, order_id)}
    assert found == {"stock": "stock.insufficient", "needs_attention": "stock.wait_over"}
    await bench.deliver(build.reserved(order_id))
    assert await holds(bench, order_id) == []


async def test_stock_that_comes_takes_the_deadline_away(bench: Bench) -> None:
    order_id = await a_short_order(bench)
    await decide(bench, order_id, decision="wait", until=(datetime.now(UTC) + timedelta(days=3)).isoformat())
    await bench.deliver(build.reserved(order_id))
    assert await bench.database.fetchval("SELECT count(*) FROM deadline WHERE kind = $1", STOCK_WAIT) == 0


async def test_an_order_that_is_given_up_ends_when_its_money_is_booked(bench: Bench) -> None:
    order_id = await a_short_order(bench)
    answer = await decide(bench, order_id, decision="cancel", reason="out_of_stock")
    assert answer.status_code == 202, answer.text
    assert answer.json()["holds"][0]["choices"] == []
    await bench.deliver(build.captured(order_id))
    (ended,) = await bench.published(OrderCancelled)
    assert (ended.reason, ended.requested_by) == ("out_of_stock", "seller")


@pytest.mark.parametrize(
    "decision",
    [
        {"decision": "wait"},
        {"decision": "cancel"},
        {"decision": "wait", "until": "2099-01-01T00:00:00Z", "reason": "out_of_stock"},
        {"decision": "cancel", "reason": "Because I said so"},
        {"decision": "wait", "until": "2001-01-01T00:00:00Z"},
    ],
)
async def test_a_decision_that_is_none_is_refused(bench: Bench, decision: dict[str, Any]) -> None:
    order_id = await a_short_order(bench)
    assert (await decide(bench, order_id, **decision)).status_code == 422
    assert await bench.database.fetchval("SELECT count(*) FROM deadline WHERE kind = $1", STOCK_WAIT) == 0


async def test_an_order_that_is_not_short_is_a_conflict(bench: Bench) -> None:
    order_id = await a_short_order(bench)
    await bench.deliver(build.reserved(order_id))
    answer = await decide(bench, order_id, decision="cancel", reason="out_of_stock")
    assert (answer.status_code, answer.json()["code"]) == (409, "order.not_short")
