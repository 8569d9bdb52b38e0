"""A replay against a platform in memory: what it waits for, what it repeats, and what it never does twice."""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from freeport.api import Api
from freeport.replay.driver import Options, Played, Replay, decision_of, is_decided
from freeport.replay.export import read_lines
from freeport.replay.goods import Goods, GoodsMap
from freeport.replay.lines import judge
from freeport.replay.plan import Plan, make_plan
from freeport.replay.report import make_report
from freeport.replay.returning import Fate
from freeport.replay.settle import Decision

FILE = [
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
    "1,MUG,RED MUG,4,2010-12-01 08:00,2.50,1,United Kingdom",
    "2,BAD,?,1,2010-12-01 09:00,1.00,2,United Kingdom",
    "3,MUG,RED MUG,7,2010-12-01 10:00,2.50,3,France",
    "C4,MUG,RED MUG,-1,2010-12-02 08:00,2.50,1,United Kingdom",
    "C5,MUG,RED MUG,-1,2010-12-02 08:00,2.50,1,United Kingdom",
]
SERVICES = ("catalog", "inventory", "orders", "support")


class Platform:
    """As little of the services as a replay sees. Orders are decided in order of arrival while stock lasts."""

    def __init__(self, *, refused: Sequence[str] = (), deaf: int = 0) -> None:
        self.refused = set(refused)
        self.deaf = deaf  # so many imports in which orders has not heard of the goods yet
        self.stock: Counter[str] = Counter()
        self.orders: dict[str, dict[str, Any]] = {}
        self.returns: list[dict[str, Any]] = []
        self.places: set[str] = set()
        self.calls: Counter[str] = Counter()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, json.loads(request.content or b"null")
        query = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
        self.calls[f"{request.method} {path}"] += 1
        match request.method, path.split("/")[2:]:
            case "POST", ["products:batch"]:
                return _ok({"data": [self._publish(product) for product in body["products"]]})
            case "PUT", ["warehouses", _]:
                return _ok({})
            case "POST", ["stock", "adjustments"]:
                self.places |= {line["sku"] for line in body["lines"]}
                self.stock.update({line["sku"]: line["quantity"] for line in body["lines"]})
                return _ok({})
            case "GET", ["stock", sku]:
                levels = [{"warehouse": "W"}] if sku in self.places else []
                return _ok({"warehouses": levels}) if levels else httpx.Response(404, json={"code": "stock.not_found"})
            case "POST", ["orders:import"]:
                self.deaf -= 1
                return _ok({"data": [self._import(order) for order in body["orders"]]})
            case "GET", ["orders"]:
                found = [order for order in self.orders.values() if query.get("status") in (None, order["status"])]
                return _page(found)
            case "POST", ["returns"]:
                self.returns.append(_return(f"ret_{len(self.returns)}", body))
                return _ok(self.returns[-1])
            case "POST", ["returns", _, "receipt"]:
                return _ok({})
            case "GET", ["returns"]:
                return _page(self.returns)
            case "GET", ["returns", return_id]:
                return _ok(next(made for made in self.returns if made["id"] == return_id))
            case _:
                return httpx.Response(405, json={"code": f"{request.method} {path}"})

    def _publish(self, product: dict[str, Any]) -> dict[str, Any]:
        bad = product["sku"] in self.refused
        return {
            "sku": product["sku"],
            "outcome": "refused" if bad else "created",
            "problem": {"code": "product.malformed"} if bad else None,
        }

    def _import(self, order: dict[str, Any]) -> dict[str, Any]:
        order_id = f"ord_{order['external_id']}"
        if order_id in self.orders:
            return {"result": "existing", "id": order_id}
        if self.deaf >= 0 or any(line["sku"] in self.refused for line in order["lines"]):
            return {"result": "refused", "code": "product.unknown"}
        need = Counter({line["sku"]: line["quantity"] for line in order["lines"]})
        there = need <= self.stock
        self.stock.subtract(need if there else {})
        self.orders[order_id] = {
            "id": order_id,
            "status": "completed" if there else "rejected",
            "fulfilment_status": "delivered" if there else "unfulfilled",
            "holds": [],
            "reasons": [] if there else [{"code": "stock.insufficient"}],
            "cancellation": None,
        }
        return {"result": "created", "id": order_id}


def _return(return_id: str, body: dict[str, Any]) -> dict[str, Any]:
    done = {"id": return_id, "state": "received", "restock": "restocked", "refund": "refunded"}
    return {**done, "order_id": body["order_id"], "lines": body["lines"]}


def _ok(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json=body)


def _page(data: list[dict[str, Any]]) -> httpx.Response:
    return _ok({"data": data, "has_more": False, "next": None})


def plan(factor: str = "1") -> Plan:
    return make_plan(judge(read_lines(FILE)), GoodsMap((), Goods(category="")), Decimal(factor))


async def replayed(platform: Platform, wanted: Plan) -> Played:
    http = httpx.AsyncClient(transport=httpx.MockTransport(platform))
    api = Api({name: f"http://{name}.test" for name in SERVICES}, "sk", http)
    return await Replay(wanted, api, Options(warehouse="W", country="GB"), lambda *_: None).run()


async def test_a_replay_decides_every_order_and_sends_back_what_was_cancelled() -> None:
    played = await replayed(Platform(), plan())
    assert {number: decision.fate for number, decision in played.decisions.items()} == dict.fromkeys("123", Fate.SENT)
    assert played.returns == {5: "", 6: ""}
    assert make_report(plan(), played, 1.0).ok


async def test_goods_that_orders_has_not_heard_of_yet_are_waited_for() -> None:
    platform = Platform(deaf=2)
    played = await replayed(platform, plan())
    assert platform.calls["POST /v1/orders:import"] == 3
    assert len(played.orders) == 3


async def test_goods_that_the_catalog_refuses_refuse_their_orders_with_its_reason() -> None:
    played = await replayed(Platform(refused=["BAD"]), plan())
    assert played.decisions["2"] == Decision(Fate.REFUSED, "product.malformed")
    assert make_report(plan(), played, 1.0).as_json()["rejected_by_reason"] == {
        "product.malformed": {"lines": 1, "value_minor": 100}
    }


async def test_too_little_stock_refuses_and_sells_nothing_that_is_not_there() -> None:
    played = await replayed(Platform(), plan("0.5"))  # 6 of 11 mugs
    assert played.decisions["1"].fate is Fate.SENT
    assert played.decisions["3"] == Decision(Fate.REFUSED, "stock.insufficient")
    report = make_report(plan("0.5"), played, 1.0)
    assert (report.sold, report.oversold) == (5, 0)


async def test_a_second_run_delivers_sells_and_returns_nothing_again() -> None:
    platform = Platform()
    first = await replayed(platform, plan())
    stock, returns = platform.stock.copy(), len(platform.returns)
    again = await replayed(platform, plan())
    assert (platform.stock, len(platform.returns), len(platform.orders)) == (stock, returns, 3)
    assert platform.calls["POST /v1/stock/adjustments"] == 1
    assert make_report(plan(), again, 0.0).as_json() == make_report(plan(), first, 0.0).as_json()


async def test_units_above_the_stock_show_as_oversold() -> None:
    played = await replayed(Platform(), plan())
    short = plan("0.5")  # as if that had been all there was
    assert make_report(short, played, 1.0).oversold == 5
    assert not make_report(short, played, 1.0).ok


@pytest.mark.parametrize(
    ("status", "hold", "decided"),
    [
        ("placed", None, False),
        ("placed", "customs_papers", False),
        ("placed", "risk_review", True),
        ("placed", "stock", True),
        ("confirmed", None, True),
        ("rejected", None, True),
    ],
)
def test_an_order_is_decided_when_everybody_has_answered(status: str, hold: str | None, decided: bool) -> None:
    assert is_decided({"status": status, "holds": [{"code": hold}] if hold else []}) is decided


@pytest.mark.parametrize(
    ("order", "decision"),
    [
        ({"status": "rejected", "reasons": [{"code": "goods.prohibited"}]}, Decision(Fate.REFUSED, "goods.prohibited")),
        ({"status": "cancelled", "cancellation": {"reason": "changed"}}, Decision(Fate.REFUSED, "changed")),
        ({"status": "confirmed", "fulfilment_status": "booked"}, Decision(Fate.WAITING)),
        ({"status": "confirmed", "fulfilment_status": "exception"}, Decision(Fate.WAITING)),
        ({"status": "completed", "fulfilment_status": "delivered"}, Decision(Fate.SENT)),
    ],
)
def test_what_became_of_an_order(order: dict[str, Any], decision: Decision) -> None:
    assert decision_of(order) == decision
