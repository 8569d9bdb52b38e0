"""Five services on benches, each with its database, joined without Kafka; and crashes at every step of what they do.

Every envelope is handled by two replicas in turn. A crash ends the work of one at a named point of the write path (before its
transaction commits, or after it), and the other finds what the database holds: nothing lives on in memory.
"""

import itertools
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.inventory.main import SERVICE as INVENTORY
from services.logistics.domain import calls
from services.logistics.main import SERVICE as LOGISTICS
from services.orders.main import SERVICE as ORDERS
from services.payments.main import SERVICE as PAYMENTS
from services.risk.main import SERVICE as RISK
from shared import failpoints
from shared.effects import Call
from shared.failpoints import Point
from shared.messaging.codec import Envelope
from shared.messaging.workers import Gateways, make_calls
from tests.builders import orders as build
from tests.builders.logistics import published
from tests.builders.payments import ToyProvider
from tests.fixtures.bench import Bench, BenchFactory

CARRIER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Crash(BaseException):
    """The process is gone. No except clause of a service may stop it, as none would stop a kill."""


@dataclass
class Crashes:
    """Which points end the process when they are reached; each once, until it is set again. `met` counts those that did."""

    everywhere: bool = False
    _armed: set[Point] = field(default_factory=set)
    met: int = 0

    def arm(self, *points: Point) -> None:
        self._armed = set(points) if self.everywhere else set()

    def reach(self, point: Point) -> None:
        if point in self._armed:
            self._armed.discard(point)
            self.met += 1
            raise Crash(point)


class Bank(ToyProvider):
    """A provider whose tokens say what becomes of them."""

    def answer(self, call: Call, now: datetime) -> dict[str, Any] | None:
        self.declines = call.request.get("token") == "tok_declined"
        answer = super().answer(call, now)
        lost = call.kind == "provider.authorise" and call.request.get("token") == "tok_timeout"
        return None if lost else answer

    def of_order(self, payment_keys: set[str]) -> dict[str, Any]:
        found = [charge for charge in self.charges.values() if charge.key in payment_keys]
        return {
            "taken": sum(c.captured.amount - sum(r.amount for r in c.refunds) for c in found),
            "charges": sorted(charge.status.value for charge in found),
        }


@dataclass
class Carrier:
    """Labels by key, each with a number of its own; void or not."""

    labels: dict[str, str] = field(default_factory=dict)
    void: set[str] = field(default_factory=set)

    async def label(self, call: Call) -> dict[str, Any] | None:
        subject = str(call.request["subject"])
        return {"tracking_number": self.labels.setdefault(subject, f"TRK{len(self.labels):09d}")}

    async def find(self, call: Call) -> dict[str, Any] | None:
        number = self.labels.get(str(call.request["subject"]))
        return {"absent": True} if number is None else {"tracking_number": number}

    async def take_back(self, call: Call) -> dict[str, Any] | None:
        self.void.add(str(call.request["tracking_number"]))
        return {"voided": True}


@dataclass
class Place:
    """A service: its two replicas, and how far its outbox was carried to the others."""

    replicas: list[Bench]
    gateways: Gateways = field(default_factory=dict)
    carried: int = 0
    queue: deque[Envelope] = field(default_factory=deque)

    @property
    def bench(self) -> Bench:
        """The replica that works now."""
        return self.replicas[0]

    def crashed(self) -> None:
        """The other one goes on."""
        self.replicas.reverse()


class Platform:
    """The five, joined: what one publishes the others hear, in order, one envelope at a time."""

    def __init__(self, places: dict[str, Place], bank: Bank, carrier: Carrier, crashes: Crashes) -> None:
        self.places, self.bank, self.carrier, self.crashes = places, bank, carrier, crashes
        self.late = ""  # hears what it is told only when all others are still
        self.held_back: set[str] = set()  # hear nothing at all for now
        self.calls_wait = False
        self._numbers = itertools.count(1)

    def __getitem__(self, name: str) -> Bench:
        return self.places[name].bench

    def a_number(self) -> int:
        return next(self._numbers)

    # ── Moving ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def settle(self) -> None:
        """Let everything happen that may happen, until all are still."""
        for _ in range(2_000):
            await self._carry()
            if await self._hear_one() or (not self.calls_wait and await self._call()):
                continue
            return
        raise AssertionError("the services never come to rest")

    async def _carry(self) -> None:
        for place in self.places.values():
            rows = await place.bench.database.fetch("SELECT * FROM outbox WHERE id > $1 ORDER BY id", place.carried)
            for row in rows:
                place.carried = row["id"]
                for hearer in self.places.values():
                    if any(topic.name == row["topic"] for topic in hearer.bench.kit.desk.router.topics):
                        hearer.queue.append(_envelope(row))

    async def _hear_one(self) -> bool:
        names = [name for name, place in self.places.items() if place.queue and name not in self.held_back]
        if not names:
            return False
        name = next((name for name in names if name != self.late), names[0])
        place = self.places[name]
        envelope = place.queue[0]
        await self.survive(place, Point.EVENTS_UNCOMMITTED, Point.EVENTS_COMMITTED, lambda b: b.settle([envelope]))
        place.queue.popleft()
        return True

    async def _call(self) -> bool:
        made, met = 0, self.crashes.met
        for place in self.places.values():
            if not place.gateways:
                continue

            async def call(bench: Bench, place: Place = place) -> None:
                nonlocal made
                # What a crash left claimed, and what was put off, comes due.
                await bench.database.execute("UPDATE outside_call SET next_at = now() WHERE done_at IS NULL")
                made += await make_calls(bench.kit.desk, place.gateways)

            await self.survive(place, Point.ANSWERS_UNCOMMITTED, Point.ANSWERS_COMMITTED, call)
        return made > 0 or self.crashes.met > met

    async def due(self, name: str, kind: str, key: str) -> None:
        """A deadline comes, and everything that follows."""
        points = Point.DEADLINES_UNCOMMITTED, Point.DEADLINES_COMMITTED
        sql = "SELECT due_at FROM deadline WHERE kind = $1 AND key = $2"
        due_at = await self[name].database.fetchval(sql, kind, key)

        async def come(bench: Bench) -> None:
            if await bench.database.fetchval(sql, kind, key) == due_at:  # not the next one, whose time has not come
                await bench.due(kind, key)

        await self.survive(self.places[name], *points, come)
        await self.settle()

    async def survive(
        self, place: Place, before: Point, after: Point, work: Callable[[Bench], Awaitable[None]]
    ) -> None:
        """Do the work; crash before its commit and again after it, and have the other replica do it all once more."""
        for points in ((before,), (after,), ()):
            self.crashes.arm(*points)
            try:
                await work(place.bench)
            except Crash:
                place.crashed()
                continue
            if not self.crashes.everywhere:
                return

    # ── People ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stock(self, on_hand: int, **product: Any) -> str:
        """A product in the catalog and on the shelf."""
        sku = f"MUG-{self.a_number()}"
        await self["orders"].deliver(build.a_product(sku))
        await self["logistics"].deliver(published(sku=sku, **product))
        await self.receive(sku, on_hand)
        return sku

    async def publish(self, sku: str, **product: Any) -> None:
        """The catalog tells more about a product, and what follows from it happens."""
        await self["logistics"].deliver(published(sku=sku, **product))
        await self.settle()

    async def receive(self, sku: str, units: int) -> None:
        lines = [{"sku": sku, "quantity": units}]
        body = {"kind": "receipt", "warehouse": "BER", "reason": "a test", "lines": lines}
        if units:
            await self.post("inventory", "/v1/stock/adjustments", body, 201)
            await self.settle()

    async def place(self, sku: str, token: str = "tok_ok", quantity: int = 1, card: str = "fpr_ok") -> str:
        payment = {"method": "card", "token": token, "card_fingerprint": card}
        body = build.order_json(lines=[{"sku": sku, "quantity": quantity}], payment=payment)
        return (await self.post("orders", "/v1/orders", body, 201))["id"]

    async def sell(self, sku: str, quantity: int = 1) -> str:
        """A channel has sold it, and collected."""
        price = {"amount": "1299", "currency": "EUR"}
        lines = [{"sku": sku, "quantity": quantity, "unit_price": price}]
        order = build.import_json(f"ext-{self.a_number()}", lines=lines)
        return (await self.post("orders", "/v1/orders:import", {"orders": [order]}, 200))["data"][0]["id"]

    async def cancel(self, order_id: str, requested_by: str = "buyer") -> None:
        body = {"reason": "changed_mind", "requested_by": requested_by}
        async with self["orders"].client as client:
            answer = await client.post(f"/v1/orders/{order_id}/cancellation", json=body)
        assert answer.status_code in (200, 202), answer.text
        await self.settle()

    async def scan(self, order_id: str, code: str) -> None:
        """The carrier scans every parcel of the order."""
        parcels = await self["logistics"].database.fetch("SELECT * FROM parcel WHERE order_id = $1", order_id)
        for parcel in parcels:
            data = {
                "tracking_number": parcel["tracking_number"],
                "reference": parcel["parcel_id"],
                "code": code,
                "scanned_at": datetime.now(UTC).isoformat(),
            }
            body = json.dumps({"type": "parcel.scanned", "data": data})
            webhook_id, at = f"whk_{self.a_number()}", datetime.now(UTC)
            headers = {
                "webhook-id": webhook_id,
                "webhook-timestamp": str(int(at.timestamp())),
                "webhook-signature": Webhook(CARRIER_SECRET).sign(webhook_id, at, body),
                "content-type": "application/json",
            }
            async with self["logistics"].client_of(None) as client:
                answer = await client.post("/webhooks/carrier", content=body, headers=headers)
            assert answer.status_code < 300, answer.text
        await self.settle()

    async def post(self, name: str, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
        async with self[name].client as client:
            answer = await client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    # ── Looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def outcome(self, order_id: str) -> dict[str, Any]:
        """Where an order stands in every service, at the bank and with the carrier."""
        async with self["orders"].client as client:
            order = (await client.get(f"/v1/orders/{order_id}")).json()
        held = await self["inventory"].database.fetchrow(
            "SELECT status, confirmed FROM reservation WHERE order_id = $1", order_id
        )
        payment = await self["payments"].database.fetchrow("SELECT * FROM payment WHERE order_id = $1", order_id)
        attempts = await self["payments"].database.fetch("SELECT id FROM payment_attempt WHERE order_id = $1", order_id)
        refunds = await self["payments"].database.fetch(
            "SELECT state, amount FROM refund WHERE order_id = $1", order_id
        )
        shipment = await self["logistics"].database.fetchval(
            "SELECT state FROM consignment WHERE order_id = $1", order_id
        )
        parcels = await self["logistics"].database.fetch("SELECT parcel_id FROM parcel WHERE order_id = $1", order_id)
        labels = {
            self.carrier.labels[each["parcel_id"]] for each in parcels if each["parcel_id"] in self.carrier.labels
        }
        return {
            "order": (order["status"], order["payment_status"], order["fulfilment_status"]),
            "holds": [hold["code"] for hold in order["holds"]],
            "reasons": [reason["code"] for reason in order["reasons"]],
            "stock": held["status"] if held else None,
            "payment": payment["state"] if payment else None,
            "refunds": [(refund["state"], refund["amount"]) for refund in refunds],
            **self.bank.of_order({attempt["id"] for attempt in attempts}),
            "shipment": shipment,
            "labels": len(labels - self.carrier.void),
        }

    async def level(self, sku: str) -> tuple[int, int]:
        """(on hand, reserved)."""
        row = await self["inventory"].database.fetchrow("SELECT on_hand, reserved FROM stock_level WHERE sku = $1", sku)
        return (row["on_hand"], row["reserved"]) if row else (0, 0)

    async def troubles(self) -> list[str]:
        """Everything that may not be, once all are still."""
        found: list[str] = []
        for name, place in self.places.items():
            counts = {
                "dead letters": "SELECT count(*) FROM dead_letter",
                "parked messages": "SELECT count(*) FROM parked_message",
                "calls that wait": "SELECT count(*) FROM outside_call WHERE done_at IS NULL",
                "gaps": "SELECT count(*) FROM (SELECT topic, key, max(sequence) AS last, count(*) AS events"
                " FROM outbox GROUP BY topic, key) AS s WHERE last <> events",
            }
            for what, sql in counts.items():
                if count := await place.bench.database.fetchval(sql):
                    found.append(f"{name}: {count} {what}")
        return found


_EXTENSIONS = {"store": "store", "correlation": "correlationid", "causation": "causationid", "market": "market"}


def _envelope(row: Any) -> Envelope:
    attributes = {
        "ce_id": row["event_id"],
        "ce_type": row["type"],
        "ce_time": row["created_at"].isoformat(),
        "ce_sequence": str(row["sequence"]),
        **{f"ce_{wire}": row["headers"].get(name, "") for name, wire in _EXTENSIONS.items()},
    }
    return Envelope(row["topic"], row["key"], row["sequence"], attributes, row["payload"].encode())


async def a_platform(
    make: BenchFactory, crashes: Crashes, monkeypatch: pytest.MonkeyPatch, settings: dict[str, dict[str, Any]]
) -> Platform:
    """Fresh databases; failpoints lead to `crashes` instead of a kill."""
    monkeypatch.setattr(failpoints, "ARMED", True)
    monkeypatch.setattr(failpoints, "reach", crashes.reach)
    bank, carrier = Bank(), Carrier()

    async def ask(call: Call) -> dict[str, Any] | None:
        return bank.answer(call, datetime.now(UTC))

    provider = ("authorise", "capture", "void", "look_up", "refund", "look_up_refund")
    places: dict[str, Place] = {}
    for service in (ORDERS, INVENTORY, RISK, LOGISTICS, PAYMENTS):
        bench = await make(service, pool_size=2, **settings.get(service.name, {}))
        places[service.name] = Place([bench, await bench.replica()])
    places["payments"].gateways = {f"provider.{kind}": ask for kind in provider}

    async def recipient(call: Call) -> dict[str, Any] | None:
        body = {"order_ids": [str(call.request["subject"])]}
        async with places["orders"].bench.client_of("internal") as client:
            (found,) = (await client.post("/internal/v1/recipients:batch", json=body)).json()["data"]
        return {"recipient": {name: value for name, value in found.items() if name != "order_id"}}

    places["logistics"].gateways = {
        calls.RECIPIENT: recipient,
        calls.LABEL: carrier.label,
        calls.FIND_LABEL: carrier.find,
        calls.VOID_LABEL: carrier.take_back,
    }
    platform = Platform(places, bank, carrier, crashes)
    async with platform["inventory"].client as client:
        answer = await client.put("/v1/warehouses/BER", json={"kind": "home", "country": "DE"})
    assert answer.status_code == 201, answer.text
    return platform
