"""The calls of the use cases reach the channel's methods, and whatever it does is an answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

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
    ChannelBusy,
    ChannelRefused,
    ChannelSilent,
    ParcelLine,
    SentParcel,
    channel_calls,
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

    async def report_shipment(self, external_id: str, parcels: Sequence[SentParcel]) -> None:
        self._hear(SHIP, external_id, tuple(parcels))

    async def cancel(self, external_id: str, reason: str) -> None:
        self._hear(CANCEL, external_id, reason)

    async def refund(self, external_id: str, refund_id: str, amount: Money) -> None:
        self._hear(REFUND, external_id, refund_id, amount)


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


SENT = SentParcel(
    carrier="sandbox", tracking_number="SB1", lines=(ParcelLine(sku="MUG", quantity=2),), shipped_at=b.NOON
)


@pytest.mark.parametrize(
    ("call", "heard"),
    [
        (acknowledgement(ORDER), (ACKNOWLEDGE, ("302-1",))),
        (a_shipment(), (SHIP, "302-1", (SENT,))),
        (a_cancellation(), (CANCEL, "302-1", "out_of_stock")),
        (a_refund(), (REFUND, "302-1", "rfd_1", Money(500, "EUR"))),
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
