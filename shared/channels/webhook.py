"""A seller's own integration as a channel: signed messages to one address, signed notices of orders back.

The JSON of both is told in docs/channels.md; it is ours, and no vendor's.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError

from shared.channels.calls import Caller
from shared.channels.config import WebhookConfig
from shared.channels.port import (
    BadSignature,
    ChannelLine,
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
from shared.channels.signing import Signer

_UNITS = 2**31 - 1  # as an integer column holds
_MINOR = 2**53 - 1  # as every JSON reader holds exactly

Sku = Annotated[str, Field(min_length=1, max_length=100)]
Word = Annotated[str, Field(max_length=200)]
Units = Annotated[int, Field(ge=0, le=_UNITS)]
Amount = Annotated[int, Field(ge=0, le=_MINOR)]


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")


M = TypeVar("M", bound=_Said)


class _Outcome(_Said):
    sku: Sku
    result: Literal["applied", "stale", "refused"]
    detail: Word = ""


class _Outcomes(_Said):
    outcomes: list[_Outcome] = []


class _Listed(_Said):
    sku: Sku
    result: Literal["applied", "refused"]
    detail: Word = ""


class _Listings(_Said):
    outcomes: list[_Listed] = []


class _Stock(_Said):
    sku: Sku
    quantity: Units
    version: int | None = None


class _StockPage(_Said):
    lines: list[_Stock]
    next: Annotated[str, Field(min_length=1, max_length=500)] | None = None


class _Line(_Said):
    sku: Sku
    quantity: Annotated[int, Field(ge=1, le=_UNITS)]
    unit_price_minor: Amount
    tax_minor: Amount = 0


class _Order(_Said):
    external_id: Annotated[str, Field(min_length=1, max_length=100)]
    state: Literal["open", "shipped", "cancelled"]
    placed_at: AwareDatetime
    updated_at: AwareDatetime
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    lines: Annotated[list[_Line], Field(min_length=1, max_length=500)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    fees_minor: Amount = 0
    shipping_minor: Amount = 0
    region: Word = ""
    postcode: Word = ""
    name: Word = ""
    email: Word = ""
    phone: Word = ""
    line1: Word = ""
    line2: Word = ""
    city: Word = ""
    fulfilled_by: Literal["seller", "channel"] = "seller"
    ship_by: AwareDatetime | None = None
    cancel_reason: Word = ""

    def ours(self) -> ChannelOrder:
        said = {name: getattr(self, name) for name in type(self).model_fields if name != "lines"}
        lines = tuple(
            ChannelLine(each.sku, each.quantity, each.unit_price_minor, each.tax_minor) for each in self.lines
        )
        return ChannelOrder(lines=lines, **said)


class _OrderPage(_Said):
    orders: list[_Order]
    next: Annotated[str, Field(min_length=1, max_length=500)]


class _Pushed(_Said):
    type: Literal["order.changed"]  # what we send has other types, so that none of it comes back as a notice
    data: _Order


class WebhookGateway:
    """One integration. A message tells facts under an id that is the same when it is told again, so that it can be counted once."""

    def __init__(self, config: WebhookConfig, http: httpx.AsyncClient, secret: SecretStr) -> None:
        self._signer = Signer(secret, f"{config.store}/{config.name}")
        self._caller = Caller(http, config.base_url, {"content-type": "application/json"})

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        """Those of which the answer says nothing are applied: a 2xx without a word takes them all."""
        answer = await self._fact("stock.set", {"updates": [asdict(update) for update in updates]})
        said = {each.sku: each for each in _read(_Outcomes, answer).outcomes} if answer.content else {}
        return [_outcome(update, said.get(update.sku)) for update in updates]

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        """It takes nothing into feeds, so it knows none."""
        raise ChannelRefused("feed.unknown", f"this kind of channel has no feeds: {feed[:100]}")

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        """What it shows, by SKU."""
        said = _read(_StockPage, await self._ask("stock.read", {"after": cursor}))
        skus = [line.sku for line in said.lines]
        if any(one >= other for one, other in pairwise(skus)):
            raise ChannelSilent("stock.read: the answer is not in the order of the SKUs")
        return StockPage([StockLine(line.sku, line.quantity, line.version) for line in said.lines], said.next)

    async def publish(self, listings: Sequence[Listing]) -> Sequence[ListingOutcome]:
        """Offer goods, or change what is offered."""
        answer = await self._ask("listing.publish", {"listings": [asdict(listing) for listing in listings]})
        return _listed(answer, [listing.sku for listing in listings])

    async def withdraw(self, skus: Sequence[str]) -> Sequence[ListingOutcome]:
        """Offer them no longer."""
        return _listed(await self._ask("listing.withdraw", {"skus": list(skus)}), skus)

    async def fetch_orders(self, cursor: str = "") -> OrderPage:
        """What it did not push, or pushed in vain. One that only pushes answers 204."""
        answer = await self._ask("order.read", {"after": cursor})
        if not answer.content:
            return OrderPage([], cursor)
        said = _read(_OrderPage, answer)
        return OrderPage([order.ours() for order in said.orders], said.next)

    async def acknowledge(self, external_ids: Sequence[str]) -> None:
        """The orders are here."""
        await self._fact("order.acknowledge", {"external_ids": list(external_ids)})

    async def report_shipment(self, external_id: str, parcel: ParcelReport) -> None:
        """Tell the tracking number."""
        said = {
            "external_id": external_id,
            "carrier": parcel.carrier,
            "tracking_number": parcel.tracking_number,
            "lines": dict(parcel.lines),
            "shipped_at": parcel.shipped_at.isoformat(),
        }
        await self._fact("order.ship", said)

    async def cancel(self, external_id: str, reason: str) -> None:
        """End an order that is not on its way."""
        await self._fact("order.cancel", {"external_id": external_id, "reason": reason})

    async def refund(self, external_id: str, amount_minor: int, key: str) -> None:
        """Give money back, once for each key."""
        await self._fact("order.refund", {"external_id": external_id, "amount_minor": amount_minor, "key": key})

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """A notice of an order, signed with the same secret."""
        message_id = self._signer.check(headers, body, now)
        try:
            pushed = _Pushed.model_validate_json(body)
        except ValidationError as error:
            raise BadSignature("the body is no notice of an order") from error
        return Notice(message_id, pushed.data.ours())

    async def _fact(self, kind: str, data: dict[str, Any]) -> httpx.Response:
        said = json.dumps([kind, data], sort_keys=True).encode()
        return await self._send(f"msg_{hashlib.sha256(said).hexdigest()[:32]}", kind, data)

    async def _ask(self, kind: str, data: dict[str, Any]) -> httpx.Response:
        # Each is its own: a price that goes up, down and up again is three messages.
        return await self._send(f"msg_{uuid.uuid4().hex}", kind, data)

    async def _send(self, message_id: str, kind: str, data: dict[str, Any]) -> httpx.Response:
        now = datetime.now(UTC)
        body = json.dumps({"type": kind, "timestamp": now.isoformat(), "data": data}, separators=(",", ":")).encode()
        return await self._caller.ask("POST", "", headers=self._signer.headers(message_id, body, now), content=body)


def _outcome(update: StockUpdate, said: _Outcome | None) -> StockOutcome:
    result, detail = (said.result, said.detail) if said else ("applied", "")
    return StockOutcome(update.sku, update.version, result, detail)


def _listed(answer: httpx.Response, skus: Sequence[str]) -> list[ListingOutcome]:
    said = {each.sku: each for each in _read(_Listings, answer).outcomes} if answer.content else {}
    refused = {sku: each.detail for sku, each in said.items() if each.result == "refused"}
    return [ListingOutcome(sku, "refused" if sku in refused else "applied", refused.get(sku, "")) for sku in skus]


def _read(model: type[M], answer: httpx.Response) -> M:
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise ChannelSilent(
            f"an answer that is not as told in docs/channels.md: {error.error_count()} errors"
        ) from None
