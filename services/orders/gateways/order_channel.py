"""What orders asks of a channel, as a port, and how the calls of the use cases become its methods."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from services.orders.domain.channel import ACKNOWLEDGE, CANCEL, REFUND, SHIP
from shared.effects import Call
from shared.messaging.workers import Gateways
from shared.money import Money


class ChannelBusy(Exception):
    """It did nothing, and wants rest: 429 or 503."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"busy for {retry_after_s} s")
        self.retry_after_s = retry_after_s


class ChannelRefused(Exception):
    """It will not do that, however often it is asked."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class ChannelSilent(Exception):
    """A time-out or a broken connection: nobody knows whether it took effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelLine:
    """Units of a SKU in a parcel."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentParcel:
    """A parcel that left. `carrier` is ours to name; the channel's adapter translates it."""

    carrier: str
    tracking_number: str
    lines: tuple[ParcelLine, ...]
    shipped_at: datetime


class OrderChannel(Protocol):
    """One channel of one store. Each may be asked twice for the same: the second time is a success, too.

    Every method ends within 30 s and raises ChannelBusy, ChannelRefused or ChannelSilent.
    """

    async def acknowledge(self, external_ids: Sequence[str]) -> None:
        """The orders are here."""
        ...

    async def report_shipment(self, external_id: str, parcels: Sequence[SentParcel]) -> None:
        """The order has left in these parcels."""
        ...

    async def cancel(self, external_id: str, reason: str) -> None:
        """We end the order; the channel pays the buyer back."""
        ...

    async def refund(self, external_id: str, refund_id: str, amount: Money) -> None:
        """Pay a part back. `refund_id` tells the channel that it is the same refund, however often it is asked."""
        ...


Channels = Mapping[tuple[str, str], OrderChannel]
"""By store and name."""


def channel_calls(channels: Channels) -> Gateways:
    """The calls that the use cases make, by kind. None where no channel is connected: then no loop runs for them."""
    if not channels:
        return {}

    def asked(method: Callable[[OrderChannel, dict[str, Any]], Awaitable[None]]) -> Callable[[Call], Any]:
        async def gateway(call: Call) -> dict[str, Any] | None:
            return await _answer(method, channels, call.request)

        return gateway

    return {ACKNOWLEDGE: asked(_acknowledge), SHIP: asked(_ship), CANCEL: asked(_cancel), REFUND: asked(_refund)}


async def _answer(
    method: Callable[[OrderChannel, dict[str, Any]], Awaitable[None]], channels: Channels, request: dict[str, Any]
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


async def _acknowledge(channel: OrderChannel, request: dict[str, Any]) -> None:
    await channel.acknowledge([request["external_id"]])


async def _ship(channel: OrderChannel, request: dict[str, Any]) -> None:
    parcels = [
        SentParcel(
            carrier=request["carrier"],
            tracking_number=parcel["tracking_number"],
            lines=tuple(ParcelLine(**line) for line in parcel["lines"]),
            shipped_at=datetime.fromisoformat(request["shipped_at"]),
        )
        for parcel in request["parcels"]
    ]
    await channel.report_shipment(request["external_id"], parcels)


async def _cancel(channel: OrderChannel, request: dict[str, Any]) -> None:
    await channel.cancel(request["external_id"], request["reason"])


async def _refund(channel: OrderChannel, request: dict[str, Any]) -> None:
    amount = Money(int(request["amount"]["amount"]), request["amount"]["currency"])
    await channel.refund(request["external_id"], request["refund_id"], amount)
