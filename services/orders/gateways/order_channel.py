"""Between the use cases and the port of channels: their calls become its methods, its orders become ours."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.orders.channel_worker import Shown, Unreadable
from services.orders.domain.channel import ACKNOWLEDGE, CANCEL, REFUND, SHIP
from services.orders.domain.fulfilled import FulfilledThere, LineThere
from services.orders.domain.pricing import Wish
from services.orders.domain.recipient import Address, Client, Recipient, signals_of
from services.orders.domain.standing import PaymentTerms
from services.orders.usecases.import_orders import ImportedOrder
from services.orders.usecases.take_channel_orders import CancelledThere, SoldOrder
from shared.channels.config import ChannelConfig
from shared.channels.port import (
    ChannelBusy,
    ChannelGateway,
    ChannelOrder,
    ChannelRefused,
    ChannelSilent,
    ParcelReport,
)
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.effects import Call
from shared.messaging.workers import Gateways
from shared.money import Money

Channels = Mapping[tuple[str, str], ChannelGateway]
"""By store and name."""


def channel_calls(channels: Channels) -> Gateways:
    """The calls that the use cases make, by kind. None where no channel is connected: then no loop runs for them."""
    if not channels:
        return {}

    def asked(method: Callable[[ChannelGateway, dict[str, Any]], Awaitable[None]]) -> Callable[[Call], Any]:
        async def gateway(call: Call) -> dict[str, Any] | None:
            return await _answer(method, channels, call.request)

        return gateway

    return {ACKNOWLEDGE: asked(_acknowledge), SHIP: asked(_ship), CANCEL: asked(_cancel), REFUND: asked(_refund)}


async def _answer(
    method: Callable[[ChannelGateway, dict[str, Any]], Awaitable[None]], channels: Channels, request: dict[str, Any]
) -> dict[str, Any] | None:
    channel = channels.get((request["store_id"], request["channel"]))
    if channel is None:
        # Its connection was taken out of the configuration: a person is told, instead of asking nobody for ever.
        return {"result": "refused", "code": "channel.not_connected", "detail": "the channel is configured no more"}
    try:
        await method(channel, request)
    except ChannelBusy as busy:
        return {"result": "busy", "retry_after_s": busy.retry_after_s}
    except ChannelRefused as refused:
        return {"result": "refused", "code": refused.code, "detail": refused.detail}
    except ChannelSilent:
        return None
    return {"result": "done"}


async def _acknowledge(channel: ChannelGateway, request: dict[str, Any]) -> None:
    await channel.acknowledge([request["external_id"]])


async def _ship(channel: ChannelGateway, request: dict[str, Any]) -> None:
    # One after the other: when one fails all are told again, and the same number twice is one report.
    for parcel in request["parcels"]:
        report = ParcelReport(
            carrier=request["carrier"],
            tracking_number=parcel["tracking_number"],
            lines=_units(parcel["lines"]),
            shipped_at=datetime.fromisoformat(request["shipped_at"]),
        )
        await channel.report_shipment(request["external_id"], report)


def _units(lines: Sequence[dict[str, Any]]) -> dict[str, int]:
    units: dict[str, int] = {}
    for line in lines:
        units[line["sku"]] = units.get(line["sku"], 0) + line["quantity"]
    return units


async def _cancel(channel: ChannelGateway, request: dict[str, Any]) -> None:
    await channel.cancel(request["external_id"], request["reason"])


async def _refund(channel: ChannelGateway, request: dict[str, Any]) -> None:
    await channel.refund(request["external_id"], int(request["amount"]["amount"]), request["refund_id"])


@dataclass(frozen=True, slots=True)
class FetchedOrders:
    """A channel's orders in our words. `key` is that of the hashes that stand for people."""

    config: ChannelConfig
    gateway: ChannelGateway
    key: bytes

    @property
    def store_id(self) -> str:
        """Whose channel it is."""
        return self.config.store

    @property
    def channel(self) -> str:
        """Its name."""
        return self.config.name

    async def shown_after(self, cursor: str) -> Shown:
        """The page after a cursor; the empty one is the beginning. Raises Unreadable."""
        try:
            page = await self.gateway.fetch_orders(cursor)
        except ChannelBusy as busy:
            raise Unreadable("busy", busy.retry_after_s) from busy
        except (ChannelRefused, ChannelSilent) as error:
            raise Unreadable(repr(error)) from error
        return shown(page.orders, page.next, self.config, self.key)


def shown(orders: Iterable[ChannelOrder], following: str | None, config: ChannelConfig, key: bytes) -> Shown:
    """What is to be done about the orders of a page or notice.

    Those that were shipped before we knew them are none of our work; those that the channel ships from its own warehouse
    are counted.
    """
    told = list(orders)
    ours = [order for order in told if order.fulfilled_by == "seller"]
    return Shown(
        sold=tuple(_sold(order, config, key) for order in ours if order.state == "open"),
        cancelled=tuple(
            CancelledThere(external_id=order.external_id, reason=_code(order.cancel_reason))
            for order in ours
            if order.state == "cancelled"
        ),
        fulfilled_there=tuple(_theirs(order) for order in told if order.fulfilled_by == "channel"),
        next=following,
    )


def _sold(order: ChannelOrder, config: ChannelConfig, key: bytes) -> SoldOrder:
    address = Address(
        line1=order.line1,
        line2=order.line2,
        city=order.city,
        region=order.region,
        postcode=order.postcode,
        country=order.country,
    )
    recipient = Recipient(name=order.name, email=order.email, phone=order.phone, address=address)
    taxes = sum(line.tax_minor for line in order.lines)
    imported = ImportedOrder(
        market=config.market,
        channel=config.name,
        external_id=order.external_id,
        placed_at=order.placed_at,
        wishes=tuple(
            Wish(line.sku, line.quantity, Money(line.unit_price_minor, order.currency)) for line in order.lines
        ),
        destination=recipient.destination,
        recipient=recipient,
        terms=PaymentTerms(mode=PaymentMode.COLLECTED_BY_CHANNEL, method=PaymentMethod.CHANNEL),
        signals=signals_of(recipient, Client(), "", key),
        shipping=Money(order.shipping_minor, order.currency) if order.shipping_minor else None,
        taxes=Money(taxes, order.currency) if taxes else None,
        channel_fee=Money(order.fees_minor, order.currency) if order.fees_minor else None,
    )
    until = order.ship_by or order.placed_at + timedelta(hours=config.ship_by_h)
    return SoldOrder(order=imported, ship_by=until)


def _theirs(order: ChannelOrder) -> FulfilledThere:
    def money(minor: int) -> Money:
        return Money(minor, order.currency)

    return FulfilledThere(
        external_id=order.external_id,
        state=order.state,
        placed_at=order.placed_at,
        updated_at=order.updated_at,
        lines=tuple(
            LineThere(
                sku=line.sku,
                quantity=line.quantity,
                unit_price=money(line.unit_price_minor),
                tax=money(line.tax_minor),
            )
            for line in order.lines
        ),
        shipping=money(order.shipping_minor),
        fee=money(order.fees_minor),
    )


_NO_CODE = re.compile(r"[^a-z0-9_]+")


def _code(reason: str) -> str:
    # It is published, so it must not be what somebody typed at length.
    return _NO_CODE.sub("_", reason.lower()).strip("_")[:60] or "cancelled_there"
