"""The marketplace's HTTP interface. The seller's calls pass the channel's mood; the buyers', the controls and the book do not."""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from time import monotonic, time
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from freeport.sandbox.book import Book, T, Work
from freeport.sandbox.market import stall
from freeport.sandbox.market.settings import Settings
from freeport.sandbox.market.stall import Behaviour, OfferIn, Purchase, Refused, Update
from freeport.sandbox.webhooks import WebhookSender

_AT_ONCE = 1000
_Channel = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]


class Updates(BaseModel):
    updates: list[Update] = Field(min_length=1, max_length=_AT_ONCE)


class Offers(BaseModel):
    listings: list[OfferIn] = Field(min_length=1, max_length=_AT_ONCE)


class Skus(BaseModel):
    skus: list[str] = Field(min_length=1, max_length=_AT_ONCE)


class Orders(BaseModel):
    external_ids: list[str] = Field(min_length=1, max_length=_AT_ONCE)


class Parcel(BaseModel):
    """`lines` are the units in it by SKU."""

    carrier: str = Field(min_length=1)
    tracking_number: str = Field(min_length=1)
    lines: dict[str, int]
    shipped_at: datetime


class Reason(BaseModel):
    reason: str = Field(min_length=1, max_length=200)


class Refund(BaseModel):
    amount_minor: int = Field(gt=0)
    key: str = Field(min_length=1, max_length=200)


class Hall:
    """A running marketplace: its book, its sender, and how many calls each channel still bears now."""

    def __init__(self, book: Book, sender: WebhookSender) -> None:
        self.book = book
        self.sender = sender
        self._buckets: dict[str, tuple[float, float]] = {}

    async def write(self, work: Work[T]) -> T:
        result = await self.book.write(work)
        self.sender.wake()
        return result

    def mood(self, channel: str) -> Behaviour:
        rows = self.book.read("SELECT body FROM behaviour WHERE channel = ?", channel)
        return Behaviour.model_validate_json(rows[0]["body"]) if rows else Behaviour()

    def wait_for_call(self, channel: str, rate: float) -> float:
        """Seconds until the next call is borne; 0 takes one now. A second's worth may come at once, one call at least."""
        burst = max(1.0, rate)
        tokens, at = self._buckets.get(channel, (burst, monotonic()))
        held = min(burst, tokens + (monotonic() - at) * rate)
        taken = held >= 1.0
        self._buckets[channel] = (held - taken, monotonic())
        return 0.0 if taken else (1.0 - held) / rate


def hall(request: Request) -> Hall:
    return request.app.state.hall


Here = Annotated[Hall, Depends(hall)]


async def authorised(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """A bearer key, compared in constant time."""
    settings: Settings = request.app.state.settings
    expected = f"Bearer {settings.market_key.get_secret_value()}"
    if not hmac.compare_digest(authorization.encode(), expected.encode()):
        raise HTTPException(401, "the marketplace does not know this key")


async def in_its_mood(channel: _Channel, here: Here) -> None:
    """Late, or busy, if the channel was told to be."""
    mood = here.mood(channel)
    if mood.calls_per_s is not None and (wait := here.wait_for_call(channel, mood.calls_per_s)):
        raise HTTPException(429, "too many calls", headers={"Retry-After": f"{wait:.3f}"})
    if mood.delay_s:
        await asyncio.sleep(mood.delay_s)


seller = APIRouter(prefix="/channels/{channel}", dependencies=[Depends(authorised), Depends(in_its_mood)])
others = APIRouter(prefix="/channels/{channel}", dependencies=[Depends(authorised)])


@seller.post("/stock")
async def set_stock(channel: _Channel, body: Updates, here: Here) -> Response:
    outcomes, lost = await here.write(lambda book: stall.set_stock(book, channel, body.updates, time()))
    return JSONResponse({"code": "gateway_timeout"}, 504) if lost else JSONResponse({"outcomes": outcomes})


@seller.get("/feeds/{feed}")
async def read_feed(channel: _Channel, feed: str, here: Here) -> dict[str, Any]:
    outcomes = await here.write(lambda book: stall.feed_outcomes(book, channel, feed, time()))
    return {"done": outcomes is not None, "outcomes": outcomes or []}


@seller.get("/stock")
async def read_stock(
    channel: _Channel, here: Here, after: str = "", limit: Annotated[int, Query(ge=1, le=_AT_ONCE)] = _AT_ONCE
) -> dict[str, Any]:
    lines = await here.write(lambda book: stall.stock_after(book, channel, after, limit, time()))
    return {"lines": lines, "next": lines[-1]["sku"] if len(lines) == limit else None}


@seller.post("/listings")
async def publish(channel: _Channel, body: Offers, here: Here) -> dict[str, Any]:
    return {"outcomes": await here.write(lambda book: stall.publish(book, channel, body.listings))}


@seller.post("/listings/withdraw")
async def withdraw(channel: _Channel, body: Skus, here: Here) -> dict[str, Any]:
    return {"outcomes": await here.write(lambda book: stall.withdraw(book, channel, body.skus))}


@seller.get("/orders")
async def read_orders(
    channel: _Channel, here: Here, after: int = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> dict[str, Any]:
    orders = await here.write(lambda book: stall.orders_after(book, channel, after, limit))
    return {"orders": orders, "next": orders[-1]["position"] if orders else after}


@seller.post("/orders/acknowledge", status_code=204)
async def acknowledge(channel: _Channel, body: Orders, here: Here) -> None:
    await here.write(lambda book: stall.acknowledge(book, channel, body.external_ids))


@seller.post("/orders/{order}/shipments", status_code=204)
async def ship(channel: _Channel, order: str, body: Parcel, here: Here) -> None:
    await here.write(lambda book: stall.ship(book, channel, order, body.model_dump(mode="json"), time()))


@seller.post("/orders/{order}/cancel", status_code=204)
async def cancel(channel: _Channel, order: str, body: Reason, here: Here) -> None:
    await here.write(lambda book: stall.cancel(book, channel, order, body.reason, time()))


@seller.post("/orders/{order}/refunds", status_code=204)
async def refund(channel: _Channel, order: str, body: Refund, here: Here) -> None:
    await here.write(lambda book: stall.refund(book, channel, order, body.amount_minor, body.key))


@others.post("/purchases", status_code=201)
async def buy(channel: _Channel, body: Purchase, here: Here) -> Response:
    order, new = await here.write(lambda book: stall.buy(book, channel, body, time()))
    return JSONResponse(order, 201 if new else 200)


@others.post("/purchases/{order}/cancel")
async def cancel_purchase(channel: _Channel, order: str, body: Reason, here: Here) -> dict[str, Any]:
    return await here.write(lambda book: stall.cancel(book, channel, order, body.reason, time()))


@others.put("/behaviour")
async def behave(channel: _Channel, body: Behaviour, here: Here) -> Behaviour:
    await here.write(lambda book: stall.behave(book, channel, body))
    return body


@others.get("/book")
async def read_book(channel: _Channel, here: Here) -> dict[str, Any]:
    """All that the channel knows, for audits."""

    def everything(sql: str) -> list[dict[str, Any]]:
        return [dict(row) for row in here.book.read(sql, channel)]

    sales = here.book.read("SELECT body, acknowledged FROM sale WHERE channel = ? ORDER BY id", channel)
    return {
        "stock": everything("SELECT sku, quantity, version FROM stock WHERE channel = ? ORDER BY sku"),
        "listings": everything("SELECT sku, title, price, currency, withdrawn FROM listing WHERE channel = ? ORDER BY sku"),
        "orders": [json.loads(row["body"]) | {"acknowledged": bool(row["acknowledged"])} for row in sales],
        "refunds": everything("SELECT key, order_id, amount FROM refund WHERE channel = ? ORDER BY key"),
    }  # fmt: skip


def create_app(settings: Settings) -> FastAPI:
    """The marketplace over the book in `settings.state_dir`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        secret = settings.market_webhook_secret.get_secret_value()
        async with (
            Book.opened(settings.state_dir / "market.sqlite3", stall.SCHEMA) as book,
            httpx.AsyncClient(timeout=10.0) as client,
            asyncio.TaskGroup() as tasks,
        ):
            sender = WebhookSender(book, url=partial(_notices_url, settings), secret=secret, client=client)
            app.state.hall = Hall(book, sender)
            sending = tasks.create_task(sender.run())
            yield
            sending.cancel()

    app = FastAPI(title="Sandbox marketplace", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.include_router(seller)
    app.include_router(others)
    app.add_api_route("/healthz", lambda: {"status": "alive"})
    app.add_exception_handler(Refused, _refuse)
    return app


def _notices_url(settings: Settings, body: str) -> str:
    return f"{settings.orders_url.rstrip('/')}/v1/channels/{json.loads(body)['data']['channel']}/notices"


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return JSONResponse({"code": error.code, "detail": error.detail}, error.status)
