"""A Shopify shop as a channel, by the Admin GraphQL API. Which page of its documentation says what: docs/channels.md."""

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import httpx
from pydantic import SecretStr, ValidationError

from shared.channels import shopify_documents as ask
from shared.channels.calls import Caller
from shared.channels.config import ShopifyConfig
from shared.channels.port import (
    BadSignature,
    ChannelBusy,
    ChannelOrder,
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
from shared.channels.shopify_shapes import (
    Answer,
    Cancelled,
    Cost,
    Done,
    GraphqlError,
    Item,
    Line,
    OfOrder,
    Order,
    OrderLines,
    OrdersPage,
    PageInfo,
    Payments,
    Pushed,
    Shape,
    StockedPage,
    ToShip,
    UserError,
    Variant,
    VariantPage,
    Work,
    shown_orders,
)
from shared.money import Money

_CHANGED_MEANWHILE = frozenset(
    {"CHANGE_FROM_QUANTITY_STALE", "COMPARE_QUANTITY_STALE", "IDEMPOTENCY_CONCURRENT_REQUEST"}
)
_OWN_FAULTS = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"})
_OPEN_WORK = frozenset({"OPEN", "IN_PROGRESS"})
_LONGEST_REST_S = 60.0
_REST_S = 1.0
_MOST_PAGES = 10
_AT_ONCE = 50  # SKUs of one search
_MOST_DETAIL = 300
_KEYS = uuid.UUID("6f0a6f0e-6a55-4d3c-9a3a-0b6c0f2f9d11")  # of the idempotency keys that are made of ours

T = TypeVar("T")
M = TypeVar("M", bound=Shape)


@dataclass(frozen=True, slots=True)
class _Wish:
    """An update and the one item there that it is about."""

    update: StockUpdate
    item: str
    shown: int


class ShopifyGateway:
    """One shop. Prices that include tax come without one, for it is no further amount; a tax on shipping comes with the shipping.

    `key` is an Admin API access token, `webhook` the client secret of the app that subscribed to its webhooks.
    """

    def __init__(self, config: ShopifyConfig, http: httpx.AsyncClient, key: SecretStr, webhook: SecretStr) -> None:
        self._config = config
        self._caller = Caller(http, config.base_url, {"x-shopify-access-token": key.get_secret_value()})
        self._secret = webhook.get_secret_value().encode()

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        """A look at what is there and one change of all that differs, each from the quantity that was seen.

        Shopify keeps no version: what fences an update that was overtaken is that quantity. A change in between is ChannelBusy.
        """
        there = await self._stocked([update.sku for update in updates])
        outcomes: dict[str, StockOutcome] = {}
        wishes: list[_Wish] = []
        for update in updates:
            found = there.get(update.sku, [])
            shown = found[0].shown if len(found) == 1 else None
            if len(found) != 1:
                outcomes[update.sku] = _refused(update, f"{len(found)} variants have this SKU there")
            elif not found[0].tracked:
                outcomes[update.sku] = _refused(update, "its stock is not tracked there: it is sold without end")
            elif shown is None:
                outcomes[update.sku] = _refused(update, "it is not stocked at the location")
            elif shown == update.quantity:
                outcomes[update.sku] = StockOutcome(update.sku, update.version, "applied")
            else:
                wishes.append(_Wish(update, found[0].id, shown))
        outcomes |= await self._change(wishes)
        return [outcomes[update.sku] for update in updates]

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        """It takes nothing into feeds, so it knows none."""
        raise ChannelRefused("feed.unknown", f"this kind of channel has no feeds: {feed[:100]}")

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        """What is available at the location, by SKU. A shop whose order of SKUs is not that of code points is refused."""
        after, last = _cut(cursor or "")
        said = await self._ask(StockedPage, ask.STOCK_BY_SKU, location=self._config.location_id, after=after or None)
        page = said.product_variants
        units: dict[str, int] = {}
        for variant in page.nodes:
            if not variant.sku or variant.inventory_item.shown is None:
                continue
            if variant.sku < last:
                raise ChannelRefused("stock.order", "the SKUs there do not come in the order of their code points")
            last = variant.sku
            units[last] = units.get(last, 0) + variant.inventory_item.shown
        lines = [StockLine(sku, quantity) for sku, quantity in units.items()]
        following = f"{page.page_info.end_cursor}\n{last}" if page.page_info.has_next_page else None
        return StockPage(lines, following)

    async def publish(self, listings: Sequence[Listing]) -> Sequence[ListingOutcome]:
        """Set the price of variants that are there, and show their products. A title is a product's, so it stays as it is there."""
        prices = {listing.sku: listing for listing in listings if listing.currency == self._config.currency}
        refused = {each.sku: "the price is not in the shop's currency" for each in listings if each.sku not in prices}
        for product, variants in (await self._products(list(prices), refused)).items():
            wanted = [{"id": each.id, "price": _price(prices[each.sku or ""])} for each in variants]
            said = await self._ask_raw(ask.PUBLISH, product=product, variants=wanted)
            for errors in (_read(Done, said["done"]).user_errors, _read(Done, said["shown"]).user_errors):
                refused |= {each.sku or "": errors[0].message[:_MOST_DETAIL] for each in variants if errors}
        return _listed((listing.sku for listing in listings), refused)

    async def withdraw(self, skus: Sequence[str]) -> Sequence[ListingOutcome]:
        """Make products drafts. A variant alone cannot be: a product is withdrawn only with all of its SKUs."""
        refused: dict[str, str] = {}
        for product, variants in (await self._products(skus, refused)).items():
            if len(variants) < variants[0].product.variants_count.count:
                refused |= {each.sku or "": "its product has other SKUs, which stay" for each in variants}
                continue
            errors = _read(Done, (await self._ask_raw(ask.WITHDRAW, product=product))["done"]).user_errors
            refused |= {each.sku or "": errors[0].message[:_MOST_DETAIL] for each in variants if errors}
        return _listed(skus, refused)

    async def fetch_orders(self, cursor: str = "") -> OrderPage:
        """By the time of their last change, again from the second of the newest one: Shopify tells times by the second."""
        after, since = _cut(cursor)
        query = f"updated_at:>='{since}'" if since else None
        page = (await self._ask(OrdersPage, ask.ORDERS, query=query, after=after or None)).orders
        orders: list[ChannelOrder] = []
        for order in page.nodes:
            lines = await self._lines(order)
            orders += shown_orders(order, lines)
        if page.page_info.has_next_page:
            return OrderPage(orders, f"{page.page_info.end_cursor}\n{since}")
        newest = _stamp(page.nodes[-1].updated_at) if page.nodes else since
        return OrderPage(orders, f"\n{newest}" if newest else "")

    async def acknowledge(self, external_ids: Sequence[str]) -> None:
        """Shopify asks for none."""

    async def report_shipment(self, external_id: str, parcel: ParcelReport) -> None:
        """One fulfillment a tracking number; one that is known there is not made again."""
        order = await self._of_order(OfOrder[ToShip], ask.TO_SHIP, external_id)
        told = {each.number for fulfillment in order.fulfillments for each in fulfillment.tracking_info}
        if parcel.tracking_number in told:
            return
        fulfillment = {
            "lineItemsByFulfillmentOrder": _work(order.fulfillment_orders.nodes, parcel.lines),
            "trackingInfo": {"company": parcel.carrier, "number": parcel.tracking_number},
            "notifyCustomer": True,
        }
        await self._do(ask.SHIP, fulfillment=fulfillment)

    async def cancel(self, external_id: str, reason: str) -> None:
        """With the money back the way it came. Nothing is restocked there: inventory tells what there is."""
        if (await self._of_order(OfOrder[Cancelled], ask.IS_CANCELLED, external_id)).cancelled_at:
            return
        await self._do(ask.CANCEL, id=_order_id(external_id), reason=_reason(reason), note=reason[:255])

    async def refund(self, external_id: str, amount_minor: int, key: str) -> None:
        """On the payment that covers it. The key is the refund's note, so one that was made is found later, too."""
        order = await self._of_order(OfOrder[Payments], ask.PAYMENTS, external_id)
        if any(refund.note == key for refund in order.refunds):
            return
        wanted = Money(amount_minor, self._config.currency).decimal()
        payments = [
            each
            for each in order.transactions
            if (each.kind, each.status) in {("SALE", "SUCCESS"), ("CAPTURE", "SUCCESS")}
            and each.amount_set.shop_money.currency_code == self._config.currency
            and each.amount_set.shop_money.amount >= wanted
        ]
        if not payments:
            raise ChannelRefused("refund.no_payment", "no payment of the order covers it")
        # Always the same one, so that a repetition under the same idempotency key says the same.
        payment = max(payments, key=lambda each: (each.amount_set.shop_money.amount, each.id))
        transaction = {
            "orderId": _order_id(external_id),
            "parentId": payment.id,
            "gateway": payment.gateway,
            "kind": "REFUND",
            "amount": str(wanted),
        }
        refund = {"orderId": _order_id(external_id), "note": key, "transactions": [transaction]}
        name = f"{self._config.store}/{self._config.name}/{external_id}/{key}"
        await self._do(ask.REFUND, input=refund, key=str(uuid.uuid5(_KEYS, name)))

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """A webhook of `orders/paid` or `orders/cancelled`. Only its body is signed, so the body alone says which notice it is."""
        said = {name.lower(): value for name, value in headers.items()}
        try:
            given = base64.b64decode(said.get("x-shopify-hmac-sha256", ""), validate=True)
        except (binascii.Error, ValueError):
            raise BadSignature("the signature is missing or wrong") from None
        if not hmac.compare_digest(given, hmac.digest(self._secret, body, "sha256")):
            raise BadSignature("the signature is missing or wrong")
        try:
            pushed = Pushed.model_validate_json(body).as_order()
        except ValidationError as error:
            raise BadSignature("the body is no order") from error
        orders = shown_orders(pushed, pushed.line_items.nodes)
        if not orders:
            raise BadSignature("the order is not paid, or nothing of it is to be shipped")
        return Notice(f"shopify_{hashlib.sha256(body).hexdigest()[:40]}", orders[0])

    async def _stocked(self, skus: Sequence[str]) -> dict[str, list[Item]]:
        found: dict[str, list[Item]] = {sku: [] for sku in skus}

        async def page(query: str, after: str | None) -> PageInfo:
            said = await self._ask(
                StockedPage, ask.STOCK_OF_SKUS, query=query, location=self._config.location_id, after=after
            )
            for variant in said.product_variants.nodes:
                if variant.sku in found:  # the search also finds what is only alike
                    found[variant.sku].append(variant.inventory_item)
            return said.product_variants.page_info

        await _search(skus, page)
        return found

    async def _products(self, skus: Sequence[str], refused: dict[str, str]) -> dict[str, list[Variant]]:
        found: dict[str, list[Variant]] = {sku: [] for sku in skus}

        async def page(query: str, after: str | None) -> PageInfo:
            said = await self._ask(VariantPage, ask.VARIANTS, query=query, after=after)
            for variant in said.product_variants.nodes:
                if variant.sku in found:
                    found[variant.sku].append(variant)
            return said.product_variants.page_info

        await _search(skus, page)
        products: dict[str, list[Variant]] = {}
        for sku, variants in found.items():
            if len(variants) == 1:
                products.setdefault(variants[0].product.id, []).append(variants[0])
            else:
                refused[sku] = f"{len(variants)} variants have this SKU there"
        return products

    async def _change(self, wishes: list[_Wish]) -> dict[str, StockOutcome]:
        # All or none is changed: what is refused is left out, and the others are told again.
        outcomes: dict[str, StockOutcome] = {}
        for _ in range(_MOST_PAGES):
            if not wishes:
                return outcomes
            errors = _read(Done, (await self._ask_raw(ask.SET_STOCK, **self._quantities(wishes)))["done"]).user_errors
            if not errors:
                return outcomes | {
                    each.update.sku: StockOutcome(each.update.sku, each.update.version, "applied") for each in wishes
                }
            if any(error.code in _CHANGED_MEANWHILE for error in errors):
                raise ChannelBusy(_REST_S)
            at_fault = {at: error for error in errors if (at := _place(error, len(wishes))) is not None}
            if not at_fault:
                raise ChannelRefused(errors[0].code or "user_error", errors[0].message[:_MOST_DETAIL])
            for at, error in at_fault.items():
                update = wishes[at].update
                outcomes[update.sku] = _refused(update, f"{error.code or 'user_error'}: {error.message}")
            wishes = [wish for at, wish in enumerate(wishes) if at not in at_fault]
        raise ChannelBusy(_REST_S)

    def _quantities(self, wishes: Sequence[_Wish]) -> dict[str, Any]:
        quantities = [
            {
                "inventoryItemId": wish.item,
                "locationId": self._config.location_id,
                "quantity": wish.update.quantity,
                "changeFromQuantity": wish.shown,
            }
            for wish in wishes
        ]
        return {
            "input": {"name": "available", "reason": "correction", "quantities": quantities},
            "key": str(uuid.uuid4()),  # a repetition looks again first, and is another change
        }

    async def _lines(self, order: Order) -> list[Line]:
        lines, info = list(order.line_items.nodes), order.line_items.page_info
        while info.has_next_page:
            said = await self._ask(OfOrder[OrderLines], ask.LINES_OF_ORDER, id=order.id, after=info.end_cursor)
            if said.order is None:
                raise ChannelSilent("an order is gone while its lines were read")
            lines += said.order.line_items.nodes
            info = said.order.line_items.page_info
        return lines

    async def _of_order(self, model: type[OfOrder[T]], document: str, external_id: str) -> T:
        said = await self._ask(model, document, id=_order_id(external_id))
        if said.order is None:
            raise ChannelRefused("order.unknown", "the shop does not know the order")
        return said.order

    async def _do(self, document: str, **variables: Any) -> None:
        errors = _read(Done, (await self._ask_raw(document, **variables))["done"]).user_errors
        if errors:
            raise ChannelRefused(errors[0].code or "user_error", errors[0].message[:_MOST_DETAIL])

    async def _ask(self, model: type[M], document: str, **variables: Any) -> M:
        return _read(model, await self._ask_raw(document, **variables))

    async def _ask_raw(self, document: str, **variables: Any) -> dict[str, Any]:
        answer = await self._caller.ask("POST", ask.PATH, json={"query": document, "variables": variables})
        try:
            said = Answer.model_validate_json(answer.content)
        except ValidationError as error:
            raise ChannelSilent(f"an answer that is not Shopify's: {error.error_count()} errors") from None
        for error in said.errors:
            _raise(error, said.extensions.cost)
        if said.data is None or any(value is None and name in ("done", "shown") for name, value in said.data.items()):
            raise ChannelSilent("an answer without data")
        return said.data


def _raise(error: GraphqlError, cost: Cost | None) -> None:
    code = error.extensions.code
    if code == "THROTTLED":
        raise ChannelBusy(_rest_s(cost))
    if code in _OWN_FAULTS:
        raise ChannelSilent(f"Shopify: {code}")
    raise ChannelRefused(code or "graphql", error.message[:_MOST_DETAIL])


def _rest_s(cost: Cost | None) -> float:
    # The bucket refills by so many points a second: until there are as many as the call costs.
    if cost is None or cost.throttle_status is None:
        return _REST_S
    short = cost.requested_query_cost - cost.throttle_status.currently_available
    return min(max(short / cost.throttle_status.restore_rate, 0.1), _LONGEST_REST_S)


def _read(model: type[M], said: Any) -> M:
    try:
        return model.model_validate(said)
    except ValidationError as error:
        raise ChannelSilent(f"an answer that is not Shopify's: {error.error_count()} errors") from None


async def _search(skus: Sequence[str], page: Callable[[str, str | None], Awaitable[PageInfo]]) -> None:
    for first in range(0, len(skus), _AT_ONCE):
        query = _any_of(skus[first : first + _AT_ONCE])
        after: str | None = None
        for _ in range(_MOST_PAGES):
            info = await page(query, after)
            if not info.has_next_page:
                break
            after = info.end_cursor
        else:
            raise ChannelRefused("sku.search", "the shop's search finds far more than the SKUs that were asked for")


def _any_of(skus: Iterable[str]) -> str:
    quoted = (sku.replace("\\", "\\\\").replace('"', '\\"') for sku in skus)
    return " OR ".join(f'sku:"{sku}"' for sku in quoted)


def _refused(update: StockUpdate, why: str) -> StockOutcome:
    return StockOutcome(update.sku, update.version, "refused", why[:_MOST_DETAIL])


def _listed(skus: Iterable[str], refused: Mapping[str, str]) -> list[ListingOutcome]:
    return [ListingOutcome(sku, "refused" if sku in refused else "applied", refused.get(sku, "")) for sku in skus]


def _price(listing: Listing) -> str:
    return str(Money(listing.price_minor, listing.currency).decimal())


def _place(error: UserError, size: int) -> int | None:
    # field: ["input", "quantities", "3", "quantity"]
    steps = error.field or []
    at = int(steps[2]) if len(steps) > 2 and steps[1] == "quantities" and steps[2].isdecimal() else size
    return at if at < size else None


def _cut(cursor: str) -> tuple[str, str]:
    after, _, value = cursor.partition("\n")
    return after, value


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _order_id(external_id: str) -> str:
    return f"gid://shopify/Order/{external_id}"


def _reason(code: str) -> Literal["INVENTORY", "FRAUD", "CUSTOMER", "DECLINED", "OTHER"]:
    if "stock" in code:
        return "INVENTORY"
    if "fraud" in code or "risk" in code:
        return "FRAUD"
    if "customer" in code or "buyer" in code:
        return "CUSTOMER"
    return "DECLINED" if "payment" in code else "OTHER"


def _work(orders: Sequence[Work], units: Mapping[str, int]) -> list[dict[str, Any]]:
    """The lines of the shop's fulfillment orders that a parcel fulfils. Raises ChannelRefused where it holds more than is left."""
    left = dict(units)
    work: list[dict[str, Any]] = []
    for order in orders:
        taken: list[dict[str, Any]] = []
        for line in order.line_items.nodes if order.status in _OPEN_WORK else ():
            quantity = min(line.remaining_quantity, left.get(line.line_item.sku or "", 0))
            if quantity > 0:
                left[line.line_item.sku or ""] -= quantity
                taken.append({"id": line.id, "quantity": quantity})
        if taken:
            work.append({"fulfillmentOrderId": order.id, "fulfillmentOrderLineItems": taken})
    if any(left.values()):
        raise ChannelRefused("shipment.lines", "the parcel holds more than is left to be fulfilled there")
    return work
