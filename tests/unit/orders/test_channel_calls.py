"""The calls of the use cases reach the channel's methods, and whatever it does is an answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.orders.channel_worker import Shown, Unreadable
from services.orders.domain.channel import (
    ACKNOWLEDGE,
    CALLS,
    CANCEL,
    REFUND,
    SHIP,
    acknowledgement,
    ends_told,
    refund_told,
    shipment_told,
)
from services.orders.gateways.order_channel import (
    FetchedOrders,
    channel_calls,
    shown,
)
from shared.channels.config import SandboxConfig
from shared.channels.port import (
    BadSignature,
    ChannelBusy,
    ChannelLine,
    ChannelOrder,
    ChannelRefused,
    ChannelSilent,
    Listing,
    ListingOutcome,
    Notice,
    OrderPage,
    ParcelReport,
    StockOutcome,
    StockPage,
    StockUpdate,
)
from shared.contracts.orders import OrderCancelled
from shared.contracts.payments import RefundRequested
from shared.contracts.values import Parcel
from shared.effects import Call
from shared.money import Money
from tests.builders import orders as b

WHO = (b.STORE, "bazaar")
ORDER = b.a_sold_order(channel="bazaar", external_id="302-1")


@dataclass
class Recording:
    heard: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    raises: Exception | None = None

    def _hear(self, *said: Any) -> None:
        self.heard.append(said)
        if self.raises is not None:
            raise self.raises

    async def acknowledge(self, external_ids: Sequence[str]) -> None:
        self._hear(ACKNOWLEDGE, tuple(external_ids))

    async def report_shipment(self, external_id: str, parcel: ParcelReport) -> None:
        self._hear(SHIP, external_id, parcel)

    async def cancel(self, external_id: str, reason: str) -> None:
        self._hear(CANCEL, external_id, reason)

    async def refund(self, external_id: str, amount_minor: int, key: str) -> None:
        self._hear(REFUND, external_id, amount_minor, key)

    async def fetch_orders(self, cursor: str = "") -> OrderPage:
        self._hear("fetch", cursor)
        return OrderPage([an_order_there()], "next")

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        raise AssertionError("orders asks for no stock and no listing")

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        raise AssertionError("orders asks for no stock and no listing")

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        raise AssertionError("orders asks for no stock and no listing")

    async def publish(self, listings: Sequence[Listing]) -> Sequence[ListingOutcome]:
        raise AssertionError("orders asks for no stock and no listing")

    async def withdraw(self, skus: Sequence[str]) -> Sequence[ListingOutcome]:
        raise AssertionError("orders asks for no stock and no listing")

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        raise BadSignature


def a_shipment() -> Call:
    parcel = Parcel(parcel_id="pcl_1", warehouse="wh_berlin", tracking_number="SB1", weight_grams=700, items=b.PLAN)
    return shipment_told(ORDER, b.dispatched(), replace(b.booked(), parcels=(parcel,)))


def a_refund() -> Call:
    refund = RefundRequested(
        order_id=ORDER.id, refund_id="rfd_1", amount=Money(500, "EUR"), reason="goodwill", through_channel=True
    )
    (call,) = [effect for effect in refund_told(ORDER, refund) if isinstance(effect, Call)]
    return call


def a_cancellation() -> Call:
    ended = OrderCancelled(order_id=ORDER.id, reason="out_of_stock", requested_by="seller")
    (call,) = [effect for effect in ends_told(ORDER, [ended]) if isinstance(effect, Call)]
    return call


SENT = ParcelReport(carrier="sandbox", tracking_number="SB1", lines={"MUG": 2}, shipped_at=b.NOON)
CONFIG = SandboxConfig(
    store=b.STORE,
    name="bazaar",
    kind="sandbox",
    base_url="http://127.0.0.1:1",
    market="GB",
    country="GB",
    currency="GBP",
    ship_by_h=24,
    key_env="KEY",
    webhook_secret_env="SECRET",
)
KEY = b"k" * 32


def an_order_there(**changes: Any) -> ChannelOrder:
    made: dict[str, Any] = {
        "external_id": "302-1",
        "state": "open",
        "placed_at": b.NOON,
        "updated_at": b.NOON,
        "currency": "GBP",
        "lines": (ChannelLine("MUG", 2, 999, 40), ChannelLine("TEA", 1, 300)),
        "country": "GB",
        "postcode": "SW1A 1AA",
        "name": "Ada",
        "shipping_minor": 350,
    }
    return ChannelOrder(**(made | changes))


def shown_of(**changes: Any) -> Shown:
    return shown([an_order_there(**changes)], "next", CONFIG, KEY)


@pytest.mark.parametrize(
    ("call", "heard"),
    [
        (acknowledgement(ORDER), (ACKNOWLEDGE, ("302-1",))),
        (a_shipment(), (SHIP, "302-1", SENT)),
        (a_cancellation(), (CANCEL, "302-1", "out_of_stock")),
        (a_refund(), (REFUND, "302-1", 500, "rfd_1")),
    ],
    ids=[ACKNOWLEDGE, SHIP, CANCEL, REFUND],
)
async def test_each_call_says_what_the_use_case_wanted(call: Call, heard: tuple[Any, ...]) -> None:
    channel = Recording()
    assert await channel_calls({WHO: channel})[call.kind](call) == {"result": "done"}
    assert channel.heard == [heard]


@pytest.mark.parametrize(
    ("raised", "answer"),
    [
        (ChannelBusy(42.0), {"result": "busy", "retry_after_s": 42.0}),
        (ChannelRefused("unknown_carrier", "no"), {"result": "refused", "code": "unknown_carrier", "detail": "no"}),
        (ChannelSilent(), None),
    ],
)
async def test_what_the_channel_does_is_an_answer(raised: Exception, answer: dict[str, Any] | None) -> None:
    call = acknowledgement(ORDER)
    assert await channel_calls({WHO: Recording(raises=raised)})[call.kind](call) == answer


async def test_a_channel_that_was_taken_out_of_the_configuration_refuses() -> None:
    call = acknowledgement(ORDER)
    answer = await channel_calls({("str_other", "bazaar"): Recording()})[call.kind](call)
    assert answer is not None
    assert (answer["result"], answer["code"]) == ("refused", "channel.not_connected")


def test_every_kind_of_call_has_a_gateway_and_without_channels_there_is_none() -> None:
    assert set(channel_calls({WHO: Recording()})) == set(CALLS)
    assert channel_calls({}) == {}


def test_an_order_comes_with_the_channels_clock_prices_taxes_and_shipping() -> None:
    (sold,) = shown_of().sold
    order = sold.order
    assert [(wish.sku, wish.quantity, wish.unit_price) for wish in order.wishes] == [
        ("MUG", 2, Money(999, "GBP")),
        ("TEA", 1, Money(300, "GBP")),
    ]
    assert (order.placed_at, order.shipping, order.taxes) == (b.NOON, Money(350, "GBP"), Money(40, "GBP"))
    assert (order.destination.country, order.recipient.name, order.market) == ("GB", "Ada", "GB")


def test_the_ship_by_deadline_is_the_orders_own_or_follows_from_the_channels_rule() -> None:
    (told,) = shown_of(ship_by=b.NOON + timedelta(hours=5)).sold
    (ruled,) = shown_of().sold
    assert (told.ship_by, ruled.ship_by) == (b.NOON + timedelta(hours=5), b.NOON + timedelta(hours=24))


def test_a_cancelled_order_is_cancelled_with_a_code_and_never_imported() -> None:
    found = shown_of(state="cancelled", cancel_reason="Buyer changed mind!")
    assert found.sold == ()
    assert [one.reason for one in found.cancelled] == ["buyer_changed_mind"]
    assert [one.reason for one in shown_of(state="cancelled").cancelled] == ["cancelled_there"]


def test_what_left_before_we_knew_it_is_none_of_our_work() -> None:
    assert shown_of(state="shipped").empty


@pytest.mark.parametrize("state", ["open", "shipped", "cancelled"])
def test_what_leaves_the_channels_own_warehouse_is_counted_and_neither_sold_nor_cancelled_here(state: str) -> None:
    found = shown_of(state=state, fulfilled_by="channel", fees_minor=210)
    assert (found.sold, found.cancelled) == ((), ())
    (order,) = found.fulfilled_there
    assert (order.state, order.goods, order.taxes, order.shipping, order.fee) == (
        state, 2298, 40, Money(350, "GBP"), Money(210, "GBP"),
    )  # fmt: skip


def test_the_commission_is_known_and_is_part_of_nothing_that_the_buyer_paid() -> None:
    (with_fee,), (without,) = shown_of(fees_minor=210).sold, shown_of().sold
    assert (with_fee.order.channel_fee, without.order.channel_fee) == (Money(210, "GBP"), None)
    assert (with_fee.order.shipping, with_fee.order.taxes) == (without.order.shipping, without.order.taxes)


async def test_the_source_reads_from_the_cursor_and_says_where_to_read_on() -> None:
    channel = Recording()
    page = await FetchedOrders(CONFIG, channel, KEY).shown_after("here")
    assert (len(page.sold), page.next, channel.heard) == (1, "next", [("fetch", "here")])


@pytest.mark.parametrize(
    ("raised", "rest"), [(ChannelBusy(42.0), 42.0), (ChannelRefused("auth", "no"), None), (ChannelSilent(), None)]
)
async def test_a_channel_that_shows_nothing_is_unreadable(raised: Exception, rest: float | None) -> None:
    with pytest.raises(Unreadable) as found:
        await FetchedOrders(CONFIG, Recording(raises=raised), KEY).shown_after("")
    assert found.value.retry_after_s == rest
