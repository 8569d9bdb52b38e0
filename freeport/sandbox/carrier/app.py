"""The carrier's HTTP interface.

A recipient's `address.line2` may order trouble: `sandbox:refuse` (the address is refused), `sandbox:timeout` (the label is
made, the answer is lost once), `sandbox:down` (unavailable twice, then fine).
"""

import asyncio
import hmac
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import time
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from freeport.sandbox.book import Book
from freeport.sandbox.carrier import desk as carrier
from freeport.sandbox.carrier.desk import Desk, Refused
from freeport.sandbox.carrier.journey import Kind
from freeport.sandbox.carrier.label import render
from freeport.sandbox.carrier.settings import Settings
from freeport.sandbox.webhooks import WebhookSender

_IDLE_S = 1.0
_Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Address(BaseModel):
    """Where a parcel goes."""

    line1: str
    line2: str = ""
    city: str
    region: str = ""
    postcode: str = ""
    country: _Country


class Recipient(BaseModel):
    """Who gets a parcel."""

    name: str = Field(min_length=1)
    email: str = ""
    phone: str = ""
    address: Address


class Value(BaseModel):
    """Minor units of a currency, as text."""

    amount: str = Field(pattern=r"^\d+$")
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class CustomsLine(BaseModel):
    """A line of the CN 22 / CN 23: `value` and `weight_grams` are of the whole line."""

    sku: str
    description: str
    quantity: int = Field(ge=1)
    hs_code: str
    origin: str
    value: Value
    weight_grams: int = Field(ge=0)


class Customs(BaseModel):
    """The declaration that goes with a parcel across a border."""

    incoterm: Literal["DDP", "DAP"]
    invoice_number: str
    tax_id: str = ""
    lines: list[CustomsLine] = Field(min_length=1)


class LabelOrder(BaseModel):
    """What `POST /labels` wants."""

    reference: str = Field(min_length=1, max_length=80)
    kind: Kind = Kind.OUTBOUND
    service: str
    mode: Literal["post", "express", "line", "domestic"]
    origin: _Country
    to: Recipient
    weight_grams: int = Field(gt=0)
    customs: Customs | None = None


class Advance(BaseModel):
    """Hours to move the clock by."""

    hours: float = Field(gt=0, le=24 * 365)


class ForcedScan(BaseModel):
    """A scan on order. `at` defaults to the sandbox's now, `webhook_deliveries` to the setting."""

    code: str = Field(min_length=1, max_length=60)
    at: datetime | None = None
    webhook_deliveries: int | None = Field(default=None, ge=1, le=10)


class Behaviour(BaseModel):
    """How often every webhook is delivered: 2 shows who counts double."""

    webhook_deliveries: int = Field(ge=1, le=10)


class Office:
    """A running carrier: its desk, its book, its sender, and the troubles that were ordered."""

    def __init__(self, settings: Settings, book: Book, sender: WebhookSender) -> None:
        self.desk = Desk(settings.hour_s)
        self.book = book
        self.sender = sender
        self.troubles: Counter[str] = Counter()
        self._moved = asyncio.Event()

    async def sell(self, key: str, order: LabelOrder) -> Response:
        trouble = order.to.address.line2 if order.to.address.line2.startswith("sandbox:") else ""
        if trouble == "sandbox:refuse":
            raise Refused(422, "address.refused", "no courier goes there")
        self.troubles[key] += 1
        if trouble == "sandbox:down" and self.troubles[key] <= 2:
            return JSONResponse({"code": "unavailable"}, 503)
        body = order.model_dump(mode="json")
        label, made = await self.book.write(lambda connection: self.desk.sell(connection, key, body, now()))
        self.wake()
        if trouble == "sandbox:timeout" and self.troubles[key] == 1:
            return JSONResponse({"code": "gateway_timeout"}, 504)
        return JSONResponse(carrier.shown(label), 201 if made else 200)

    def wake(self) -> None:
        """Something new may be due."""
        self._moved.set()
        self.sender.wake()

    async def move_for_ever(self) -> None:
        """Let parcels travel as the clock goes."""
        while True:
            self._moved.clear()
            ahead = self.book.read("SELECT ahead FROM clock")[0]["ahead"]
            next_at = self.book.read("SELECT min(next_at) AS at FROM label WHERE next_at IS NOT NULL")[0]["at"]
            pause = _IDLE_S if next_at is None else min(next_at - ahead - now(), _IDLE_S)
            if pause <= 0:
                await self.book.write(lambda connection: self.desk.move(connection, now()))
                self.sender.wake()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):  # not wait_for, which in Python 3.11 can swallow a cancellation
                    await self._moved.wait()


def office(request: Request) -> Office:
    return request.app.state.office


async def authorised(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """A bearer key, compared in constant time."""
    settings: Settings = request.app.state.settings
    expected = f"Bearer {settings.carrier_key.get_secret_value()}"
    if not hmac.compare_digest(authorization.encode(), expected.encode()):
        raise HTTPException(401, "the carrier does not know this key")


Here = Annotated[Office, Depends(office)]
router = APIRouter(dependencies=[Depends(authorised)])


@router.post("/labels", status_code=201)
async def sell_label(
    order: LabelOrder, here: Here, idempotency_key: Annotated[str, Header(min_length=1, max_length=120)]
) -> Response:
    return await here.sell(idempotency_key, order)


@router.get("/labels")
async def find_label(key: str, here: Here) -> dict[str, Any]:
    rows = here.book.read("SELECT tracking FROM label WHERE key = ?", key)
    if not rows:
        raise Refused(404, "label.not_found", "this key made no label")
    return carrier.shown(_label(here, rows[0]["tracking"]))


@router.get("/labels/{tracking}.pdf")
async def print_label(tracking: str, here: Here) -> Response:
    return Response(await asyncio.to_thread(render, _label(here, tracking)), media_type="application/pdf")


@router.post("/labels/{tracking}/void")
async def void_label(tracking: str, here: Here) -> dict[str, Any]:
    return carrier.shown(await here.book.write(lambda connection: here.desk.void(connection, tracking, now())))


@router.get("/parcels/{tracking}")
async def track(tracking: str, here: Here) -> dict[str, Any]:
    scans = here.book.read("SELECT code, at, country, forced FROM scan WHERE tracking = ? ORDER BY id", tracking)
    return carrier.shown(_label(here, tracking)) | {"scans": [_scan(row) for row in scans]}


@router.post("/parcels/{tracking}/events", status_code=201)
async def force_scan(tracking: str, scan: ForcedScan, here: Here) -> dict[str, Any]:
    at = None if scan.at is None else scan.at.timestamp()
    made = await here.book.write(
        lambda connection: here.desk.force(connection, tracking, scan.code, now(), at, scan.webhook_deliveries)
    )
    here.wake()
    return made


@router.post("/clock/advance")
async def advance_clock(advance: Advance, here: Here) -> dict[str, Any]:
    made = await here.book.write(lambda connection: here.desk.advance(connection, advance.hours, now()))
    here.wake()
    return {"now": carrier.stamp(now() + here.book.read("SELECT ahead FROM clock")[0]["ahead"]), "scans": made}


@router.get("/clock")
async def read_clock(here: Here) -> dict[str, Any]:
    return {
        "now": carrier.stamp(now() + here.book.read("SELECT ahead FROM clock")[0]["ahead"]),
        "hour_seconds": here.desk.hour_s,
    }


@router.put("/behaviour")
async def set_behaviour(behaviour: Behaviour, here: Here) -> dict[str, Any]:
    await here.book.write(lambda connection: carrier.set_deliveries(connection, behaviour.webhook_deliveries))
    return behaviour.model_dump()


@router.get("/book")
async def read_book(here: Here) -> dict[str, Any]:
    """All labels and scans, and how many webhooks wait, for audits. No names: they are on the labels."""
    labels = here.book.read("SELECT * FROM label ORDER BY serial")
    scans = here.book.read("SELECT tracking, code, at, country, forced FROM scan ORDER BY id")
    waiting = here.book.read("SELECT count(*) AS n FROM webhook WHERE due_at IS NOT NULL")[0]["n"]
    return {
        "labels": [carrier.shown(carrier.parsed(row)) | {"key": row["key"]} for row in labels],
        "scans": [{"tracking_number": row["tracking"]} | _scan(row) for row in scans],
        "webhooks_waiting": waiting,
    }


def create_app(settings: Settings) -> FastAPI:
    """The carrier over the book in `settings.state_dir`."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        url = f"{settings.logistics_url.rstrip('/')}/webhooks/carrier"
        secret = settings.carrier_webhook_secret.get_secret_value()
        async with (
            Book.opened(settings.state_dir / "carrier.sqlite3", carrier.SCHEMA) as book,
            httpx.AsyncClient(timeout=10.0) as client,
            asyncio.TaskGroup() as tasks,
        ):
            app.state.office = office = Office(
                settings, book, WebhookSender(book, url=url, secret=secret, client=client)
            )
            running = [tasks.create_task(office.move_for_ever()), tasks.create_task(office.sender.run())]
            yield
            for task in running:
                task.cancel()

    app = FastAPI(title="Sandbox carrier", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.include_router(router)
    app.add_api_route("/healthz", lambda: {"status": "alive"})
    app.add_exception_handler(Refused, _refuse)
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return JSONResponse({"code": error.code, "detail": error.detail}, error.status)


def _label(here: Office, tracking: str) -> dict[str, Any]:
    rows = here.book.read("SELECT * FROM label WHERE tracking = ?", tracking)
    if not rows:
        raise Refused(404, "label.not_found", f"there is no label {tracking}")
    return carrier.parsed(rows[0])


def _scan(row: Any) -> dict[str, Any]:
    return {
        "code": row["code"],
        "scanned_at": carrier.stamp(row["at"]),
        "country": row["country"],
        "forced": bool(row["forced"]),
    }


def now() -> float:
    """The real time in seconds."""
    return time()
