"""Webhooks on a bench: endpoints that point to a receiver of the test's own, and one round of the worker at a time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from services.orders.gateways.webhooks import Postman
from services.orders.webhook_worker import Round
from shared.outbound import GuardedTransport, Outbound, Rules
from tests.builders import orders as build
from tests.fixtures.bench import STORE, Bench
from tests.fixtures.receiver import Receiver

LOCAL = Rules(allow_local=True)


@asynccontextmanager
async def rounds(bench: Bench, rules: Rules = LOCAL, **transport: Any) -> AsyncGenerator[Round]:
    """What a process's worker goes by."""
    key = bench.kit.settings.pii_hash_key.get_secret_value().encode()
    async with Outbound(GuardedTransport(rules, **transport)) as out:
        yield Round(bench.database, bench.kit.desk, Postman(out, key))


async def tell(bench: Bench, rules: Rules = LOCAL, **transport: Any) -> int:
    """Make the tries that may be made now, and let them be decided. Returns how many there were."""
    told = 0
    async with rounds(bench, rules, **transport) as round_:
        while letters := await round_.claim(64):
            for letter in letters:
                await round_.send(letter)
            await round_.settle()
            told += len(letters)
    return told


async def hasten(bench: Bench) -> None:
    """As if the pauses before the next tries and all rests were over."""
    await bench.database.execute("UPDATE webhook_delivery SET next_at = now() WHERE status = 'pending'")
    await bench.database.execute("UPDATE webhook_endpoint SET resting_until = NULL")


async def call(
    bench: Bench, method: str, path: str, body: Any = None, *, store: str | None = STORE, **headers: str
) -> httpx.Response:
    async with bench.client_of(store) as client:
        return await client.request(method, f"/v1{path}", json=body, headers=headers)


async def endpoint(
    bench: Bench, to: Receiver | str, *event_types: str, store: str = STORE, path: str = "/hook"
) -> dict[str, Any]:
    """A new endpoint, with its secret."""
    url = to if isinstance(to, str) else f"{to.url}{path}"
    body = {"url": url, "event_types": list(event_types or ("*",))}
    answer = await call(bench, "POST", "/webhook-endpoints", body, store=store)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def order(bench: Bench, store: str = STORE) -> str:
    """A placed order, with risk's approval heard: one event for the webhooks."""
    async with bench.client_of(store) as client:
        answer = await client.post("/v1/orders", json=build.order_json())
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["id"]
    await bench.deliver(build.approved(order_id), store=store)
    return order_id


async def deliveries(bench: Bench, store: str = STORE, **wanted: str) -> list[dict[str, Any]]:
    async with bench.client_of(store) as client:
        answer = await client.get("/v1/webhook-deliveries", params=wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def details(bench: Bench, delivery_id: str) -> dict[str, Any]:
    answer = await call(bench, "GET", f"/webhook-deliveries/{delivery_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()
