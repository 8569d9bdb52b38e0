"""docs/webhooks.md is followed word by word: its receiver runs, its curls are sent, and the receiver believes what it hears."""

import asyncio
import json
import os
import re
import shlex
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from freeport.processes import LOOPBACK, free_port
from services.orders.main import SERVICE
from tests.builders import orders as build
from tests.fixtures.bench import BenchFactory
from tests.integration.orders.conftest import HASH_KEY
from tests.integration.orders.webhooks import details, order, tell

pytestmark = pytest.mark.integration

GUIDE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text("utf-8")
PORT_OF_THE_GUIDE = "8099"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def curls() -> list[list[str]]:
    """The arguments of every curl, in the order of the guide."""
    words = [word for block in blocks("bash") for word in shlex.split(block)]
    starts = [place for place, word in enumerate(words) if word == "curl"]
    return [words[start + 1 : end] for start, end in pairwise([*starts, len(words)])]


async def send(client: httpx.AsyncClient, call: list[str], **values: str) -> httpx.Response:
    url = next(word for word in call if word.startswith("$ORDERS/v1/")).removeprefix("$ORDERS")
    headers = dict(call[place + 1].split(": ", 1) for place, word in enumerate(call) if word == "-H")
    assert headers.pop("Authorization") == "Bearer $KEY"
    body = call[call.index("-d") + 1] if "-d" in call else None
    for name, value in values.items():
        url, body = url.replace(f"${name}", value), body.replace(name, value) if body else None
    method = call[call.index("-X") + 1] if "-X" in call else "POST" if body else "GET"
    return await client.request(method, url, headers=headers, content=body)


async def test_the_guide_is_true(service_bench: BenchFactory, tmp_path: Path) -> None:
    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY, orders_webhooks_allow_local=True)
    await bench.deliver(build.a_product("MUG"), build.a_product("TEA"))
    create, ping, rotate, listed, one, again, enable, missed, delete = curls()
    port = str(free_port())
    async with bench.client as client:
        made = (await send(client, create, **{PORT_OF_THE_GUIDE: port})).json()
        promised = json.loads(blocks("json")[0].replace(PORT_OF_THE_GUIDE, port))
        assert made | promised == made
        (tmp_path / "receiver.py").write_text(blocks("python")[0])
        receiver = await asyncio.create_subprocess_exec(
            sys.executable,
            str(tmp_path / "receiver.py"),
            port,
            env=os.environ | {"WEBHOOK_SECRET": made["secret"]},
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await listening(int(port))
            assert (await send(client, ping, ENDPOINT=made["id"])).status_code == 202
            order_id = await order(bench)
            await bench.deliver(build.booked(order_id), build.dispatched(order_id), build.tracked(order_id))
            await tell(bench)
            assert (await send(client, rotate, ENDPOINT=made["id"])).json()["secret"] != made["secret"]
            await bench.deliver(build.delivered(order_id))
            await tell(bench)
            (seen,) = (await send(client, listed, ENDPOINT=made["id"])).json()["data"]
            assert seen["event_type"] == "logistics.shipment.delivered.v1"
            told = (await send(client, one, DELIVERY=seen["id"])).json()
            assert [attempt["status"] for attempt in told["log"]] == [204]
            assert told["payload"].keys() == json.loads(blocks("json")[1]).keys()
            assert (await send(client, again, DELIVERY=seen["id"])).json()["status"] == "pending"
            await tell(bench)
            assert [attempt["status"] for attempt in (await details(bench, seen["id"]))["log"]] == [204, 204]
            assert (await send(client, enable, ENDPOINT=made["id"])).json()["disabled"] is False
            yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
            since = {"2026-11-23T08:00:00Z": yesterday}
            assert (await send(client, missed, ENDPOINT=made["id"], **since)).json() == {"resent": 0, "next": None}
            assert (await send(client, delete, ENDPOINT=made["id"])).status_code == 204
        finally:
            receiver.terminate()
        heard = (await receiver.communicate())[0].decode().split()
    kinds = [word for word in heard if word.startswith(("freeport.", "logistics.", "orders.", "risk."))]
    assert kinds[0] == "freeport.ping"
    assert sorted(kinds[1:]) == sorted(  # each once, though one came twice, and nothing that was not asked for
        f"logistics.shipment.{what}.v1" for what in ("booked", "dispatched", "tracked", "delivered")
    )
    assert order_id in heard


async def listening(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
