"""Clients of the cluster: buyers, a channel, a warehouse and a help desk, and the history of all they asked.

Each request is recorded with what became of it: ok, failed (refused for good), or unknown. An unknown one is asked again, at
the other replica, with the same Idempotency-Key, until it is known. What is asked comes from the seed alone.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import Any

import httpx

from freeport.demo.world import MARKETS, WAREHOUSE, World
from tests.chaos.cluster import Cluster

STOCK = 1_000_000
HOT_STOCK = 60
PLAIN_GOODS = 6
_TRY_WITHIN_S = 10.0  # longer than an order waits for its answer, shorter than a buyer's patience
_PAUSE_S = 0.25
_BUSY = frozenset({429, 503})
_HOURS_A_TICK, _TICK_S = 12, 4.0
_MARKETS = {"DE": 50, "US": 20, "AU": 15, "JP": 12, "BR": 3}
_BANKS = {
    "ok": 58,
    "insufficient_funds": 6,
    "3ds": 7,
    "timeout_after_charge": 3,
    "slow": 4,
    "webhook_twice": 5,
    "webhook_first": 5,
    "flaky": 4,
    "capture_timeout": 2,
    "void_timeout": 2,
    "cash": 4,
}


class Outcome(StrEnum):
    """What the client knows of a request."""

    UNKNOWN = "unknown"
    OK = "ok"
    FAILED = "failed"


@dataclass(slots=True)
class Request:
    """A write. `unknown` counts the tries that got no answer, `busy` those that were told to come again."""

    kind: str
    service: str
    path: str
    body: Mapping[str, Any]
    key: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    outcome: Outcome = Outcome.UNKNOWN
    status: int = 0
    answer: Any = None
    replayed: bool = False
    tries: int = 0
    unknown: int = 0
    busy: int = 0

    @property
    def order_id(self) -> str:
        """The order of a placed order's answer; empty without one."""
        return str(self.answer["id"]) if self.kind == "order" and self.outcome is Outcome.OK else ""

    def __str__(self) -> str:
        problem = self.answer.get("code", "") if isinstance(self.answer, dict) else ""
        return f"{self.kind} {self.key}: {self.outcome} {self.status} {problem}".rstrip()


class Shop:
    """Sends requests to the replicas in turn, and keeps the history."""

    def __init__(self, cluster: Cluster, http: httpx.AsyncClient) -> None:
        self._cluster = cluster
        self._http = http
        self._turn = 0
        self.history: list[Request] = []
        self.complaints: list[str] = []
        """What no client of a sound service would see: a 500, a refusal that makes no sense, two orders for one key."""

    async def send(self, request: Request) -> Request:
        """Ask until the outcome is known. Only a cancellation ends it sooner; the request then stays unknown."""
        self.history.append(request)
        while request.outcome is Outcome.UNKNOWN:
            pause = await self._try(request)
            await asyncio.sleep(pause)
        return request

    async def _try(self, request: Request) -> float:
        request.tries += 1
        headers = {"Idempotency-Key": request.key, **request.headers}
        try:
            response = await self.ask("POST", request.service, request.path, json=request.body, headers=headers)
        except httpx.TransportError:
            request.unknown += 1
            return _PAUSE_S
        return self._heard(request, response)

    def _heard(self, request: Request, response: httpx.Response) -> float:
        """Note what an answer tells; the seconds until the next try, if there is one."""
        status = request.status = response.status_code
        if status in _BUSY:
            if _code(response) == "request.outcome_unknown":
                request.unknown += 1
            else:
                request.busy += 1
            return _retry_after(response)
        if status >= 500:
            request.unknown += 1
            self.complaints.append(f"{request.kind} {request.key} was answered {status}: {response.text[:200]}")
            return _PAUSE_S
        request.outcome = Outcome.OK if response.is_success else Outcome.FAILED
        request.answer = response.json()
        request.replayed = response.headers.get("idempotent-replayed") == "true"
        if status in (400, 401, 403, 405):
            self.complaints.append(f"{request} makes no sense: {response.text[:200]}")
        return 0

    async def ask(self, method: str, service: str, path: str, *, replica: int = 0, **what: Any) -> httpx.Response:
        """One try at one replica: the next in turn, unless one is named. Raises httpx.TransportError."""
        if not replica:
            self._turn += 1
            replica = 1 + self._turn % len(self._cluster.replicas(service))
        url = self._cluster.ports.url(service, replica) + path
        headers = {"Authorization": f"Bearer {self._cluster.secrets.test_key}", **what.pop("headers", {})}
        return await self._http.request(method, url, headers=headers, **what)

    async def look(self, service: str, path: str) -> Any:
        """The body of a GET, asked until it is answered; None for 404."""
        while True:
            with contextlib.suppress(httpx.TransportError):
                response = await self.ask("GET", service, path)
                if response.is_success:
                    return response.json()
                if response.status_code == 404:
                    return None
            await asyncio.sleep(_PAUSE_S)


class Load:
    """Buyers who come at `rate` a second, and what else goes on in a shop."""

    def __init__(self, cluster: Cluster, world: World, shop: Shop, seed: int, rate: float) -> None:
        self.cluster = cluster
        self.world = world
        self.shop = shop
        self.rate = rate
        self.received: Counter[str] = Counter()
        """Units that the warehouse was told of, by SKU: the first stock and every acknowledged receipt."""
        self.goods: list[str] = []
        self.hot = ""
        self._rng = Random(f"{seed}/load")
        self._numbers = Counter[str]()
        self._lives: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, cluster: Cluster, seed: int, rate: float) -> "AsyncGenerator[Load]":
        """Goods are on the shelf and known everywhere; `start()` lets the buyers in."""
        limits = httpx.Limits(max_connections=300, max_keepalive_connections=50)
        async with (
            World.opened(cluster.platform) as world,
            httpx.AsyncClient(limits=limits, timeout=_TRY_WITHIN_S, trust_env=False) as http,
        ):
            load = cls(cluster, world, Shop(cluster, http), seed, rate)
            await load._stock_up()
            try:
                yield load
            finally:
                await load._end(load._loops)
                await load._end(load._lives)

    def start(self) -> None:
        """From now on there are buyers."""
        for loop in (self._buyers(), self._channel(), self._warehouse(), self._carrier(), self._help_desk()):
            self._loops.append(asyncio.create_task(loop))

    async def stop(self, *, within: float) -> list[Request]:
        """No new buyers; wait until every request is known. Gives those that still are not."""
        await self._end(self._loops)
        if self._lives:
            await asyncio.wait(self._lives, timeout=within)
        await self._end(self._lives)
        return [request for request in self.shop.history if request.outcome is Outcome.UNKNOWN]

    def orders(self, outcome: Outcome) -> list[Request]:
        """The placed orders of the history with that outcome."""
        return [request for request in self.shop.history if request.kind == "order" and request.outcome is outcome]

    def request(self, bank: str = "ok", *, sku: str = "", wait: int = 0) -> Request:
        """An order by a new buyer, not sent yet."""
        sku = sku or self._rng.choice(self.goods)
        market = self._rng.choices([*_MARKETS], [*_MARKETS.values()])[0]
        order = self.world.order(sku, self._rng.randint(1, 2), market=market, bank=bank)
        others = [name for name in self.goods if name != sku]
        more = self._rng.sample(others, self._rng.choices((0, 1, 2), (70, 20, 10))[0])
        order["lines"] += [{"sku": name, "quantity": 1} for name in more]
        if bank == "cash":
            order["payment"] = {"method": "cash_on_delivery"}
        headers = {"Prefer": f"wait={wait}"} if wait else {}
        return Request("order", "orders", "/v1/orders", order, self._key("order"), headers)

    async def place(self, bank: str = "ok", *, sku: str = "") -> Request:
        """An order by a new buyer, sent until its outcome is known."""
        return await self.shop.send(self.request(bank, sku=sku))

    def live(self, life: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside; `stop` waits for it."""
        task = asyncio.create_task(life)
        self._lives.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._lives.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.shop.complaints.append(f"a client broke: {error!r}")

    # ── What goes on ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _buyers(self) -> None:
        while True:
            await asyncio.sleep(self._rng.expovariate(self.rate))
            bank = self._rng.choices([*_BANKS], [*_BANKS.values()])[0]
            sku = self.hot if self._rng.random() < 0.15 else ""
            request = self.request(bank, sku=sku, wait=self._rng.choice((0, 0, 2)))
            self.live(self._buyer(request, bank, self._rng.random(), self._rng.uniform(0, 6)))

    async def _buyer(self, request: Request, bank: str, mood: float, later: float) -> None:
        """Order; see the bank where it asks; change one's mind now and then."""
        await self.shop.send(request)
        if request.outcome is Outcome.FAILED:
            return
        if mood < 0.08:
            await asyncio.sleep(later)
            await self._cancel(request.order_id)
        elif bank == "3ds" and mood < 0.8:
            await self._confirm_at_bank(request.order_id)

    async def _cancel(self, order_id: str) -> None:
        wish = {"reason": "changed_mind", "requested_by": "buyer"}
        path = f"/v1/orders/{order_id}/cancellation"
        await self.shop.send(Request("cancellation", "orders", path, wish, f"cancel-{order_id}"))

    async def _confirm_at_bank(self, order_id: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            order = await self.shop.look("orders", f"/v1/orders/{order_id}")
            url = (order or {}).get("payment", {}).get("action_url")
            if url:
                with contextlib.suppress(httpx.HTTPError):  # the bank is away, or the buyer came too late
                    await self.world.confirm_at_bank(url)
                    return
            if order is not None and order["status"] != "placed":
                return
            await asyncio.sleep(1)

    async def _channel(self) -> None:
        """A channel's orders come in in batches, the last batch now and then twice."""
        while True:
            await asyncio.sleep(self._rng.uniform(6, 14))
            orders = [self._sold() for _ in range(self._rng.randint(2, 5))]
            for _ in range(self._rng.choice((1, 1, 2))):
                request = Request("import", "orders", "/v1/orders:import", {"orders": orders}, self._key("import"))
                self.live(self._send(request))

    def _sold(self) -> dict[str, Any]:
        home = MARKETS["DE"]
        price = {"amount": str(home.price), "currency": home.currency}
        name = self._key("guest")  # one for each order, or risk would see a ring
        address = {
            "line1": f"{home.line} {name}",
            "city": home.city,
            "postcode": home.postcode,
            "country": home.country,
        }
        return {
            "market": "DE",
            "channel": "bazaar",
            "external_id": self._key("sold"),
            "placed_at": datetime.now(UTC).isoformat(),
            "lines": [{"sku": self._rng.choice(self.goods), "quantity": 1, "unit_price": price}],
            "recipient": {"name": name, "email": f"{name}@example.com", "address": address},
            "payment": "collected_by_channel",
        }

    async def _warehouse(self) -> None:
        """Deliveries of the hot product, and of others."""
        while True:
            await asyncio.sleep(self._rng.uniform(5, 12))
            sku = self._rng.choice((self.hot, self._rng.choice(self.goods)))
            self.live(self._receive(sku, self._rng.randint(3, 15)))

    async def _receive(self, sku: str, units: int) -> None:
        delivery = {
            "kind": "receipt",
            "warehouse": WAREHOUSE,
            "reason": "delivery",
            "lines": [{"sku": sku, "quantity": units}],
        }
        request = Request("receipt", "inventory", "/v1/stock/adjustments", delivery, self._key("receipt"))
        await self.shop.send(request)
        if request.outcome is Outcome.OK:
            self.received[sku] += units

    async def _carrier(self) -> None:
        """Time passes for the parcels."""
        while True:
            await asyncio.sleep(_TICK_S)
            with contextlib.suppress(httpx.HTTPError):  # the carrier is away: time waits for it
                await self.world.pass_hours(_HOURS_A_TICK)

    async def _help_desk(self) -> None:
        """Somebody whose parcel has come sends it back."""
        asked: set[str] = set()
        while True:
            await asyncio.sleep(self._rng.uniform(4, 10))
            order_id = self._rng.choice([request.order_id for request in self.orders(Outcome.OK)[:200]] or [""])
            order = await self.shop.look("orders", f"/v1/orders/{order_id}") if order_id else None
            if order is None or order["status"] != "completed" or order_id in asked:
                continue
            asked.add(order_id)
            self.live(self._send_back(order, self._rng.random() < 0.5))

    async def _send_back(self, order: Mapping[str, Any], parcel: bool) -> None:
        line = {"sku": order["lines"][0]["sku"], "quantity": 1}
        claim = {
            "order_id": order["id"],
            "lines": [line | {"reason": "unwanted"}],
            "approve": True,
            "send_back": parcel,
        }
        asked = await self.shop.send(Request("return", "support", "/v1/returns", claim, f"return-{order['id']}"))
        if asked.outcome is Outcome.FAILED or not parcel:
            return
        return_id, deadline = asked.answer["id"], time.monotonic() + 120
        while (await self.shop.look("support", f"/v1/returns/{return_id}"))["state"] != "parcel_arrived":
            if time.monotonic() > deadline or not self._loops:
                return  # the parcel is on its way still when the shop closes
            await asyncio.sleep(2)
        graded = {"warehouse": WAREHOUSE, "lines": [line | {"grade": "sellable"}]}
        path = f"/v1/returns/{return_id}/receipt"
        await self.shop.send(Request("inspection", "support", path, graded, f"receipt-{return_id}"))

    async def _send(self, request: Request) -> None:
        await self.shop.send(request)

    async def _stock_up(self) -> None:
        names = [f"plain{number}" for number in range(PLAIN_GOODS)]
        self.goods = list(await asyncio.gather(*(self.world.put_goods(name, STOCK) for name in names)))
        self.hot = await self.world.put_goods("hot", HOT_STOCK)
        self.received.update({**dict.fromkeys(self.goods, STOCK), self.hot: HOT_STOCK})
        for sku in (*self.goods, self.hot):
            await _until_known(self, sku)

    def _key(self, kind: str) -> str:
        self._numbers[kind] += 1
        return f"{kind}-{self._numbers[kind]}"

    async def _end(self, tasks: Any) -> None:
        ending = list(tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        tasks.clear()


async def _until_known(load: Load, sku: str) -> None:
    """Orders has to have heard of the goods, or it refuses the first buyers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        request = load.request(sku=sku)
        await load.shop.send(request)
        if request.outcome is Outcome.OK:
            return
        load.shop.history.remove(request)
        await asyncio.sleep(_PAUSE_S)
    raise TimeoutError(f"orders does not know {sku}")


def _code(response: httpx.Response) -> str:
    with contextlib.suppress(ValueError):
        return str(response.json().get("code", ""))
    return ""


def _retry_after(response: httpx.Response) -> float:
    with contextlib.suppress(ValueError):
        return min(float(response.headers.get("retry-after", _PAUSE_S)), 2.0)
    return _PAUSE_S
