"""Inventory over HTTP and by events, with its real database."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared.contracts.inventory import (
    ReservationBroken,
    ReservationCommitted,
    ReservationExpired,
    ReservationReleased,
    StockChanged,
    StockConsumed,
    StockRefused,
    StockReserved,
    StockRestocked,
)
from tests.builders.inventory import (
    allocated,
    cancelled,
    confirmed,
    dispatched,
    order_id,
    placed,
    rejected,
    returned,
)
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration

MUG = allocated("MUG", 1)


async def level(bench: Bench, sku: str = "MUG") -> tuple[int, int, int]:
    """(on hand, reserved, available) over all warehouses."""
    body = (await bench.client.get(f"/v1/stock/{sku}")).json()
    return body["on_hand"], body["reserved"], body["available"]


async def discrepancies(bench: Bench) -> list[Any]:
    return await bench.database.fetch("SELECT * FROM stock_discrepancy")


async def test_an_order_from_placing_to_return(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(placed(1, {"MUG": 2}))
    assert await level(bench) == (5, 2, 3)
    await bench.deliver(confirmed(1, allocated("MUG", 2)))
    assert await bench.due("reservation.expiry") == 0
    await bench.deliver(dispatched(1, allocated("MUG", 2)))
    assert await level(bench) == (3, 0, 3)
    await bench.deliver(returned(1, warehouse="NJ"))
    assert await level(bench) == (4, 0, 4)
    told = [event for event in await bench.published() if not isinstance(event, StockChanged)]
    assert [type(event) for event in told] == [StockReserved, ReservationCommitted, StockConsumed, StockRestocked]
    assert await discrepancies(bench) == []
    body = (await bench.client.get(f"/v1/reservations/{order_id(1)}")).json()
    assert (body["status"], body["confirmed"], body["expires_at"]) == ("consumed", True, None)
    assert body["lines"] == [{"sku": "MUG", "quantity": 2, "restocked": 1}]
    assert body["allocations"] == [{"sku": "MUG", "warehouse": "BER", "country": "DE", "quantity": 2}]


async def test_a_hold_expires_and_a_late_payment_reserves_again(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=1)
    await bench.deliver(placed(1))
    assert await bench.overdue() == 0
    assert await bench.due("reservation.expiry", order_id(1)) == 1
    assert await level(bench) == (1, 0, 1)
    await bench.deliver(confirmed(1, MUG))
    assert await bench.published(ReservationExpired, ReservationCommitted) == [
        ReservationExpired(order_id=order_id(1)),
        ReservationCommitted(order_id=order_id(1)),
    ]
    assert await bench.due("reservation.expiry") == 0
    assert await level(bench) == (1, 1, 0)


@pytest.mark.parametrize("end", [cancelled(1), rejected(1)])
async def test_an_order_that_ends_gives_back_what_it_holds(bench: Bench, adjust: Stock, end: Any) -> None:
    await adjust("receipt", MUG=1)
    await bench.deliver(placed(1), end, placed(2))
    assert await bench.published(ReservationReleased) == [ReservationReleased(order_id=order_id(1))]
    assert [event.order_id for event in await bench.published(StockReserved)] == [order_id(1), order_id(2)]
    assert await discrepancies(bench) == []


async def test_a_count_breaks_the_newest_reservations_and_tells(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=4, CAP=4)
    await bench.deliver(*[placed(number, {"MUG": 1, "CAP": 1}) for number in (1, 2, 3, 4)])
    answer = await adjust("count", MUG=2)
    assert answer["lines"] == [{"sku": "MUG", "change": -2, "on_hand": 2}]
    assert answer["broken_reservations"] == 2
    assert [event.order_id for event in await bench.published(ReservationBroken)] == [order_id(4), order_id(3)]
    assert await level(bench) == (2, 2, 0)
    assert await level(bench, "CAP") == (4, 2, 2)
    assert await discrepancies(bench) == []


async def test_consumed_holds_do_not_break_but_older_ones_do(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=3)
    await bench.deliver(*[placed(number) for number in (1, 2, 3)])
    await bench.deliver(dispatched(3, MUG))
    answer = await adjust("write_off", MUG=1)
    assert answer["broken_reservations"] == 1
    assert [event.order_id for event in await bench.published(ReservationBroken)] == [order_id(2)]
    assert await discrepancies(bench) == []


async def test_a_sold_order_waits_and_is_served_by_the_receipt(bench: Bench, adjust: Stock) -> None:
    await bench.deliver(placed(1, {"MUG": 1, "CAP": 1}, refusable=False))
    assert [event.waiting for event in await bench.published(StockRefused)] == [True]
    await adjust("receipt", MUG=1)
    assert await bench.published(StockReserved) == []
    await adjust("receipt", CAP=1)
    assert [event.order_id for event in await bench.published(StockReserved)] == [order_id(1)]
    assert await bench.due() == 0


async def test_a_long_line_is_served_in_turns(bench: Bench, adjust: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.inventory.repository.WAITING_AT_ONCE", 3)
    await bench.deliver(*[placed(number, {"MUG": 1}, refusable=False) for number in range(1, 9)])
    await adjust("receipt", MUG=7)
    turns = 0
    while await bench.due("waiting.retry"):
        turns += 1
    assert turns == 2
    assert [event.order_id for event in await bench.published(StockReserved)] == [order_id(n) for n in range(1, 8)]
    assert await discrepancies(bench) == []


async def test_a_line_of_large_orders_does_not_hide_a_small_one(
    bench: Bench, adjust: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inventory.repository.WAITING_AT_ONCE", 2)
    await bench.deliver(*[placed(n, {"MUG": 9}, refusable=False) for n in range(1, 6)], placed(6, refusable=False))
    await adjust("receipt", MUG=1)
    while await bench.due("waiting.retry"):
        pass
    assert [event.order_id for event in await bench.published(StockReserved)] == [order_id(6)]


async def test_an_adjustment_is_made_once(bench: Bench) -> None:
    body = {"kind": "receipt", "warehouse": "BER", "reason": "delivery", "lines": [{"sku": "MUG", "quantity": 5}]}
    first, again = [
        await bench.client.post("/v1/stock/adjustments", json=body, headers={"idempotency-key": "k1"}) for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json() == again.json()
    assert await level(bench) == (5, 0, 5)


async def test_five_hundred_lines_are_one_adjustment(bench: Bench, adjust: Stock) -> None:
    answer = await adjust("receipt", **{f"SKU-{number:03d}": number + 1 for number in range(500)})
    assert len(answer["lines"]) == 500
    assert await bench.database.fetchval("SELECT sum(on_hand) FROM stock_level") == 500 * 501 // 2


async def test_one_wrong_line_stops_the_whole_adjustment(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", CAP=5)
    body = {"kind": "write_off", "warehouse": "BER", "reason": "water", "lines": []}
    body["lines"] = [{"sku": "CAP", "quantity": 1}, {"sku": "MUG", "quantity": 1}]
    response = await bench.client.post("/v1/stock/adjustments", json=body)
    assert (response.status_code, response.json()["code"]) == (409, "stock.below_zero")
    assert await level(bench, "CAP") == (5, 0, 5)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [{"sku": "MUG", "quantity": 0}],
        [{"sku": "MUG", "quantity": -1}],
        [{"sku": "MUG", "quantity": "1"}],
        [{"sku": "MUG", "quantity": 1.0}],
        [{"sku": "MUG", "quantity": True}],
        [{"sku": "MUG", "quantity": 10**10}],
        [{"sku": "MUG", "quantity": 1}, {"sku": "MUG", "quantity": 2}],
        [{"sku": "MUG\0", "quantity": 1}],
        [{"sku": "MUG", "quantity": 1, "price": 3}],
        [{"sku": f"S{number}", "quantity": 1} for number in range(501)],
    ],
)
async def test_an_adjustment_that_means_nothing_is_refused(bench: Bench, lines: list[Any]) -> None:
    body = {"kind": "receipt", "warehouse": "BER", "reason": "delivery", "lines": lines}
    response = await bench.client.post("/v1/stock/adjustments", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "request.invalid")


async def test_an_adjustment_needs_an_existing_warehouse(bench: Bench) -> None:
    body = {"kind": "receipt", "warehouse": "ATL", "reason": "delivery", "lines": [{"sku": "MUG", "quantity": 5}]}
    response = await bench.client.post("/v1/stock/adjustments", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "warehouse.unknown")


async def test_stock_by_warehouse_and_channel(bench: Bench, adjust: Stock) -> None:
    assert (await bench.client.put("/v1/channels/bazaar", json={"buffer": 2})).status_code == 200
    await adjust("receipt", MUG=5)
    await adjust("receipt", warehouse="NJ", MUG=1)
    await bench.deliver(placed(1, {"MUG": 1}))
    body = (await bench.client.get("/v1/stock/MUG")).json()
    states = await bench.published(StockChanged)
    assert body == {
        "sku": "MUG",
        "version": states[-1].version,
        "on_hand": 6,
        "reserved": 1,
        "available": 5,
        "in_transit": 0,
        "warehouses": [
            {"warehouse": "BER", "kind": "home", "country": "DE", "on_hand": 5, "reserved": 1, "available": 4},
            {"warehouse": "NJ", "kind": "overseas", "country": "US", "on_hand": 1, "reserved": 0, "available": 1},
        ],
        "channels": [
            {"channel": "bazaar", "available": 3, "buffer": 2},
            {"channel": "storefront", "available": 5, "buffer": 0},
        ],
    }
    assert [(share.channel, share.available) for share in states[-1].channels] == [("bazaar", 3), ("storefront", 5)]


async def test_a_changed_buffer_is_announced_for_every_sku_in_turns(
    bench: Bench, adjust: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inventory.repository.ANNOUNCED_AT_ONCE", 2)
    await adjust("receipt", A=5, B=5, C=5, D=5, E=5)
    await bench.client.put("/v1/channels/storefront", json={"buffer": 1, "skus": {"C": 3}})
    turns = 0
    while await bench.due("stock.announce"):
        turns += 1
    assert turns == 3
    states = {state.sku: state for state in await bench.published(StockChanged)}
    assert {sku: state.channels[0].available for sku, state in states.items()} == {
        "A": 4,
        "B": 4,
        "C": 2,
        "D": 4,
        "E": 4,
    }
    assert {state.version for state in states.values()} == {2}
    listed = (await bench.client.get("/v1/channels")).json()["data"]
    no_more = {"cap": None, "allotment": 0, "closed": False, "units_per_s": 0.0}
    assert listed == [{"name": "storefront", "buffer": 1, "country": "", "skus": {"C": 3}, **no_more}]


async def test_of_many_changes_in_a_batch_only_the_newest_state_is_published(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=50)
    await bench.deliver(*[placed(number) for number in range(1, 21)])
    states = await bench.published(StockChanged)
    assert [(state.version, state.available) for state in states] == [(1, 50), (21, 30)]


async def test_the_ledger_is_read_newest_first_and_adds_up(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=50)
    await bench.deliver(*[placed(number) for number in range(1, 6)])
    await bench.deliver(dispatched(1, MUG), cancelled(2))
    entries: list[dict[str, Any]] = []
    after = None
    while True:
        query = {"limit": 3, **({"after": after} if after else {})}
        body = (await bench.client.get("/v1/stock/MUG/movements", params=query)).json()
        entries += body["data"]
        after = body["next"]
        if not body["has_more"]:
            break
    assert [entry["kind"] for entry in entries] == ["released", "consumed", *["reserved"] * 5, "receipt"]
    assert sum(entry["on_hand"] for entry in entries) == 49
    assert sum(entry["reserved"] for entry in entries) == 3
    assert entries[0]["cause"] == order_id(2)


async def test_stock_is_listed_page_by_page(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", A=1, B=2, C=3)
    await adjust("receipt", warehouse="NJ", B=2)
    first = (await bench.client.get("/v1/stock", params={"limit": 2})).json()
    assert [(item["sku"], item["on_hand"]) for item in first["data"]] == [("A", 1), ("B", 4)]
    second = (await bench.client.get("/v1/stock", params={"limit": 2, "after": first["next"]})).json()
    assert [item["sku"] for item in second["data"]] == ["C"]
    assert second["has_more"] is False


@pytest.mark.parametrize("after", ["nonsense", "WyJhIl0", "WyJBIiwiQiJd", "WyIxMjM0NTY3ODkwMTIzNDU2Nzg5MCJd"])
async def test_a_wrong_cursor_is_refused(bench: Bench, adjust: Stock, after: str) -> None:
    await adjust("receipt", MUG=1)
    response = await bench.client.get("/v1/stock/MUG/movements", params={"after": after})
    assert (response.status_code, response.json()["code"]) == (400, "cursor.malformed")


async def test_a_sku_with_a_slash_can_be_read(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", **{"A/B": 2})
    assert await level(bench, "A%2FB") == (2, 0, 2)
    assert (await bench.client.get("/v1/stock/A%2FB/movements")).json()["data"][0]["sku"] == "A/B"


async def test_a_warehouse_keeps_its_country_and_kind(bench: Bench) -> None:
    same = await bench.client.put("/v1/warehouses/BER", json={"kind": "home", "country": "DE", "name": "Berlin"})
    other = await bench.client.put("/v1/warehouses/BER", json={"kind": "home", "country": "FR"})
    unreal = await bench.client.put("/v1/warehouses/ATL", json={"kind": "home", "country": "XX"})
    assert (same.status_code, other.status_code, unreal.status_code) == (200, 409, 422)
    assert other.json()["code"] == "warehouse.fixed"
    assert (await bench.client.get("/v1/warehouses")).json()["data"] == [
        {"code": "BER", "kind": "home", "country": "DE", "name": "Berlin"},
        {"code": "NJ", "kind": "overseas", "country": "US", "name": ""},
    ]


async def test_a_store_sees_and_touches_only_its_own(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(placed(1))
    other = bench.client_of(OTHER_STORE)
    for path in ("/v1/stock/MUG", "/v1/stock/MUG/movements", f"/v1/reservations/{order_id(1)}"):
        assert (await bench.client.get(path)).status_code == 200
        assert (await other.get(path)).status_code == 404
    for path in ("/v1/stock", "/v1/warehouses"):
        assert (await other.get(path)).json()["data"] == []
    taken = await other.put("/v1/warehouses/BER", json={"kind": "home", "country": "DE"})
    assert (taken.status_code, taken.json()["code"]) == (409, "warehouse.taken")
    assert (await _receive(other, "BER")).json()["code"] == "warehouse.unknown"
    await other.put("/v1/warehouses/OWN", json={"kind": "home", "country": "DE"})
    assert (await _receive(other, "OWN")).json()["code"] == "stock.sku_taken"
    assert await level(bench) == (5, 1, 4)


async def _receive(client: httpx.AsyncClient, warehouse: str) -> httpx.Response:
    body = {"kind": "receipt", "warehouse": warehouse, "reason": "x", "lines": [{"sku": "MUG", "quantity": 1}]}
    return await client.post("/v1/stock/adjustments", json=body)


async def test_an_order_is_not_served_from_another_stores_goods(bench: Bench, adjust: Stock) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(replace(placed(1), store_id=OTHER_STORE), store=OTHER_STORE)
    assert [event.short[0].available for event in await bench.published(StockRefused)] == [0]
    assert await level(bench) == (5, 0, 5)


async def test_nobody_reads_without_a_key(bench: Bench) -> None:
    assert (await bench.client_of(None).get("/v1/stock")).status_code == 401
    assert (await bench.client_of("internal").get("/v1/stock")).status_code == 403
