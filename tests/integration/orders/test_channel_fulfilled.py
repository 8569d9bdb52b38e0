"""What a channel ships from its own warehouse takes nothing of ours and counts all the same; what it keeps of a sale is known."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.orders.channel_worker import Intake, Shown
from services.orders.domain.fulfilled import FulfilledThere, LineThere
from services.orders.domain.pricing import MOST
from services.orders.usecases.take_channel_orders import SoldOrder
from shared.contracts.orders import OrderPlaced
from shared.money import Money
from tests.builders import orders as build
from tests.fixtures.bench import OTHER_STORE, STORE, Bench

pytestmark = pytest.mark.integration
CHANNEL = "bazaar"


def there(external_id: str = "1", price: int = 999, **changes: Any) -> FulfilledThere:
    line = LineThere(sku="NOBODY-KNOWS", quantity=2, unit_price=Money(price, "EUR"), tax=Money(40, "EUR"))
    made: dict[str, Any] = {
        "external_id": external_id,
        "state": "open",
        "placed_at": build.NOON,
        "updated_at": build.NOON,
        "lines": (line,),
        "shipping": Money(350, "EUR"),
        "fee": Money(210, "EUR"),
    }
    return FulfilledThere(**(made | changes))


class OnePage:
    """A channel with one page to show."""

    def __init__(self, shown: Shown) -> None:
        self.store_id, self.channel, self._shown = STORE, CHANNEL, shown

    async def shown_after(self, cursor: str) -> Shown:
        return self._shown


async def read(bench: Bench, *told: FulfilledThere, sold: tuple[SoldOrder, ...] = ()) -> None:
    shown = Shown(sold=sold, fulfilled_there=told)
    await bench.database.execute("UPDATE channel_intake SET next_at = now()")
    assert await Intake(bench.database, bench.kit.desk, OnePage(shown)).step() == len(shown)


async def listed(bench: Bench, store: str = STORE, **params: Any) -> dict[str, Any]:
    async with bench.client_of(store) as client:
        answer = await client.get(f"/v1/channels/{CHANNEL}/fulfilled-there", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def counted() -> float:
    return REGISTRY.get_sample_value("freeport_orders_fulfilled_there_total", {"channel": CHANNEL}) or 0.0


async def test_it_is_counted_with_its_money_and_nobody_reserves_or_books(bench: Bench) -> None:
    before = counted()
    await read(bench, there())
    (order,) = (await listed(bench))["data"]
    amounts = {name: order[name]["amount"] for name in ("goods", "taxes", "shipping", "total", "channel_fee")}
    assert amounts == {"goods": "1998", "taxes": "40", "shipping": "350", "total": "2388", "channel_fee": "210"}
    assert [(line["sku"], line["quantity"], line["tax"]["amount"]) for line in order["lines"]] == [
        ("NOBODY-KNOWS", 2, "40")
    ]
    assert counted() == before + 1
    assert await bench.published(OrderPlaced) == []
    assert await bench.database.fetchval("SELECT count(*) FROM outside_call") == 0
    assert await bench.database.fetchval("SELECT count(*) FROM channel_refusal") == 0


async def test_told_again_it_is_counted_once_and_the_newest_word_stands(bench: Bench) -> None:
    before = counted()
    later = there(state="cancelled", updated_at=build.NOON + timedelta(hours=1))
    await read(bench, there(), there())
    await read(bench, later, there())
    await read(bench, there())
    assert [(order["external_id"], order["state"]) for order in (await listed(bench))["data"]] == [("1", "cancelled")]
    assert counted() == before + 1


async def test_the_list_pages_from_the_newest_and_shows_only_the_stores_own(bench: Bench) -> None:
    await read(bench, *(there(str(n), placed_at=build.NOON + timedelta(hours=n // 2)) for n in range(5)))
    first = await listed(bench, limit=2)
    second = await listed(bench, limit=2, after=first["next"])
    third = await listed(bench, limit=2, after=second["next"])
    pages = [first, second, third]
    assert [[order["external_id"] for order in page["data"]] for page in pages] == [["4", "3"], ["2", "1"], ["0"]]
    assert third["has_more"] is False
    assert (await listed(bench, OTHER_STORE))["data"] == []


async def test_amounts_that_no_order_has_are_refused_and_spoil_nothing(bench: Bench) -> None:
    await read(bench, there("1", price=MOST), there("2"))
    assert [order["external_id"] for order in (await listed(bench))["data"]] == ["2"]
    assert await bench.database.fetchval("SELECT external_id || code FROM channel_refusal") == (
        "1order.total_out_of_range"
    )
    await read(bench, there("1", updated_at=build.NOON + timedelta(hours=1)))
    assert await bench.database.fetchval("SELECT count(*) FROM channel_refusal") == 0


async def test_what_the_channel_keeps_of_our_order_is_shown_and_charged_to_nobody(bench: Bench) -> None:
    with_fee = build.an_imported_order(external_id="7", channel=CHANNEL, channel_fee=Money(210, "EUR"))
    without = build.an_imported_order(external_id="8", channel=CHANNEL)
    await read(bench, sold=(SoldOrder(order=with_fee), SoldOrder(order=without)))
    async with bench.client as client:
        orders = (await client.get("/v1/orders")).json()["data"]
    found = {order["external_id"]: order for order in orders}
    assert found["7"]["channel_fee"] == {"amount": "210", "currency": "EUR"}
    assert found["8"]["channel_fee"] is None
    assert found["7"]["totals"] == found["8"]["totals"]
    assert found["7"]["totals"]["total"]["amount"] == "1998"


async def test_a_fee_that_is_settled_later_is_no_other_order(bench: Bench) -> None:
    for fee in (None, Money(210, "EUR")):
        order = build.an_imported_order(external_id="7", channel=CHANNEL, channel_fee=fee)
        await read(bench, sold=(SoldOrder(order=order),))
    assert len(await bench.published(OrderPlaced)) == 1
    assert await bench.database.fetchval("SELECT count(*) FROM channel_refusal") == 0
