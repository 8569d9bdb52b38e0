"""A message that nobody can decide stops its own order and no other, and an operator gets it going again."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaProducer

from freeport.api import until
from freeport.audit.command import audit_platform, examine
from freeport.demo.world import UNTIL_DELIVERED_H, UNTIL_PICKED_UP_H, Order, World
from freeport.layout import ROOT
from freeport.platform import Platform
from shared.contracts.orders import HoldCleared, OrderConfirmed
from shared.contracts.topics import ORDER
from shared.ids import new_id
from shared.messaging.codec import headers_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

CONSUMERS = {"inventory", "orders", "logistics", "payments", "support", "risk"}


async def test_one_poisonous_event_halts_one_order_until_it_is_redriven(world: World, platform: Platform) -> None:
    sku = await world.put_goods("poison", 20)
    order = await world.until_held(await world.placed(sku, bank="3ds"), "payment_action")
    async with database(platform, "orders") as orders:
        head = await orders.fetchval(
            "SELECT sequence FROM stream_head WHERE topic = $1 AND key = $2", ORDER.name, order["id"]
        )
    await produce(platform, order, head + 1, b'{"order_id": 7')
    letters = await open_letters(platform, order, CONSUMERS)
    assert {letter["sequence"] for letter in letters.values()} == {head + 1}

    # The true event comes under the same sequence. It waits in the poison's place, and what follows waits behind it.
    await world.confirm_at_bank(order["payment"]["action_url"])
    order = await world.until_status(order, "confirmed")
    await delivered(world, [await world.placed(sku) for _ in range(5)])
    assert (await world.look(order))["fulfilment_status"] == "unfulfilled"
    shown = await until(
        lambda: dlq(platform, "show", letters["logistics"]["id"], "--json"),
        lambda letter: letter["copied"] and letter["waiting"]["count"] > 0,
        "the true event and its follower",
    )
    assert (shown["key"], shown["payload"], shown["attempts"]) == (order["id"], '{"order_id": 7', 3)
    assert "does not fit its contract" in shown["error"]
    await until(
        lambda: metric(platform, "logistics", 'freeport_dead_letters_open{source="event"}'),
        lambda letters: letters == 1,
        "the metric of open letters",
    )
    listed = {findings.name: findings.items for findings in (await examine(platform, wait=0)).attention}
    assert [item.about for item in listed["letters.open"]] == [order["id"]] * len(CONSUMERS)

    outcomes = await dlq(
        platform, "redrive", "--all", "--key", order["id"], "--as", "maria", "--reason", "sent right by now", "--json"
    )
    assert {(outcome["service"], outcome["result"]) for outcome in outcomes} == {
        (service, "decided") for service in CONSUMERS
    }
    await delivered(world, [order])
    assert (await dlq(platform, "list", "--key", order["id"], "--json"))["letters"] == []
    [done] = (await dlq(platform, "show", letters["logistics"]["id"], "--json"))["actions"]
    assert (done["operator"], done["action"], done["reason"], done["outcome"]) == (
        "maria",
        "dead_letter.redrive",
        "sent right by now",
        "done",
    )
    await assert_sound(platform)


async def test_an_event_that_is_parked_is_gone_without_and_its_order_goes_on(world: World, platform: Platform) -> None:
    sku = await world.put_goods("parked", 20)
    order = await world.until_held(await world.placed(sku, bank="3ds"), "payment_action")
    async with database(platform, "orders") as orders:
        stream = ORDER.name, order["id"]
        await orders.execute("UPDATE stream_head SET halted = true WHERE topic = $1 AND key = $2", *stream)
        await world.confirm_at_bank(order["payment"]["action_url"])
        await world.until_status(order, "confirmed")
        # A broken release writes an event that nobody can read, and that nobody needs.
        await orders.execute(
            "UPDATE outbox SET payload = '{}' WHERE topic = $1 AND key = $2 AND type = $3",
            *stream,
            HoldCleared.event_type,
        )
        await orders.execute("UPDATE stream_head SET halted = false WHERE topic = $1 AND key = $2", *stream)
    letters = await open_letters(platform, order, CONSUMERS)
    ids = [letter["id"] for letter in letters.values()]
    outcomes = await dlq(platform, "park", *ids, "--reason", "nobody needs it", "--json")
    assert [outcome["result"] for outcome in outcomes] == ["parked"] * len(CONSUMERS)
    await delivered(world, [order])
    assert {letter["reason"] for letter in await listed(platform, order, "parked")} == {"nobody needs it"}
    await assert_sound(platform)


async def produce(platform: Platform, order: Order, sequence: int, payload: bytes) -> None:
    """As nobody should: straight into the topic."""
    headers = headers_of(
        event_id=new_id("evt"),
        event_type=OrderConfirmed.event_type,
        source="orders",
        key=order["id"],
        sequence=sequence,
        time=datetime.now(UTC),
        extensions={},
    )
    producer = AIOKafkaProducer(bootstrap_servers=platform.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(ORDER.name, key=order["id"].encode(), value=payload, headers=headers)
    finally:
        await producer.stop()


async def delivered(world: World, orders: list[Order]) -> None:
    booked = [await world.until_booked(order) for order in orders]
    await world.pass_hours(UNTIL_PICKED_UP_H)
    await world.pass_hours(UNTIL_DELIVERED_H)
    for order in booked:
        await world.until_status(order, "completed")


async def open_letters(platform: Platform, order: Order, services: set[str]) -> dict[str, dict[str, Any]]:
    letters = await until(
        lambda: listed(platform, order, "open"),
        lambda found: {letter["service"] for letter in found} == services,
        f"a dead letter in each of {sorted(services)}",
    )
    return {letter["service"]: letter for letter in letters}


async def listed(platform: Platform, order: Order, state: str) -> list[dict[str, Any]]:
    return (await dlq(platform, "list", "--state", state, "--key", order["id"], "--json"))["letters"]


async def dlq(platform: Platform, *arguments: str) -> Any:
    """`freeport dlq … --json`, as an operator types it."""
    command = (sys.executable, "-m", "freeport", "dlq", *arguments, "--home", str(platform.home.directory))
    answer = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


@asynccontextmanager
async def database(platform: Platform, service: str) -> AsyncGenerator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(platform.database_url(service))
    try:
        yield connection
    finally:
        await connection.close()


async def metric(platform: Platform, service: str, name: str) -> float:
    async with httpx.AsyncClient(trust_env=False) as client:
        lines = (await client.get(f"{platform.urls[service]}/metrics")).text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


async def assert_sound(platform: Platform) -> None:
    verdicts = await audit_platform(platform, wait=60)
    assert {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok} == {}
