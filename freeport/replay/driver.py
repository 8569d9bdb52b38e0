"""Carrying out a plan on a running platform. Every step may be repeated: what is there already is met again."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from freeport.api import Api, Problem
from freeport.replay import payloads
from freeport.replay.lines import Line
from freeport.replay.plan import Invoice, Plan
from freeport.replay.returning import Fate, Match, match_cancellations
from freeport.replay.settle import Decision

_PATIENCE_S = 60.0  # without any progress
_AT_ONCE = 16  # returns under way
_LONG_ENOUGH_H = 120  # hours on the sandbox carrier's clock from any label to its delivery
_PAUSE_S = 0.3
_LONGEST_PAUSE_S = 2.0
_UNKNOWN = "product.unknown"
# Holds that say that everybody has answered and a person or stock is missing. Papers may still be missing after confirmation.
_DECIDING_HOLDS = frozenset({"risk_review", "stock", "needs_attention", "payment_action"})


class Stalled(Exception):
    """The platform made no progress for a minute: says with what. Run the replay again, it goes on there."""


ParcelClock = Callable[[int], Coroutine[Any, Any, None]]
"""Lets so many hours pass at the carrier."""

Listener = Callable[[str, int, int], None]
"""Hears how far a stage is: its name, how many are done, of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to replay: the warehouse that the stock goes into, and orders a second at most (0: as fast as can be)."""

    warehouse: str
    country: str
    rate: float = 0.0


@dataclass(slots=True)
class Played:
    """What the platform made of the plan. `orders` are the orders as they last were, by invoice number."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    decisions: dict[str, Decision] = field(default_factory=dict[str, Decision])
    returns: dict[int, str] = field(default_factory=dict[int, str])
    received: dict[str, int] = field(default_factory=dict[str, int])


class Replay:
    """One run of a plan. `move_parcels` lets so many hours pass at the carrier, where that can be done."""

    def __init__(
        self,
        plan: Plan,
        api: Api,
        options: Options,
        listen: Listener,
        move_parcels: ParcelClock | None = None,
    ) -> None:
        self._plan = plan
        self._api = api
        self._options = options
        self._listen = listen
        self._move_parcels = move_parcels
        self._ids: dict[str, str] = {}  # order id by invoice number
        self._refused: dict[str, Decision] = {}  # by invoice number: refused at the door
        self._bad_goods: dict[str, str] = {}  # why the catalog refused a SKU

    async def run(self) -> Played:
        """Goods, stock, orders, decisions, parcels, returns. Raises Stalled, Problem, TimeoutError."""
        await self._put_goods()
        await self._put_stock()
        await self._send_orders()
        await self._until_decided()
        await self._until_delivered()
        played = Played(orders=await self._read_orders())
        played.decisions = self._refused | {number: decision_of(order) for number, order in played.orders.items()}
        played.returns = await self._send_back(played.decisions)
        played.received = await self._received_beyond_plan(played)
        return played

    async def _put_goods(self) -> None:
        done = 0
        for body in payloads.products(self._plan.articles):
            key = f"replay-goods-{payloads.fingerprint(body)}"
            answer = await self._api.post("catalog", "/v1/products:batch", body, key=key)
            for result in answer.body["data"]:
                if result["outcome"] == "refused":
                    self._bad_goods[result["sku"]] = result["problem"]["code"]
            done += len(body["products"])
            self._listen("goods", done, len(self._plan.articles))

    async def _put_stock(self) -> None:
        warehouse = self._options.warehouse
        place = {"kind": "home", "country": self._options.country, "name": "Replayed orders"}
        await self._api.call("PUT", "inventory", f"/v1/warehouses/{warehouse}", body=place)
        total = sum(1 for article in self._plan.articles if article.stock)
        done = 0
        for body in payloads.deliveries(self._plan.articles, warehouse):
            # Keys are forgotten after some days, the ledger never: a delivery that is there is not made again.
            if not await self._is_delivered(body["lines"][0]["sku"]):
                key = f"replay-stock-{warehouse}-{payloads.fingerprint(body)}"
                await self._api.post("inventory", "/v1/stock/adjustments", body, key=key)
            done += len(body["lines"])
            self._listen("stock", done, total)

    async def _is_delivered(self, sku: str) -> bool:
        try:
            stock = await self._api.get("inventory", f"/v1/stock/{sku}")
        except Problem as problem:
            if problem.status == 404:
                return False
            raise
        return any(level["warehouse"] == self._options.warehouse for level in stock["warehouses"])

    async def _send_orders(self) -> None:
        began = time.monotonic()
        total, done = len(self._plan.invoices), 0
        for batch in payloads.chunks(self._plan.invoices, payloads.ORDERS_A_BATCH):
            await self._send_batch(batch)
            done += len(batch)
            self._listen("orders", done, total)
            if self._options.rate:
                ahead = done / self._options.rate - (time.monotonic() - began)
                await asyncio.sleep(max(0.0, ahead))

    async def _send_batch(self, batch: Sequence[Invoice]) -> None:
        """Send until each has an answer: orders learns of new goods by event, a moment after the catalog has them."""
        deadline = time.monotonic() + _PATIENCE_S
        waiting = list(batch)
        while waiting:
            body = {"orders": [payloads.order(invoice) for invoice in waiting]}
            answer = await self._api.post("orders", "/v1/orders:import", body)
            waiting = [
                invoice
                for invoice, result in zip(waiting, answer.body["data"], strict=True)
                if not self._take(invoice, result)
            ]
            if waiting and time.monotonic() > deadline:
                raise Stalled(f"orders does not know the goods of invoice {waiting[0].number}")
            if waiting:
                await asyncio.sleep(_PAUSE_S)

    def _take(self, invoice: Invoice, result: Mapping[str, Any]) -> bool:
        """Note the answer to one order; False when it should be asked again."""
        if result["result"] != "refused":
            self._ids[invoice.number] = result["id"]
            return True
        bad = [self._bad_goods[line.sku] for line in invoice.lines if line.sku in self._bad_goods]
        if result["code"] == _UNKNOWN and not bad:
            return False
        self._refused[invoice.number] = Decision(Fate.REFUSED, bad[0] if bad else str(result["code"]))
        return True

    async def _until_decided(self) -> None:
        def undecided(orders: Iterable[Mapping[str, Any]]) -> int:
            return sum(not is_decided(order) for order in orders)

        await self._watch("decisions", "placed", undecided)

    async def _until_delivered(self) -> None:
        """Parcels whose papers are clear are booked and travel; the others stay, which is no stall."""
        await self._watch("booked", "confirmed", lambda orders: sum(is_waiting_for_booking(o) for o in orders))
        if self._move_parcels is None:
            return
        await self._move_parcels(_LONG_ENOUGH_H)
        await self._watch("delivered", "confirmed", lambda orders: sum(is_travelling(order) for order in orders))

    async def _watch(self, stage: str, status: str, count: Callable[[Iterable[Mapping[str, Any]]], int]) -> None:
        """Look at our orders of that status until `count` finds none of them under way."""
        total = len(self._ids)
        mine = set(self._ids.values())
        least, progress_at, pause = total + 1, time.monotonic(), _PAUSE_S
        while True:
            pages = self._api.pages("orders", "/v1/orders", channel=payloads.CHANNEL, status=status, limit=200)
            left = count([order async for order in pages if order["id"] in mine])
            self._listen(stage, total - left, total)
            if not left:
                return
            if left < least:
                least, progress_at, pause = left, time.monotonic(), _PAUSE_S
            elif time.monotonic() - progress_at > _PATIENCE_S:
                raise Stalled(f"{left} orders are not {stage}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)

    async def _read_orders(self) -> dict[str, dict[str, Any]]:
        numbers = {order_id: number for number, order_id in self._ids.items()}
        pages = self._api.pages("orders", "/v1/orders", channel=payloads.CHANNEL, limit=200)
        return {numbers[order["id"]]: order async for order in pages if order["id"] in numbers}

    async def _send_back(self, decisions: Mapping[str, Decision]) -> dict[int, str]:
        """Every cancellation against what was bought; why it did not come back, by line number, or nothing where it did."""
        fates = {number: decision.fate for number, decision in decisions.items()}
        matches = match_cancellations(self._plan.invoices, fates, self._plan.cancellations)
        known = await self._known_returns()
        outcomes: dict[int, str] = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(match: Match) -> None:
            async with gate:
                outcomes[match.line.number] = match.why or await self._return(match, known)
            self._listen("returns", len(outcomes), len(matches))

        try:
            async with asyncio.TaskGroup() as group:
                for match in matches:
                    group.create_task(one(match))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # one is enough to say why it stopped
        return outcomes

    async def _known_returns(self) -> Counter[tuple[str, str, int]]:
        """What an earlier run has sent back, by order, SKU and units: not a second time."""
        mine = set(self._ids.values())
        known: Counter[tuple[str, str, int]] = Counter()
        async for claim in self._api.pages("support", "/v1/returns", state="received", limit=200):
            if claim["order_id"] in mine and len(claim["lines"]) == 1:
                [line] = claim["lines"]
                known[claim["order_id"], line["sku"], line["quantity"]] += 1
        return known

    async def _return(self, match: Match, known: Counter[tuple[str, str, int]]) -> str:
        for place, portion in enumerate(match.portions):
            order_id = self._ids[portion.invoice]
            what = (order_id, portion.sku, portion.quantity)
            if known[what]:
                known[what] -= 1
                continue
            key = f"replay-return-{payloads.fingerprint(match.line.invoice, match.line.number, place, *what)}"
            try:
                await self._return_portion(key, *what)
            except Problem as problem:
                return f"support refused the return: {problem.code}"
        return ""

    async def _return_portion(self, key: str, order_id: str, sku: str, quantity: int) -> None:
        """Ask, receive, and wait until the money is on its way back and the goods are on the shelf."""
        deadline = time.monotonic() + _PATIENCE_S
        attempt = 0
        while True:
            try:
                body = payloads.return_request(order_id, sku, quantity)
                answer = await self._api.post("support", "/v1/returns", body, key=f"{key}-{attempt}")
                break
            except Problem as problem:
                # Support hears of the dispatch by event. A refusal is stored under its key, so the next try has another.
                if problem.code != "return.not_shipped" or time.monotonic() > deadline:
                    raise
                attempt += 1
                await asyncio.sleep(_PAUSE_S)
        return_id = answer.body["id"]
        body = payloads.receipt(sku, quantity, self._options.warehouse)
        await self._api.post("support", f"/v1/returns/{return_id}/receipt", body, key=f"{key}-receipt")
        await self._until_settled(return_id, deadline)

    async def _until_settled(self, return_id: str, deadline: float) -> None:
        pause = 0.05
        while True:
            claim = await self._api.get("support", f"/v1/returns/{return_id}")
            if (claim["restock"], claim["refund"]) == ("restocked", "refunded"):
                return
            if time.monotonic() > deadline:
                raise Stalled(f"return {return_id} is {claim['restock']} and {claim['refund']}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def _received_beyond_plan(self, played: Played) -> dict[str, int]:
        """Units that inventory ever received of the SKUs that were sold above this plan's stock, from its ledger."""
        stock = {article.sku: article.stock for article in self._plan.articles}
        above = [sku for sku, units in units_sold(self._plan, played.decisions).items() if units > stock[sku]]
        return {sku: await self._received(sku) for sku in above}

    async def _received(self, sku: str) -> int:
        came_in = ("receipt", "count", "snapshot", "write_off", "correction")
        entries = self._api.pages("inventory", f"/v1/stock/{sku}/movements", limit=200)
        return sum([entry["on_hand"] async for entry in entries if entry["kind"] in came_in])


def is_decided(order: Mapping[str, Any]) -> bool:
    """Whether all who had to say something about the order did."""
    return order["status"] != "placed" or any(hold["code"] in _DECIDING_HOLDS for hold in order["holds"])


def is_waiting_for_booking(order: Mapping[str, Any]) -> bool:
    """Whether the parcel will be booked by itself: nothing holds the order."""
    return order["fulfilment_status"] == "unfulfilled" and not order["holds"]


def is_travelling(order: Mapping[str, Any]) -> bool:
    """Whether a parcel is on its way, or delivered and not yet taken note of."""
    return order["fulfilment_status"] in ("booked", "dispatched", "delivered") and not order["holds"]


def decision_of(order: Mapping[str, Any]) -> Decision:
    """What the platform said to the order. A cancelled one was accepted and then refused for the reason that is given."""
    if order["status"] == "rejected":
        return Decision(Fate.REFUSED, next((reason["code"] for reason in order["reasons"]), "rejected"))
    if order["status"] == "cancelled":
        asked: Any = order["cancellation"]
        return Decision(Fate.REFUSED, str(asked["reason"]) if asked else "cancelled")
    sent = order["fulfilment_status"] in ("dispatched", "delivered", "lost")
    return Decision(Fate.SENT if sent else Fate.WAITING)


def units_sold(plan: Plan, decisions: Mapping[str, Decision]) -> Counter[str]:
    """Units by SKU of the accepted orders."""
    sold: Counter[str] = Counter()
    for line in _accepted_lines(plan, decisions):
        sold[line.sku] += line.quantity
    return sold


def _accepted_lines(plan: Plan, decisions: Mapping[str, Decision]) -> Iterable[Line]:
    for invoice in plan.invoices:
        decision = decisions.get(invoice.number)
        if decision is not None and decision.fate is not Fate.REFUSED:
            yield from invoice.lines
