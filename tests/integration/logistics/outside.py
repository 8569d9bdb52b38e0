"""The outside of logistics on a bench: the sandbox carrier over loopback sockets, and orders' recipients."""

import asyncio
import json
import socket
from base64 import urlsafe_b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from freeport.sandbox.carrier.app import create_app
from freeport.sandbox.carrier.settings import Settings as CarrierSettings
from tests.builders.logistics import RECIPIENT
from tests.fixtures.bench import Bench

KEY = "carrier-key"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
INTERNAL_KEY = "sk_internal"


class Orders:
    """Orders' internal route: who gets what; every order goes to Köln unless told otherwise."""

    def __init__(self) -> None:
        self.recipients: dict[str, dict[str, Any]] = {}
        self.unknown: set[str] = set()
        self.asked: list[list[str]] = []
        self.down = False
        self.app = FastAPI()
        self.app.add_api_route("/internal/v1/recipients:batch", self.answer, methods=["POST"])

    async def answer(self, request: Request) -> Response:
        if self.down or request.headers["authorization"] != f"Bearer {INTERNAL_KEY}":
            return Response(status_code=503)
        orders = (await request.json())["order_ids"]
        self.asked.append(orders)
        known = [
            self.recipients.get(each, RECIPIENT) | {"order_id": each} for each in orders if each not in self.unknown
        ]
        return Response(json.dumps({"data": known, "missing": [each for each in orders if each in self.unknown]}))


class World:
    """Where everything listens, and the settings that logistics needs to find it."""

    def __init__(self, orders: Orders, orders_url: str, carrier_url: str) -> None:
        self.orders = orders
        self.signing_key = Ed25519PrivateKey.generate()
        self.settings: dict[str, Any] = {
            "orders_url": orders_url,
            "internal_key": INTERNAL_KEY,
            "carrier_url": carrier_url,
            "carrier_key": KEY,
            "carrier_webhook_secret": SECRET,
            "quote_private_key": urlsafe_b64encode(self.signing_key.private_bytes_raw()).decode(),
            "quote_key_id": "q1",
        }
        self.carrier = httpx.AsyncClient(base_url=carrier_url, headers={"authorization": f"Bearer {KEY}"}, timeout=10)

    async def book(self) -> dict[str, Any]:
        return (await self.carrier.get("/book")).json()

    async def advance(self, hours: float) -> None:
        answer = await self.carrier.post("/clock/advance", json={"hours": hours})
        answer.raise_for_status()


class Ear:
    """Where the carrier sends its webhooks: a bench's API, once there is one."""

    def __init__(self) -> None:
        self.bench: Bench | None = None
        self.heard = 0
        self.statuses: list[int] = []
        self.late: list[tuple[dict[str, str], bytes]] = []
        self.changed = asyncio.Event()
        self.app = FastAPI()
        self.app.add_api_route("/webhooks/carrier", self.take, methods=["POST"])

    async def take(self, request: Request) -> Response:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")
        heard = {name: request.headers[name] for name in names}, await request.body()
        if self.bench is None:
            self.late.append(heard)
            return Response(status_code=200)
        return await self._pass_on(self.bench, *heard)

    async def hear_at_last(self, bench: Bench) -> None:
        """What came while nobody listened, newest first; from now on everything is heard at once."""
        self.bench = bench
        while self.late:
            await self._pass_on(bench, *self.late.pop())

    async def _pass_on(self, bench: Bench, headers: dict[str, str], body: bytes) -> Response:
        async with bench.client_of(None) as client:
            answer = await client.post("/webhooks/carrier", content=body, headers=headers)
        self.heard += 1
        self.statuses.append(answer.status_code)
        self.changed.set()
        return Response(answer.content, answer.status_code)

    async def until(self, enough: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds, looking again after every webhook."""
        async with asyncio.timeout(30):
            while True:
                self.changed.clear()  # before looking: what comes while we look counts
                if await enough():
                    return
                await self.changed.wait()


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and leaves the test run's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[str]:
    """An ASGI application on a free port of 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2)
        server = _Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with asyncio.timeout(10):
            await server.up.wait()
        try:
            yield url
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def a_world(directory: Path, **carrier: Any) -> AsyncGenerator[tuple[World, Ear]]:
    """The sandbox carrier and orders, each on its own port; the ear hears the carrier's webhooks."""
    orders, ear = Orders(), Ear()
    async with serving(orders.app) as orders_url, serving(ear.app) as ear_url:
        settings = CarrierSettings(
            state_dir=directory,
            carrier_key=SecretStr(KEY),
            carrier_webhook_secret=SecretStr(SECRET),
            logistics_url=ear_url,
            **carrier,
        )
        async with serving(create_app(settings)) as carrier_url:
            world = World(orders, orders_url, carrier_url)
            async with world.carrier:
                yield world, ear
