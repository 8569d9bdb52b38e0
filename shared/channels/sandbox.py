"""The sandbox marketplace as a channel."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.channels.calls import Caller
from shared.channels.config import SandboxConfig
from shared.channels.port import (
    BadSignature,
    ChannelLine,
    ChannelOrder,
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
from shared.channels.signing import Signer


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")


M = TypeVar("M", bound=_Said)


class _Outcome(_Said):
    sku: str
    version: int
    result: Literal["applied", "stale", "refused", "pending"]
    detail: str = ""
    feed: str = ""

    def ours(self) -> StockOutcome:
        return StockOutcome(self.sku, self.version, self.result, self.detail, self.feed)


class _Outcomes(_Said):
    outcomes: list[_Outcome]


class _Feed(_Outcomes):
    done: bool


class _Listed(_Said):
    sku: str
    result: Literal["applied", "refused"]
    detail: str = ""


class _Listings(_Said):
    outcomes: list[_Listed]


class _Stock(_Said):
    sku: str
    quantity: int
    version: int


class _StockPage(_Said):
    lines: list[_Stock]
    next: str | None


class _Line(_Said):
    sku: str
    quantity: Annotated[int, Field(ge=1)]
    unit_price_minor: Annotated[int, Field(ge=0)]


class _Order(_Said):
    external_id: str
    channel: str
    state: Literal["open", "shipped", "cancelled"]
    placed_at: AwareDatetime
    updated_at: AwareDatetime
    currency: str
    country: str
    postcode: str = ""
    fulfilled_by: Literal["seller", "channel"] = "seller"
    ship_by: AwareDatetime | None = None
    cancel_reason: str = ""
    lines: list[_Line]

    def ours(self) -> ChannelOrder:
        return ChannelOrder(
            external_id=self.external_id,
            state=self.state,
            placed_at=self.placed_at,
            updated_at=self.updated_at,
            currency=self.currency,
            country=self.country,
            postcode=self.postcode,
            fulfilled_by=self.fulfilled_by,
            ship_by=self.ship_by,
            cancel_reason=self.cancel_reason,
            lines=tuple(ChannelLine(line.sku, line.quantity, line.unit_price_minor) for line in self.lines),
        )


class _OrderPage(_Said):
    orders: list[_Order]
    next: int


class _Pushed(_Said):
    data: _Order


class SandboxGateway:
    """One channel of the sandbox marketplace; the last part of its address is its name there."""

    def __init__(self, config: SandboxConfig, http: httpx.AsyncClient, key: SecretStr, webhook: SecretStr) -> None:
        self._name = config.base_url.rpartition("/")[2]
        self._caller = Caller(http, config.base_url, {"authorization": f"Bearer {key.get_secret_value()}"})
        self._signer = Signer(webhook, f"{config.store}/{config.name}")

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        """One call for all; a second call with the same version changes nothing."""
        body = {"updates": [asdict(update) for update in updates]}
        said = _read(_Outcomes, await self._caller.ask("POST", "/stock", json=body))
        return [outcome.ours() for outcome in said.outcomes]

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        """What came of a feed; None while it is not in effect."""
        said = _read(_Feed, await self._caller.ask("GET", f"/feeds/{_part(feed)}"))
        return [outcome.ours() for outcome in said.outcomes] if said.done else None

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        """What it believes that it may sell: what it was told less what it sold since."""
        params = {"after": cursor} if cursor else {}
        said = _read(_StockPage, await self._caller.ask("GET", "/stock", params=params))
        return StockPage([StockLine(line.sku, line.quantity, line.version) for line in said.lines], said.next)

    async def publish(self, listings: Sequence[Listing]) -> Sequence[ListingOutcome]:
        """Offer goods, or change what is offered."""
        body = {"listings": [asdict(listing) for listing in listings]}
        return _listed(await self._caller.ask("POST", "/listings", json=body))

    async def withdraw(self, skus: Sequence[str]) -> Sequence[ListingOutcome]:
        """Offer them no longer."""
        return _listed(await self._caller.ask("POST", "/listings/withdraw", json={"skus": list(skus)}))

    async def fetch_orders(self, cursor: str = "") -> OrderPage:
        """Orders by the position of their newest change."""
        said = _read(_OrderPage, await self._caller.ask("GET", "/orders", params={"after": cursor or "0"}))
        return OrderPage([order.ours() for order in said.orders], str(said.next))

    async def acknowledge(self, external_ids: Sequence[str]) -> None:
        """The orders are here."""
        await self._caller.ask("POST", "/orders/acknowledge", json={"external_ids": list(external_ids)})

    async def report_shipment(self, external_id: str, parcel: ParcelReport) -> None:
        """Tell the tracking number; the same again is no second parcel."""
        body = {
            "carrier": parcel.carrier,
            "tracking_number": parcel.tracking_number,
            "lines": dict(parcel.lines),
            "shipped_at": parcel.shipped_at.isoformat(),
        }
        await self._caller.ask("POST", f"/orders/{_part(external_id)}/shipments", json=body)

    async def cancel(self, external_id: str, reason: str) -> None:
        """End an order that is not on its way."""
        await self._caller.ask("POST", f"/orders/{_part(external_id)}/cancel", json={"reason": reason})

    async def refund(self, external_id: str, amount_minor: int, key: str) -> None:
        """Give money back, once for each key."""
        body = {"amount_minor": amount_minor, "key": key}
        await self._caller.ask("POST", f"/orders/{_part(external_id)}/refunds", json=body)

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """A notice as Standard Webhooks signs it, of this channel and no other."""
        message_id = self._signer.check(headers, body, now)
        try:
            pushed = _Pushed.model_validate_json(body)
        except ValidationError as error:
            raise BadSignature("the body is no notice") from error
        if pushed.data.channel != self._name:
            raise BadSignature("the notice is another channel's")  # one secret signs for all channels there
        return Notice(message_id, pushed.data.ours())


def _read(model: type[M], answer: httpx.Response) -> M:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise ChannelSilent(f"an answer that is not the marketplace's: {error.error_count()} errors") from None


def _listed(answer: httpx.Response) -> list[ListingOutcome]:
    return [ListingOutcome(one.sku, one.result, one.detail) for one in _read(_Listings, answer).outcomes]


def _part(text: str) -> str:
    return quote(text, safe="")
