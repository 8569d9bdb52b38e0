"""A Shopify shop through its gateway. The answers are made up after Shopify's documentation; the data are invented."""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.channels import calls
from shared.channels.config import ShopifyConfig
from shared.channels.opening import open_gateway
from shared.channels.port import (
    BadSignature,
    ChannelBusy,
    ChannelGateway,
    ChannelLine,
    ChannelRefused,
    ChannelSilent,
    Listing,
    ListingOutcome,
    Notice,
    OrderPage,
    ParcelReport,
    StockLine,
    StockOutcome,
    StockPage,
    StockUpdate,
)

TOKEN, SECRET = "shpat_invented", "client-secret-invented"
LOCATION = "gid://shopify/Location/77"
CONFIG = ShopifyConfig(
    store="str_demo",
    name="shop",
    kind="shopify",
    base_url="https://example.myshopify.test",
    market="GB",
    country="GB",
    currency="GBP",
    location_id=LOCATION,
    key_env="SHOP_KEY",
    webhook_secret_env="SHOP_SECRET",
)
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LAST = {"hasNextPage": False, "endCursor": None}


def opened(http: httpx.AsyncClient) -> ChannelGateway:
    return open_gateway(CONFIG, http, {"SHOP_KEY": TOKEN, "SHOP_SECRET": SECRET})


class Shop:
    """Answers each operation, by its name, with what stands next for it, and keeps what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {name: list(said) if isinstance(said, list) else [said] for name, said in answers.items()}
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://example.myshopify.test/admin/api/2026-07/graphql.json"
        assert request.headers["x-shopify-access-token"] == TOKEN
        body = json.loads(request.content)
        named = re.search(r"(?:query|mutation) (\w+)", body["query"])
        assert named is not None
        assert set(re.findall(r"\$(\w+):", body["query"])) >= set(body["variables"])
        self.asked.append((named[1], body["variables"]))
        said = self.answers[named[1]].pop(0)
        if isinstance(said, httpx.Response):
            return said
        return httpx.Response(200, json=said if "errors" in said else {"data": said, "extensions": {}})

    async def told(self, tell: Callable[[ChannelGateway], Awaitable[Any]]) -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(self)) as http:
            return await tell(opened(http))

    def variables(self, name: str) -> list[dict[str, Any]]:
        return [variables for operation, variables in self.asked if operation == name]


def variant(sku: str | None, shown: int | None, item: int = 1, *, tracked: bool = True) -> dict[str, Any]:
    level = None if shown is None else {"quantities": [{"quantity": shown}]}
    named = {"id": f"gid://shopify/InventoryItem/{item}", "tracked": tracked}
    return {"sku": sku, "inventoryItem": {**named, "inventoryLevel": level}}


def variants(*nodes: dict[str, Any], more: str | None = None) -> dict[str, Any]:
    info = {"hasNextPage": True, "endCursor": more} if more else LAST
    return {"productVariants": {"nodes": list(nodes), "pageInfo": info}}


def done(*errors: dict[str, Any]) -> dict[str, Any]:
    return {"done": {"userErrors": list(errors)}}


def wrong(at: int, code: str) -> dict[str, Any]:
    return {"code": code, "field": ["input", "quantities", str(at), "inventoryItemId"], "message": "words"}


def setting(*updates: StockUpdate) -> Callable[[ChannelGateway], Awaitable[Any]]:
    return lambda channel: channel.set_stock(updates)


async def test_stock_is_set_from_what_is_seen_there() -> None:
    shop = Shop(StockOfSkus=variants(variant("MUG", 3, 1), variant("mug", 9, 2), variant("CUP", 5, 3)), SetStock=done())
    assert await shop.told(setting(StockUpdate("MUG", 7, 42), StockUpdate("CUP", 5, 43))) == [
        StockOutcome("MUG", 42, "applied"),
        StockOutcome("CUP", 43, "applied"),
    ]
    assert shop.variables("StockOfSkus") == [
        {"query": 'sku:"MUG" OR sku:"CUP"', "location": LOCATION, "after": None},
    ]
    (change,) = shop.variables("SetStock")  # the one that differs
    assert change["input"] == {
        "name": "available",
        "reason": "correction",
        "quantities": [
            {
                "inventoryItemId": "gid://shopify/InventoryItem/1",
                "locationId": LOCATION,
                "quantity": 7,
                "changeFromQuantity": 3,
            }
        ],
    }
    assert re.fullmatch(r"[0-9a-f-]{36}", change["key"])


async def test_stock_that_is_right_already_is_not_set() -> None:
    shop = Shop(StockOfSkus=variants(variant("MUG", 7)))
    assert await shop.told(setting(StockUpdate("MUG", 7, 1))) == [StockOutcome("MUG", 1, "applied")]


async def test_a_sku_that_is_unknown_ambiguous_or_elsewhere_is_refused_alone() -> None:
    there = variants(variant("TWO", 1, 1), variant("TWO", 1, 2), variant("AWAY", None, 3), variant("MUG", 0, 4))
    shop = Shop(StockOfSkus=there, SetStock=done())
    updates = [StockUpdate(sku, 1, 1) for sku in ("NONE", "TWO", "AWAY", "MUG")]
    said = {each.sku: (each.result, each.detail) for each in await shop.told(setting(*updates))}
    assert said == {
        "NONE": ("refused", "0 variants have this SKU there"),
        "TWO": ("refused", "2 variants have this SKU there"),
        "AWAY": ("refused", "it is not stocked at the location"),
        "MUG": ("applied", ""),
    }


async def test_a_sku_that_the_shop_sells_without_end_is_refused_and_not_called_in_step() -> None:
    shop = Shop(StockOfSkus=variants(variant("MUG", 7, tracked=False)))
    (said,) = await shop.told(setting(StockUpdate("MUG", 7, 1)))
    assert (said.result, said.detail) == ("refused", "its stock is not tracked there: it is sold without end")


async def test_what_the_shop_refuses_is_left_out_and_the_rest_is_told_again() -> None:
    shop = Shop(
        StockOfSkus=variants(variant("A", 0, 1), variant("B", 0, 2)),
        SetStock=[done(wrong(0, "NON_MUTABLE_INVENTORY_ITEM")), done()],
    )
    said = await shop.told(setting(StockUpdate("A", 1, 1), StockUpdate("B", 1, 2)))
    assert said == [
        StockOutcome("A", 1, "refused", "NON_MUTABLE_INVENTORY_ITEM: words"),
        StockOutcome("B", 2, "applied"),
    ]
    assert [len(each["input"]["quantities"]) for each in shop.variables("SetStock")] == [2, 1]


@pytest.mark.parametrize("code", ["CHANGE_FROM_QUANTITY_STALE", "IDEMPOTENCY_CONCURRENT_REQUEST"])
async def test_stock_that_changed_between_the_look_and_the_change_is_told_anew(code: str) -> None:
    shop = Shop(StockOfSkus=variants(variant("A", 0)), SetStock=done(wrong(0, code)))
    with pytest.raises(ChannelBusy):
        await shop.told(setting(StockUpdate("A", 1, 1)))


async def test_an_error_of_no_single_sku_refuses_the_call() -> None:
    error = {"code": "INVALID_LOCATION", "field": ["input"], "message": "words"}
    shop = Shop(StockOfSkus=variants(variant("A", 0)), SetStock=done(error))
    with pytest.raises(ChannelRefused, match="INVALID_LOCATION: words"):
        await shop.told(setting(StockUpdate("A", 1, 1)))


async def test_a_search_of_several_pages_is_read_to_its_end_but_not_for_ever() -> None:
    shop = Shop(StockOfSkus=[variants(more="c1"), variants(variant("A", 1))])
    assert await shop.told(setting(StockUpdate("A", 1, 1))) == [StockOutcome("A", 1, "applied")]
    assert [each["after"] for each in shop.variables("StockOfSkus")] == [None, "c1"]
    with pytest.raises(ChannelRefused, match=r"sku\.search"):
        await Shop(StockOfSkus=[variants(more="c1")] * 20).told(setting(StockUpdate("A", 1, 1)))


async def test_a_sku_cannot_change_the_search() -> None:
    shop = Shop(StockOfSkus=variants())
    await shop.told(setting(StockUpdate('A" OR sku:"B\\', 1, 1)))
    assert shop.variables("StockOfSkus")[0]["query"] == 'sku:"A\\" OR sku:\\"B\\\\"'


THROTTLED = {
    "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
    "extensions": {
        "cost": {
            "requestedQueryCost": 752,
            "actualQueryCost": None,
            "throttleStatus": {"maximumAvailable": 1000.0, "currentlyAvailable": 652, "restoreRate": 50.0},
        }
    },
}


async def test_a_throttled_call_waits_until_its_cost_is_there_again() -> None:
    with pytest.raises(ChannelBusy) as busy:
        await Shop(StockBySku=THROTTLED).told(lambda channel: channel.read_stock())
    assert busy.value.retry_after_s == 2.0


async def test_a_throttled_call_without_a_cost_waits_a_second() -> None:
    with pytest.raises(ChannelBusy) as busy:
        await Shop(StockBySku={"errors": THROTTLED["errors"]}).told(lambda channel: channel.read_stock())
    assert busy.value.retry_after_s == 1.0


@pytest.mark.parametrize(
    ("said", "raised"),
    [
        ({"errors": [{"message": "words", "extensions": {"code": "ACCESS_DENIED"}}]}, ChannelRefused),
        ({"errors": [{"message": "words", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}, ChannelSilent),
        ({"errors": [], "data": None}, ChannelSilent),
        (httpx.Response(200, content=b"<html>"), ChannelSilent),
        (httpx.Response(200, json={"data": {"productVariants": {}}}), ChannelSilent),
        (httpx.Response(401, json={"errors": "[API] Invalid API key or access token"}), ChannelRefused),
        (httpx.Response(429, headers={"retry-after": "2.0"}), ChannelBusy),
        (httpx.Response(502), ChannelSilent),
    ],
)
async def test_every_failure_is_one_of_three(said: Any, raised: type[Exception]) -> None:
    with pytest.raises(raised) as error:
        await Shop(StockBySku=said).told(lambda channel: channel.read_stock())
    assert TOKEN not in repr(error.value)
    assert SECRET not in repr(error.value)


async def test_a_shop_that_never_answers_is_left_in_time(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(calls, "WITHIN_S", 0.05)
    caplog.set_level("DEBUG")
    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        with pytest.raises(ChannelSilent):
            await opened(http).read_stock()
    assert TOKEN not in caplog.text


async def test_stock_is_read_by_sku_page_by_page() -> None:
    first = variants(variant(None, 4), variant("A", 1), variant("B", None), variant("C", -2), more="c1")
    shop = Shop(StockBySku=[first, variants(variant("D", 0))])
    page = await shop.told(lambda channel: channel.read_stock())
    assert list(page.lines) == [StockLine("A", 1), StockLine("C", -2)]
    assert await shop.told(lambda channel: channel.read_stock(page.next)) == StockPage([StockLine("D", 0)], None)
    assert [each["after"] for each in shop.variables("StockBySku")] == [None, "c1"]


async def test_a_shop_that_orders_its_skus_otherwise_is_not_compared_wrongly() -> None:
    with pytest.raises(ChannelRefused, match=r"stock\.order"):
        await Shop(StockBySku=variants(variant("a", 1), variant("B", 1))).told(lambda channel: channel.read_stock())
    with pytest.raises(ChannelRefused, match=r"stock\.order"):
        await Shop(StockBySku=variants(variant("A", 1))).told(lambda channel: channel.read_stock("c1\nB"))


def offered(sku: str, product: int, of: int, number: int) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/ProductVariant/{number}",
        "sku": sku,
        "product": {"id": f"gid://shopify/Product/{product}", "variantsCount": {"count": of}},
    }


async def test_a_listing_is_a_price_of_a_variant_that_is_there() -> None:
    shop = Shop(
        Variants=variants(offered("A", 1, 2, 11), offered("B", 1, 2, 12)),
        Publish={"done": {"userErrors": []}, "shown": {"userErrors": []}},
    )
    listings = [Listing("A", "A mug", 1299, "GBP"), Listing("X", "?", 1, "GBP"), Listing("E", "?", 1, "EUR")]
    assert await shop.told(lambda channel: channel.publish(listings)) == [
        ListingOutcome("A", "applied"),
        ListingOutcome("X", "refused", "0 variants have this SKU there"),
        ListingOutcome("E", "refused", "the price is not in the shop's currency"),
    ]
    assert shop.variables("Publish") == [
        {
            "product": "gid://shopify/Product/1",
            "variants": [{"id": "gid://shopify/ProductVariant/11", "price": "12.99"}],
        }
    ]


async def test_many_skus_are_looked_for_fifty_at_once() -> None:
    shop = Shop(Variants=[variants(), variants()])
    said = await shop.told(lambda channel: channel.withdraw([f"S{number}" for number in range(60)]))
    assert [each["query"].count("sku:") for each in shop.variables("Variants")] == [50, 10]
    assert {each.result for each in said} == {"refused"}


async def test_a_product_is_withdrawn_only_with_all_of_its_skus() -> None:
    shop = Shop(
        Variants=variants(offered("A", 1, 2, 11), offered("B", 1, 2, 12), offered("C", 2, 2, 21)),
        Withdraw=done({"field": ["product"], "message": "locked"}),
    )
    assert await shop.told(lambda channel: channel.withdraw(["A", "B", "C"])) == [
        ListingOutcome("A", "refused", "locked"),
        ListingOutcome("B", "refused", "locked"),
        ListingOutcome("C", "refused", "its product has other SKUs, which stay"),
    ]
    assert shop.variables("Withdraw") == [{"product": "gid://shopify/Product/1"}]


def money(amount: str, **more: str) -> dict[str, Any]:
    return {"shopMoney": {"amount": amount, **more}}


def line(number: int = 1, **changed: Any) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/LineItem/{number}",
        "sku": "MUG",
        "quantity": 2,
        "currentQuantity": 2,
        "requiresShipping": True,
        "discountedUnitPriceAfterAllDiscountsSet": money("12.99"),
        "taxLines": [{"priceSet": money("4.00")}, {"priceSet": money("0.33")}],
        **changed,
    }


def order(*lines: dict[str, Any], more: str | None = None, **changed: Any) -> dict[str, Any]:
    return {
        "id": "gid://shopify/Order/1001",
        "createdAt": "2026-11-24T11:00:00Z",
        "updatedAt": "2026-11-24T12:00:00Z",
        "cancelledAt": None,
        "cancelReason": None,
        "currencyCode": "GBP",
        "taxesIncluded": False,
        "email": "buyer@example.test",
        "phone": None,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "UNFULFILLED",
        "totalShippingPriceSet": money("3.5"),
        "shippingLines": {"nodes": [{"taxLines": [{"priceSet": money("0.70")}]}]},
        "shippingAddress": {
            "name": "A. Buyer",
            "address1": "1 Example Street",
            "address2": None,
            "city": "Leeds",
            "provinceCode": "ENG",
            "zip": "LS1 1AA",
            "countryCodeV2": "GB",
            "phone": "+44 0000",
        },
        "lineItems": {
            "nodes": list(lines or (line(),)),
            "pageInfo": {"hasNextPage": True, "endCursor": more} if more else LAST,
        },
        **changed,
    }


def orders(*nodes: dict[str, Any], more: str | None = None) -> dict[str, Any]:
    return {
        "orders": {"nodes": list(nodes), "pageInfo": {"hasNextPage": True, "endCursor": more} if more else LAST},
    }


async def fetched(*nodes: dict[str, Any]) -> list[Any]:
    page = await Shop(Orders=orders(*nodes)).told(lambda channel: channel.fetch_orders())
    return list(page.orders)


async def test_an_order_comes_with_its_prices_taxes_and_buyer() -> None:
    (found,) = await fetched(order())
    assert (found.external_id, found.state, found.currency) == ("1001", "open", "GBP")
    assert (found.placed_at, found.updated_at) == (datetime(2026, 11, 24, 11, tzinfo=UTC), NOW)
    assert found.lines == (ChannelLine("MUG", 2, 1299, 433),)
    assert found.shipping_minor == 420
    assert (found.name, found.line1, found.line2, found.city) == ("A. Buyer", "1 Example Street", "", "Leeds")
    assert (found.region, found.postcode, found.country) == ("ENG", "LS1 1AA", "GB")
    assert (found.email, found.phone) == ("buyer@example.test", "+44 0000")


async def test_a_tax_that_the_price_includes_is_not_added_to_it() -> None:
    (found,) = await fetched(order(taxesIncluded=True))
    assert (found.lines[0].tax_minor, found.shipping_minor) == (0, 350)


async def test_units_that_were_taken_out_of_an_order_and_their_tax_are_not_sold() -> None:
    (found,) = await fetched(
        order(line(currentQuantity=1), line(2, currentQuantity=0), line(3, requiresShipping=False))
    )
    assert found.lines == (ChannelLine("MUG", 1, 1299, 217),)


async def test_a_line_without_a_sku_is_not_lost() -> None:
    (found,) = await fetched(order(line(5, sku=None)))
    assert found.lines[0].sku == "gid://shopify/LineItem/5"


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({"displayFulfillmentStatus": "PARTIALLY_FULFILLED"}, "open"),
        ({"displayFulfillmentStatus": "FULFILLED"}, "shipped"),
        ({"cancelledAt": "2026-11-24T12:00:00Z", "displayFinancialStatus": "REFUNDED"}, "cancelled"),
    ],
)
async def test_an_order_is_open_shipped_or_cancelled(changed: dict[str, Any], state: str) -> None:
    (found,) = await fetched(order(**changed, cancelReason="CUSTOMER"))
    assert (found.state, found.cancel_reason) == (state, "customer")


@pytest.mark.parametrize("status", ["PENDING", "PARTIALLY_PAID", "VOIDED", "EXPIRED", None])
async def test_an_order_that_is_not_paid_is_not_taken_in_yet(status: str | None) -> None:
    assert await fetched(order(displayFinancialStatus=status)) == []


async def test_an_order_of_nothing_to_ship_is_none() -> None:
    assert await fetched(order(line(requiresShipping=False))) == []


async def test_orders_are_read_on_from_the_second_of_the_newest_change() -> None:
    shop = Shop(
        Orders=[
            orders(order(updatedAt="2026-11-24T12:00:00Z"), more="c1"),
            orders(order(updatedAt="2026-11-24T12:00:05Z")),
            orders(order(updatedAt="2026-11-24T12:00:05Z")),
        ]
    )
    cursors = [""]
    for _ in range(3):
        page = await shop.told(lambda channel: channel.fetch_orders(cursors[-1]))
        cursors.append(page.next)
    assert shop.variables("Orders") == [
        {"query": None, "after": None},
        {"query": None, "after": "c1"},
        {"query": "updated_at:>='2026-11-24T12:00:05Z'", "after": None},
    ]
    assert cursors[2] == cursors[3]  # nothing followed


async def test_a_shop_without_orders_stays_at_its_beginning() -> None:
    assert await Shop(Orders=orders()).told(lambda channel: channel.fetch_orders()) == OrderPage([], "")


async def test_an_order_of_many_lines_is_read_whole() -> None:
    shop = Shop(
        Orders=orders(order(line(1), more="l1")),
        LinesOfOrder={"order": {"lineItems": {"nodes": [line(2, sku="CUP")], "pageInfo": LAST}}},
    )
    page = await shop.told(lambda channel: channel.fetch_orders())
    assert [each.sku for each in page.orders[0].lines] == ["MUG", "CUP"]
    assert shop.variables("LinesOfOrder") == [{"id": "gid://shopify/Order/1001", "after": "l1"}]


def to_ship(*tracked: str, remaining: int = 2) -> dict[str, Any]:
    def lines(number: int, quantity: int) -> dict[str, Any]:
        node = {"id": f"gid://shopify/FulfillmentOrderLineItem/{number}", "remainingQuantity": quantity}
        return {"nodes": [{**node, "lineItem": {"sku": "MUG"}}], "pageInfo": LAST}

    work = [("CLOSED", 1, 9), ("OPEN", 2, remaining)]
    return {
        "order": {
            "fulfillments": [{"trackingInfo": [{"number": number}]} for number in tracked],
            "fulfillmentOrders": {
                "nodes": [
                    {"id": f"gid://shopify/FulfillmentOrder/{at}", "status": status, "lineItems": lines(at, quantity)}
                    for status, at, quantity in work
                ]
            },
        }
    }


PARCEL = ParcelReport(carrier="Acme", tracking_number="T1", lines={"MUG": 2}, shipped_at=NOW)


async def test_a_parcel_is_a_fulfillment_with_its_tracking_number() -> None:
    shop = Shop(ToShip=to_ship("T0"), Ship=done())
    await shop.told(lambda channel: channel.report_shipment("1001", PARCEL))
    lines = [{"id": "gid://shopify/FulfillmentOrderLineItem/2", "quantity": 2}]
    assert shop.variables("Ship") == [
        {
            "fulfillment": {
                "lineItemsByFulfillmentOrder": [
                    {"fulfillmentOrderId": "gid://shopify/FulfillmentOrder/2", "fulfillmentOrderLineItems": lines}
                ],
                "trackingInfo": {"company": "Acme", "number": "T1"},
                "notifyCustomer": True,
            }
        }
    ]


async def test_a_parcel_that_is_known_there_is_not_told_again() -> None:
    shop = Shop(ToShip=to_ship("T1", remaining=0))
    await shop.told(lambda channel: channel.report_shipment("1001", PARCEL))
    assert [name for name, _ in shop.asked] == ["ToShip"]


async def test_a_parcel_of_more_than_is_left_is_refused() -> None:
    with pytest.raises(ChannelRefused, match=r"shipment\.lines"):
        await Shop(ToShip=to_ship(remaining=1)).told(lambda channel: channel.report_shipment("1001", PARCEL))


async def test_an_order_that_the_shop_does_not_know_is_refused() -> None:
    with pytest.raises(ChannelRefused, match=r"order\.unknown"):
        await Shop(ToShip={"order": None}).told(lambda channel: channel.report_shipment("1001", PARCEL))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("out_of_stock", "INVENTORY"),
        ("fraud_suspected", "FRAUD"),
        ("customer_changed_mind", "CUSTOMER"),
        ("payment_failed", "DECLINED"),
        ("whatever", "OTHER"),
    ],
)
async def test_an_order_is_cancelled_with_a_reason_of_the_shop(code: str, reason: str) -> None:
    shop = Shop(IsCancelled={"order": {"cancelledAt": None}}, Cancel=done())
    await shop.told(lambda channel: channel.cancel("1001", code))
    assert shop.variables("Cancel") == [{"id": "gid://shopify/Order/1001", "reason": reason, "note": code}]


async def test_an_order_is_cancelled_once_and_its_refusal_is_said() -> None:
    shop = Shop(IsCancelled={"order": {"cancelledAt": "2026-11-24T12:00:00Z"}})
    await shop.told(lambda channel: channel.cancel("1001", "x"))
    assert shop.variables("Cancel") == []
    error = {"code": "INVALID", "field": ["orderId"], "message": "it has an open return"}
    with pytest.raises(ChannelRefused, match="INVALID: it has an open return"):
        await Shop(IsCancelled={"order": {"cancelledAt": None}}, Cancel=done(error)).told(
            lambda channel: channel.cancel("1001", "x")
        )


def payments(*amounts: tuple[str, str, str], notes: tuple[str, ...] = ()) -> dict[str, Any]:
    transactions = [
        {
            "id": f"gid://shopify/OrderTransaction/{at}",
            "kind": kind,
            "status": status,
            "gateway": "cards",
            "amountSet": money(amount, currencyCode="GBP"),
        }
        for at, (kind, status, amount) in enumerate(amounts)
    ]
    return {"order": {"refunds": [{"note": note} for note in notes], "transactions": transactions}}


async def test_money_goes_back_on_the_payment_that_covers_it_under_one_key() -> None:
    paid = payments(("AUTHORIZATION", "SUCCESS", "99"), ("SALE", "FAILURE", "98"), ("SALE", "SUCCESS", "25.98"))
    shop = Shop(Payments=[paid, paid], Refund=[done(), done()])
    for _ in range(2):
        await shop.told(lambda channel: channel.refund("1001", 500, "rfd_1"))
    first, again = shop.variables("Refund")
    assert first == again
    assert first["input"] == {
        "orderId": "gid://shopify/Order/1001",
        "note": "rfd_1",
        "transactions": [
            {
                "orderId": "gid://shopify/Order/1001",
                "parentId": "gid://shopify/OrderTransaction/2",
                "gateway": "cards",
                "kind": "REFUND",
                "amount": "5.00",
            }
        ],
    }


async def test_a_refund_that_was_made_is_not_made_again() -> None:
    shop = Shop(Payments=payments(("SALE", "SUCCESS", "25"), notes=("rfd_1",)))
    await shop.told(lambda channel: channel.refund("1001", 500, "rfd_1"))
    assert shop.variables("Refund") == []


async def test_a_refund_that_no_payment_covers_is_refused() -> None:
    with pytest.raises(ChannelRefused, match=r"refund\.no_payment"):
        await Shop(Payments=payments(("SALE", "SUCCESS", "4.99"))).told(
            lambda channel: channel.refund("1001", 500, "rfd_1")
        )


async def test_it_wants_no_acknowledgement_and_has_no_feeds() -> None:
    shop = Shop()
    await shop.told(lambda channel: channel.acknowledge(["1001"]))
    assert shop.asked == []
    with pytest.raises(ChannelRefused, match=r"feed\.unknown"):
        await shop.told(lambda channel: channel.feed_outcomes("f"))


PUSHED: dict[str, Any] = {
    "admin_graphql_api_id": "gid://shopify/Order/1001",
    "created_at": "2026-11-24T11:00:00Z",
    "updated_at": "2026-11-24T12:00:00Z",
    "cancelled_at": None,
    "cancel_reason": None,
    "currency": "GBP",
    "taxes_included": False,
    "email": "buyer@example.test",
    "financial_status": "paid",
    "fulfillment_status": None,
    "total_shipping_price_set": {"shop_money": {"amount": "3.50", "currency_code": "GBP"}},
    "shipping_lines": [{"tax_lines": [{"price": "0.70"}]}],
    "shipping_address": {
        "name": "A. Buyer",
        "address1": "1 Example Street",
        "city": "Leeds",
        "province_code": "ENG",
        "zip": "LS1 1AA",
        "country_code": "GB",
        "phone": "+44 0000",
    },
    "line_items": [
        {
            "id": 1,
            "sku": "MUG",
            "quantity": 2,
            "current_quantity": 2,
            "requires_shipping": True,
            "price": "13.99",
            "discount_allocations": [{"amount": "2.00"}],
            "tax_lines": [{"price": "4.33"}],
        }
    ],
}


def signed(secret: str = SECRET, **changed: Any) -> tuple[dict[str, str], bytes]:
    body = json.dumps({**PUSHED, **changed}).encode()
    digest = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return {"X-Shopify-Hmac-SHA256": digest, "X-Shopify-Topic": "orders/paid"}, body


async def verify(headers: dict[str, str], body: bytes) -> Notice:
    async with httpx.AsyncClient() as nobody_is_called:
        return opened(nobody_is_called).verify(headers, body, NOW)


async def test_a_pushed_order_is_the_one_that_is_fetched() -> None:
    notice = await verify(*signed())
    assert [notice.order] == await fetched(order(phone=None))
    assert notice.id == (await verify(*signed())).id
    assert notice.id != (await verify(*signed(updated_at="2026-11-24T12:00:01Z"))).id


async def test_a_pushed_cancellation_is_one() -> None:
    notice = await verify(*signed(cancelled_at="2026-11-24T12:00:00Z", cancel_reason="customer"))
    assert (notice.order.state, notice.order.cancel_reason) == ("cancelled", "customer")


async def test_what_the_app_did_not_sign_is_not_believed() -> None:
    headers, body = signed()
    for forged in (
        ({}, body),
        (headers, body.replace(b"13.99", b"0.01")),
        ({"X-Shopify-Hmac-SHA256": "%%%"}, body),
        ({"X-Shopify-Hmac-SHA256": ""}, body),
        ({"X-Shopify-Hmac-SHA256": "ä"}, body),
        signed("another secret"),
    ):
        with pytest.raises(BadSignature):
            await verify(*forged)


@pytest.mark.parametrize(
    "changed", [{"financial_status": "pending"}, {"line_items": []}, {"currency": None}, {"admin_graphql_api_id": "1"}]
)
async def test_a_signed_body_that_is_no_order_of_ours_is_no_notice(changed: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        await verify(*signed(**changed))
