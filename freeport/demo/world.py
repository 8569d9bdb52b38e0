"""What the scenes act with: a store on the platform, buyers, and the outside world's carrier and bank."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, count
from typing import Any

import httpx

from freeport.api import Answer, Api, Problem, until
from freeport.platform import Platform

Order = dict[str, Any]

WAREHOUSE = "SZX-1"
WAREHOUSE_COUNTRY = "CN"
WITHIN_S = 30.0  # for a fact that follows by event; on an idle machine it is there in a tenth of a second
# So many hours after its label a parcel has been picked up, and delivered, by the carrier's timetable.
UNTIL_PICKED_UP_H = 5
UNTIL_DELIVERED_H = 120


@dataclass(frozen=True, slots=True)
class Market:
    """Where a buyer lives, and what a mug costs there in minor units."""

    country: str
    currency: str
    price: int
    line: str
    city: str
    region: str
    postcode: str


MARKETS: Mapping[str, Market] = {
    "DE": Market("DE", "EUR", 1299, "Heidestraße", "Berlin", "", "10557"),
    "US": Market("US", "USD", 1399, "Market Street", "San Francisco", "CA", "94103"),
    "JP": Market("JP", "JPY", 1980, "Dogenzaka", "Tokyo", "13", "150-0043"),
    "BR": Market("BR", "BRL", 7990, "Avenida Paulista", "São Paulo", "SP", "01310-100"),
    "AU": Market("AU", "AUD", 2195, "George Street", "Sydney", "NSW", "2000"),
}


@dataclass(frozen=True, slots=True)
class Buyer:
    """A person with an e-mail, a device, an address and a card of their own."""

    name: str
    number: int

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


class World:
    """One run of the demo. Everything in it is named after the run, so that a second run finds nothing sold out."""

    def __init__(self, platform: Platform, api: Api, http: httpx.AsyncClient) -> None:
        self.platform = platform
        self.api = api
        self.run = secrets.token_hex(3)
        self._http = http
        self._buyers = 0
        # With a margin, for the database has a clock of its own.
        self._began = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()

    @classmethod
    @asynccontextmanager
    async def opened(cls, platform: Platform) -> "AsyncGenerator[World]":
        async with (
            Api.opened(platform.urls, platform.test_key, connections=220) as api,
            httpx.AsyncClient(timeout=30.0, trust_env=False) as http,
        ):
            world = cls(platform, api, http)
            await world.api.call(
                "PUT",
                "inventory",
                f"/v1/warehouses/{WAREHOUSE}",
                body={"kind": "home", "country": WAREHOUSE_COUNTRY, "name": "Shenzhen"},
            )
            yield world

    # ── Goods ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def put_goods(self, name: str, stock: int, **known: Any) -> str:
        """Publish a product with a price in every market, put so many units on the shelf; its SKU.

        `known` overrides what is known of it: `hs_code`, `category`, `claims_preference` …
        """
        sku = f"{name}-{self.run}".upper()
        await self.publish(sku, **known)
        delivery = {
            "kind": "receipt",
            "warehouse": WAREHOUSE,
            "reason": f"demo {self.run}",
            "lines": [{"sku": sku, "quantity": stock}],
        }
        await self.api.post("inventory", "/v1/stock/adjustments", delivery, key=f"stock-{sku}")
        # Logistics hears of goods by event; an order that came before would be held for that, too.
        await self.quote(sku, 1, "DE")
        return sku

    async def publish(self, sku: str, **known: Any) -> None:
        """Publish a product, or what is now known of it."""
        product = {
            "sku": sku,
            "titles": {"en": f"Stoneware mug {sku}", "de": f"Steinzeugbecher {sku}"},
            "category": "kitchen",
            "hs_code": "6912.00.3950",
            "origin_country": "CN",
            "weight_grams": 350,
            "prices": [
                {"market": name, "price": {"amount": str(market.price), "currency": market.currency}}
                for name, market in MARKETS.items()
            ],
        } | known
        answer = await self.api.post(
            "catalog", "/v1/products:batch", {"products": [product]}, key=f"goods-{secrets.token_hex(8)}"
        )
        [result] = answer.body["data"]
        if result["outcome"] == "refused":
            raise RuntimeError(f"the catalog refused {sku}: {result['problem']}")

    async def stock(self, sku: str) -> dict[str, Any]:
        return await self.api.get("inventory", f"/v1/stock/{sku}")

    async def until_free(self, sku: str) -> dict[str, Any]:
        """The SKU's stock when nothing of it is reserved any more."""
        return await until(
            lambda: self.stock(sku), lambda seen: seen["reserved"] == 0, f"{sku} free again", within=WITHIN_S
        )

    # ── Orders ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def buyer(self) -> Buyer:
        """Somebody who has never bought here."""
        self._buyers += 1
        return Buyer(f"buyer-{self.run}-{self._buyers}", self._buyers)

    def order(
        self, sku: str, quantity: int = 1, *, market: str = "DE", bank: str = "ok", card: str = "", **more: Any
    ) -> Order:
        """The body of an order by a new buyer. `bank` is how the bank behaves (`GET /tokens` of the sandbox).

        `card` is a card that several buyers share; else each has their own.
        """
        buyer, home = self.buyer(), MARKETS[market]
        card = card or f"{self.run}{buyer.number}"
        address = {
            "line1": f"{home.line} {buyer.number}",
            "line2": self.run,
            "city": home.city,
            "region": home.region,
            "postcode": home.postcode,
            "country": home.country,
        }
        return {
            "market": market,
            "lines": [{"sku": sku, "quantity": quantity}],
            "recipient": {"name": buyer.name, "email": buyer.email, "address": address},
            "customer_id": buyer.name,
            "payment": {"method": "card", "token": f"tok_{bank}_{card}", "card_fingerprint": f"fpr_{card}"},
            "client": {"device_id": f"device-{buyer.name}"},
        } | more

    async def place(self, order: Order, *, key: str = "", wait: int = 10) -> Answer:
        """Place it; the answer is the order as soon as it is decided. Goods that orders has not heard of yet are waited for."""
        first = key or f"order-{secrets.token_hex(8)}"
        # A refusal is stored under its key, so the next try has another.
        keys = chain([first], (f"{first}-{number}" for number in count(2)))

        async def attempt() -> Answer | Problem:
            prefer = {"Prefer": f"wait={wait}"}
            try:
                return await self.api.post("orders", "/v1/orders", order, key=next(keys), headers=prefer)
            except Problem as problem:
                if problem.code != "product.unknown":
                    raise
                return problem

        placed = await until(attempt, lambda seen: isinstance(seen, Answer), "goods that orders knows", within=WITHIN_S)
        if isinstance(placed, Problem):
            raise placed
        return placed

    async def placed(self, sku: str, quantity: int = 1, *, wait: int = 10, **how: Any) -> Order:
        """A new buyer's order, as it is when it is decided or `wait` seconds have passed."""
        return (await self.place(self.order(sku, quantity, **how), wait=wait)).body

    async def decided(self, order: Order) -> Order:
        """The order as it is confirmed or rejected; it is asked for again only where it is not yet."""
        return order if order["status"] != "placed" else await self.until_status(order, "confirmed", "rejected")

    async def orders_of(self, sku: str) -> list[Order]:
        """Every order of the run for that SKU."""
        pages = self.api.pages("orders", "/v1/orders", **{"limit": 200, "created_at[gte]": self._began})
        return [order async for order in pages if any(line["sku"] == sku for line in order["lines"])]

    async def look(self, order: Order) -> Order:
        return await self.api.get("orders", f"/v1/orders/{order['id']}")

    async def until_order(self, order: Order, done: Callable[[Order], bool], what: str) -> Order:
        return await until(lambda: self.look(order), done, f"order {order['number']}: {what}", within=WITHIN_S)

    async def until_status(self, order: Order, *status: str) -> Order:
        return await self.until_order(order, lambda seen: seen["status"] in status, " or ".join(status))

    async def until_booked(self, order: Order) -> Order:
        return await self.until_order(order, lambda seen: seen["fulfilment_status"] == "booked", "booked")

    async def until_held(self, order: Order, code: str) -> Order:
        return await self.until_order(order, lambda seen: code in holds(seen), f"held: {code}")

    async def payment(self, order: Order) -> dict[str, Any]:
        return await self.api.get("payments", f"/v1/payments/{order['id']}")

    async def until_payment(self, order: Order, *state: str) -> dict[str, Any]:
        return await until(
            lambda: self.payment(order),
            lambda seen: seen["state"] in state,
            f"payment of order {order['number']}: {' or '.join(state)}",
            within=WITHIN_S,
        )

    async def quote(self, sku: str, quantity: int, market: str) -> dict[str, Any]:
        """Freight to a buyer's address, as a token that the order brings along."""
        home = MARKETS[market]
        destination = {
            "country": home.country,
            "region": home.region,
            "postcode": home.postcode,
        }
        body = {
            "market": market,
            "destination": destination,
            "lines": [{"sku": sku, "quantity": quantity}],
            "currency": home.currency,
        }
        # Logistics, too, hears of new goods by event.
        return await until(
            lambda: self._try_quote(body), lambda seen: "quote" in seen, f"a quote to {market}", within=WITHIN_S
        )

    async def _try_quote(self, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return (await self.api.post("logistics", "/v1/quotes", body)).body
        except Problem as problem:
            return {"problem": str(problem)}

    # ── The outside world ─────────────────────────────────────────────────────────────────────────────────────────────

    async def pass_hours(self, hours: int) -> None:
        """Let hours pass at the carrier: parcels are picked up and delivered as its timetable says."""
        secret = self.platform.secrets.carrier_key
        await self._outside("carrier", "POST", "/clock/advance", secret, json={"hours": hours})

    async def charges(self, orders: Sequence[Order]) -> list[dict[str, Any]]:
        """What the bank has in its own book about the orders."""
        book = await self._outside("provider", "GET", "/book", self.platform.secrets.provider_key)
        ids = {order["id"] for order in orders}
        return [charge for charge in book["charges"] if charge["reference"] in ids]

    async def confirm_at_bank(self, action_url: str) -> None:
        """The buyer confirms the payment on the bank's page (3-D Secure)."""
        answer = await self._http.post(
            action_url, params={"result": "complete"}, headers={"Accept": "application/json"}
        )
        answer.raise_for_status()

    async def kill(self, service: str) -> None:
        """kill -9. The supervisor starts it again."""
        await asyncio.to_thread(self.platform.kill, service)

    async def _outside(self, who: str, method: str, path: str, secret: str, **what: Any) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        answer = await self._http.request(method, self.platform.urls[who] + path, headers=headers, **what)
        answer.raise_for_status()
        return answer.json()


def holds(order: Order) -> list[str]:
    """The codes of what holds the order."""
    return [hold["code"] for hold in order["holds"]]


def reasons(order: Order) -> list[str]:
    """The codes of why it was rejected."""
    return [reason["code"] for reason in order["reasons"]]


def findings(order: Order, hold: str) -> list[str]:
    """The codes of the reasons of a hold."""
    return [reason["code"] for held in order["holds"] if held["code"] == hold for reason in held["reasons"]]
