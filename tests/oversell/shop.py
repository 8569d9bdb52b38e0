"""A shop of exactly what decides who gets the goods: PostgreSQL, Kafka, two processes of orders and two of inventory.

Catalog runs to tell orders the prices. Risk, payments and logistics are silent: an order is reserved and waits for them, or is
refused and rejected, and nothing that is proved here depends on them.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from freeport.audit import orders, stock, streams
from freeport.audit.check import ask
from freeport.audit.quiet import Outside, books_at_rest
from freeport.databases import prepare_databases
from freeport.embedded.kafka import EmbeddedKafka
from freeport.embedded.postgres import EmbeddedPostgres
from freeport.environment import admin_url, service_database, service_program
from freeport.health import client
from freeport.layout import Home, Ports
from freeport.secrets import Secrets, load_or_create
from freeport.supervisor import Backoff, Keeper, Part
from freeport.topics import EMBEDDED_PARTITIONS, create_topics
from freeport.up import together
from shared.contracts.topics import TOPICS
from tests.chaos.cluster import Process, ReplicaPart

REPLICAS: Mapping[str, int] = {"catalog": 1, "inventory": 2, "orders": 2}
WAREHOUSE = "BER-1"
_ANSWERS = {"inventory.reservation.reserved.v1": "reserved", "inventory.reservation.refused.v1": "refused"}
_APPLIED = {"topic": "orders.order.v1", "outcome": "applied"}
_START_WITHIN_S = 180.0
_BACKOFF = Backoff(first=0.2, longest=2.0, steady=5.0)
_CONNECTIONS = 100  # of all buyers together to one replica; who has none waits, as in a listen queue
_AGAIN_S = 0.2
_PATIENCE_S = 300.0  # of a buyer on a machine that is busy with something else
_CHECKS = (
    *stock.CHECKS,
    *streams.CHECKS,
    *(check for check in orders.CHECKS if check.name == "orders.agree_with_stock"),
)

Line = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Crowd:
    """What became of a crowd of buyers: the orders that were acknowledged, those that hold their goods, and what was said.

    `told` counts inventory's answers (reserved, refused), `statuses` the orders at orders.
    """

    placed: tuple[str, ...]
    winners: frozenset[str]
    told: Counter[str]
    statuses: Counter[str]
    seconds: float

    def __add__(self, other: "Crowd") -> "Crowd":
        return Crowd(
            self.placed + other.placed,
            self.winners | other.winners,
            self.told + other.told,
            self.statuses + other.statuses,
            self.seconds + other.seconds,
        )


@dataclass(slots=True)
class Shop:
    """The running processes, and what buyers do."""

    home: Home
    ports: Ports
    secrets: Secrets
    processes: dict[str, Process] = field(default_factory=dict[str, Process])
    databases: dict[str, "asyncpg.Pool[asyncpg.Record]"] = field(
        default_factory=dict[str, "asyncpg.Pool[asyncpg.Record]"]
    )

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path, port_base: int) -> "AsyncGenerator[Shop]":
        """Start everything; stop it at the end, whatever happens. `StartupError` when it does not come up."""
        directory.mkdir(parents=True, exist_ok=True)
        home = Home(directory)
        shop = cls(home, Ports(port_base), load_or_create(home.secrets))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(shop._stop)
            await shop._start()
            for service in REPLICAS:
                pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(
                    shop._database_url(service), min_size=1, max_size=2
                )
                stack.push_async_callback(pool.close)
                shop.databases[service] = pool
            await shop._set_up_warehouse()
            yield shop

    # ── What is sold ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_goods(self, stock_of: Mapping[str, int]) -> None:
        """Publish the SKUs, put so many units of each on the shelf, and wait until orders knows their price."""
        products = [
            {
                "sku": sku,
                "titles": {"en": sku},
                "category": "kitchen",
                "weight_grams": 350,
                "prices": [{"market": "DE", "price": {"amount": "1299", "currency": "EUR"}}],
            }
            for sku in stock_of
        ]
        async with self._client("catalog") as catalog, self._client("inventory") as inventory:
            for start in range(0, len(products), 50):
                answer = await catalog.post(
                    "/v1/products:batch", json={"products": products[start : start + 50]}, headers=_key()
                )
                answer.raise_for_status()
            lines = [{"sku": sku, "quantity": units} for sku, units in stock_of.items()]
            body = {"kind": "receipt", "warehouse": WAREHOUSE, "reason": "the proof", "lines": lines}
            (await inventory.post("/v1/stock/adjustments", json=body, headers=_key())).raise_for_status()
        await self._until(
            "orders", "SELECT count(*) FROM offer WHERE sku = ANY($1)", list(stock_of), equals=len(stock_of)
        )

    async def sell(self, baskets: Sequence[Sequence[Line]], *, within: float = _PATIENCE_S) -> Crowd:
        """All buyers at once, each with a basket, in turns at the replicas; wait until all of them are decided."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with AsyncExitStack() as stack:
            doors = [
                await stack.enter_async_context(self._client("orders", number + 1))
                for number in range(REPLICAS["orders"])
            ]
            buyers = (self._buy(doors[number % len(doors)], basket) for number, basket in enumerate(baskets))
            placed = await asyncio.gather(*buyers)
        ids = list(placed)
        decided = "SELECT count(DISTINCT key) FROM outbox WHERE type = ANY($2) AND key = ANY($1)"
        await self._until("inventory", decided, ids, list(_ANSWERS), equals=len(ids), within=within)
        told = await self._answers(ids)
        rejected = "SELECT count(*) FROM orders WHERE id = ANY($1) AND status = 'rejected'"
        await self._until("orders", rejected, ids, equals=told["refused"], within=within)
        seconds = loop.time() - began
        statuses = await self.databases["orders"].fetch("SELECT status FROM orders WHERE id = ANY($1)", ids)
        held = await self.databases["inventory"].fetch(
            "SELECT order_id FROM reservation WHERE order_id = ANY($1) AND status = 'held'", ids
        )
        return Crowd(
            placed=tuple(placed),
            winners=frozenset(row["order_id"] for row in held),
            told=told,
            statuses=Counter(row["status"] for row in statuses),
            seconds=seconds,
        )

    async def _answers(self, order_ids: Sequence[str]) -> Counter[str]:
        """How many times inventory said reserved, and refused, of these orders."""
        rows = await self.databases["inventory"].fetch(
            "SELECT type, count(*) AS n FROM outbox WHERE type = ANY($2) AND key = ANY($1) GROUP BY type",
            list(order_ids),
            list(_ANSWERS),
        )
        return Counter({_ANSWERS[row["type"]]: row["n"] for row in rows})

    async def _buy(self, door: httpx.AsyncClient, basket: Sequence[Line]) -> str:
        """Place an order and say its ID. Who is told to come again, or hears nothing, does so with the same key."""
        headers = _key()
        buyer = headers["Idempotency-Key"]
        body = {
            "market": "DE",
            "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in basket],
            "recipient": {
                "name": buyer,
                "email": f"{buyer}@example.com",
                "address": {"line1": "Heidestraße 17", "city": "Berlin", "postcode": "10557", "country": "DE"},
            },
            "payment": {"method": "card", "token": f"tok_ok_{buyer}", "card_fingerprint": f"fpr_{buyer}"},
        }
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _PATIENCE_S
        while True:
            try:
                answer = await door.post("/v1/orders", json=body, headers=headers)
            except httpx.TransportError as error:
                heard = repr(error)
            else:
                if answer.status_code == 201:
                    return str(answer.json()["id"])
                heard = f"{answer.status_code} {answer.text}"
                assert answer.status_code in (409, 429, 503), heard
            if loop.time() > deadline:
                raise TimeoutError(f"after {_PATIENCE_S:.0f} s a buyer still hears {heard}")
            await asyncio.sleep(_AGAIN_S)

    # ── What is asked afterwards ──────────────────────────────────────────────────────────────────────────────────────

    async def levels(self, skus: Sequence[str]) -> dict[str, tuple[int, int]]:
        """(on hand, reserved) of each SKU."""
        rows = await self.databases["inventory"].fetch(
            "SELECT sku, on_hand, reserved FROM stock_level WHERE sku = ANY($1)", list(skus)
        )
        return {row["sku"]: (row["on_hand"], row["reserved"]) for row in rows}

    async def allocated(self, order_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Units by SKU that each order holds; nothing where it holds none."""
        rows = await self.databases["inventory"].fetch(
            "SELECT r.order_id, a.sku, sum(a.quantity)::bigint AS units FROM reservation r"
            " CROSS JOIN LATERAL jsonb_to_recordset(r.allocations) AS a(sku text, quantity bigint)"
            " WHERE r.order_id = ANY($1) AND r.status = 'held' GROUP BY 1, 2",
            list(order_ids),
        )
        held: dict[str, dict[str, int]] = {}
        for row in rows:
            held.setdefault(row["order_id"], {})[row["sku"]] = row["units"]
        return held

    async def deadlocks(self) -> int:
        """How many PostgreSQL has had to resolve, in all databases."""
        admin = await asyncpg.connect(admin_url(self.ports, self.secrets))
        try:
            return await admin.fetchval("SELECT sum(deadlocks)::bigint FROM pg_stat_database")
        finally:
            await admin.close()

    async def audit(self) -> dict[str, tuple[str, ...]]:
        """What the invariants of stock, streams, and orders with their stock say at rest: the violations of each."""
        urls = {service: self._database_url(service) for service in REPLICAS}
        async with books_at_rest(urls, Outside(), 60.0) as (books, work):
            verdicts = [await ask(check, books) for check in _CHECKS]
            broken = {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok}
            return broken | ({"platform.at_rest": (str(work),)} if work.any else {})

    async def consumed(self, process: str) -> float:
        """How many events of orders this process of inventory has applied since it started."""
        async with client() as http:
            exposed = (await http.get(f"{self.processes[process].url}/metrics")).raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(exposed)
            for sample in family.samples
            if sample.name == "freeport_events_consumed_total" and sample.labels.items() >= _APPLIED.items()
        )

    # ── Starting and stopping ─────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self) -> None:
        await together(self._start_database(), self._start_kafka())
        replicas = [
            self._replica(service, number) for service, count in REPLICAS.items() for number in range(1, count + 1)
        ]
        await asyncio.gather(*(process.keeper.begin() for process in replicas))
        await asyncio.gather(*(process.until_serving(within=_START_WITHIN_S) for process in replicas))

    async def _start_database(self) -> None:
        server = EmbeddedPostgres(
            self.home.postgres,
            password=self.secrets.postgres_password,
            port=self.ports.of("postgres"),
            log=self.home.log("postgres"),
        )
        await self._add("postgres", server, server.log).keeper.begin()
        await prepare_databases(list(REPLICAS), self.home, self.ports, self.secrets)

    async def _start_kafka(self) -> None:
        broker = EmbeddedKafka(
            self.home.kafka,
            port=self.ports.of("kafka"),
            controller_port=self.ports.of("kafka-controller"),
            log=self.home.log("kafka"),
        )
        await self._add("kafka", broker, broker.log).keeper.begin()
        await create_topics(broker.bootstrap, TOPICS, partitions=EMBEDDED_PARTITIONS)

    def _replica(self, service: str, number: int) -> Process:
        program = service_program(service, "all", self.home, self.ports, self.secrets, replica=number)
        url = self.ports.url(service, number)
        return self._add(f"{service}-{number}", ReplicaPart(program), program.log, url, f"{url}/readyz")

    def _add(self, name: str, part: Part, log: Path, url: str = "", probe: str = "") -> Process:
        process = Process(name, part, Keeper(part, lambda _: None, _BACKOFF), log, url, probe)
        self.processes[name] = process
        return process

    async def _stop(self) -> None:
        servers = [self.processes[name] for name in ("kafka", "postgres") if name in self.processes]
        others = [process for process in self.processes.values() if process not in servers]
        await asyncio.gather(*(process.keeper.end() for process in others))
        for server in servers:
            await server.keeper.end()

    async def _set_up_warehouse(self) -> None:
        async with self._client("inventory") as inventory:
            body = {"kind": "home", "country": "DE", "name": "Berlin"}
            (await inventory.put(f"/v1/warehouses/{WAREHOUSE}", json=body, headers=_key())).raise_for_status()

    def _client(self, service: str, replica: int = 1) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.ports.url(service, replica),
            headers={"authorization": f"Bearer {self.secrets.test_key}"},
            timeout=httpx.Timeout(60.0, pool=None),
            trust_env=False,
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS),
        )

    def _database_url(self, service: str) -> str:
        return service_database(service, self.secrets).owner_url(admin_url(self.ports, self.secrets))

    async def _until(self, service: str, sql: str, *arguments: Any, equals: int, within: float = 60.0) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while (seen := await self.databases[service].fetchval(sql, *arguments)) != equals:
            if loop.time() > deadline:
                raise TimeoutError(f"{service}: {seen} of {equals} after {within:.0f} s: {sql}")
            await asyncio.sleep(0.05)


def _key() -> dict[str, str]:
    # Letters alone: a long run of digits may look like a card's number, which is refused at the door.
    return {"Idempotency-Key": "".join(secrets.choice(ascii_lowercase) for _ in range(24))}
