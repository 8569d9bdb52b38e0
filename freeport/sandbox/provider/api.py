"""The provider's HTTP API, made of its charges, its book and its webhooks."""

import asyncio
import hmac
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit

import httpx
import orjson
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from freeport.sandbox.book import Book
from freeport.sandbox.provider.charges import SCHEMA, Asked, Charges, Done, Refused, charge_view
from freeport.sandbox.provider.settings import ProviderSettings
from freeport.sandbox.provider.tokens import BEHAVIOURS, Operation, card_of
from freeport.sandbox.webhooks import WebhookSender

_LARGEST = 2**53 - 1
_TICK_S = 0.2
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=255)]


class ChargeIn(BaseModel):
    """`amount` is minor units of `currency`; `reference` is the caller's order."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(gt=0, le=_LARGEST, strict=True)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    token: Annotated[str, Field(min_length=1, max_length=120)]
    method: Literal["card", "wallet", "bank_transfer"] = "card"
    capture: Literal["manual", "automatic"] = "manual"
    reference: Annotated[str, Field(min_length=1, max_length=120)]
    return_url: Annotated[str, Field(max_length=500, pattern="^(https?://.*)?$")] = ""


class CaptureIn(BaseModel):
    """The whole amount when none is named."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(gt=0, le=_LARGEST, strict=True)] | None = None


class RefundIn(BaseModel):
    """Minor units of the charge's currency."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(gt=0, le=_LARGEST, strict=True)]


class Provider:
    """What the routes share."""

    def __init__(self, settings: ProviderSettings, book: Book, client: httpx.AsyncClient) -> None:
        self.settings = settings
        self.book = book
        self.charges = Charges(settings)
        self.webhooks = WebhookSender(
            book,
            url=f"{settings.payments_url.rstrip('/')}/webhooks/provider",
            secret=settings.provider_webhook_secret.get_secret_value(),
            client=client,
        )

    async def answer(self, request: Request, operation: Operation, done: Done) -> dict[str, Any]:
        """The charge: at once, late or never in time, as its card behaves."""
        for webhook_id in done.ahead:
            await self.webhooks.send_now(webhook_id)
        self.webhooks.wake()
        if done.first and operation in done.behaviour.hangs:
            await self._hang(request)
            raise Refused(504, "upstream_timeout", "the bank did not answer in time")
        if done.behaviour.slow and operation is Operation.CHARGE:
            await asyncio.sleep(self.settings.provider_slow_seconds)
        return done.charge

    async def watch_the_clock(self) -> None:
        """Let expiries and late refunds happen when they are due."""
        while True:
            await asyncio.sleep(_TICK_S)
            now = _now()
            if self._something_is_due(now):
                await self.book.write(partial(self.charges.pass_time, now=now))
                self.webhooks.wake()

    def whole_book(self) -> bytes:
        """Everything that ever happened, as JSON, for an audit."""
        operations: defaultdict[str, list[Any]] = defaultdict(list)
        for row in self.book.read("SELECT * FROM operation ORDER BY rowid"):
            operations[row["charge_id"]].append(row)
        charges = self.book.read("SELECT * FROM charge ORDER BY rowid")
        views = [charge_view(charge, operations[charge["id"]], self.settings.public_url) for charge in charges]
        waiting = self.book.read("SELECT count(*) AS n FROM webhook WHERE due_at IS NOT NULL")[0]["n"]
        return orjson.dumps({"charges": views, "webhooks_waiting": waiting})

    def _something_is_due(self, now: float) -> bool:
        sql = (
            "SELECT EXISTS (SELECT 1 FROM charge WHERE status = 'requires_action' AND action_expires_at <= ?)"
            " OR EXISTS (SELECT 1 FROM charge WHERE status = 'authorised' AND expires_at <= ?)"
            " OR EXISTS (SELECT 1 FROM operation WHERE settles_at <= ?) AS due"
        )
        return bool(self.book.read(sql, now, now, now)[0]["due"])

    async def _hang(self, request: Request) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(_gone(request), self.settings.provider_hang_seconds)


def create_app(settings: ProviderSettings, *, client: httpx.AsyncClient | None = None) -> FastAPI:
    """The provider as an ASGI app. Webhooks go out by `client` where one is given, by its own otherwise."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with Book.opened(settings.state_dir / "provider.sqlite3", SCHEMA) as book, _client(client) as sending:
            provider = app.state.provider = Provider(settings, book, sending)
            loops = [asyncio.create_task(work) for work in (provider.webhooks.run(), provider.watch_the_clock())]
            try:
                yield
            finally:
                for loop in loops:
                    loop.cancel()
                    with suppress(asyncio.CancelledError):
                        await loop

    app = FastAPI(title="Sandbox payment provider", version="1", lifespan=lifespan)
    app.add_exception_handler(Refused, _refused)
    _add_charges(app)
    _add_actions(app)
    _add_book(app)
    return app


@asynccontextmanager
async def _client(given: httpx.AsyncClient | None) -> AsyncGenerator[httpx.AsyncClient]:
    if given is not None:
        yield given
        return
    async with httpx.AsyncClient(timeout=10.0, trust_env=False) as own:
        yield own


def _provider(request: Request) -> Provider:
    return request.app.state.provider


def _authorised(request: Request) -> Provider:
    provider = _provider(request)
    expected = f"Bearer {provider.settings.provider_key.get_secret_value()}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected.encode()):
        raise Refused(401, "unauthorised", "give the key as a bearer token")
    return provider


Caller = Annotated[Provider, Depends(_authorised)]
Public = Annotated[Provider, Depends(_provider)]


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return JSONResponse(
        {"error": {"code": error.code, "message": error.message}, "charge": error.charge}, status_code=error.status
    )


def _add_charges(app: FastAPI) -> None:
    @app.post("/charges", status_code=201)
    async def make(body: ChargeIn, key: Key, provider: Caller, request: Request) -> dict[str, Any]:
        card = card_of(body.token)
        if (
            card is not None
            and card.behaviour.flaky
            and await provider.book.write(lambda book: provider.charges.fail_once(book, key))
        ):
            raise Refused(500, "internal_error", "something broke; nothing was charged")
        asked = Asked(
            key=key, reference=body.reference, amount=body.amount, currency=body.currency, token=body.token,
            method=body.method, capture=body.capture, return_url=body.return_url,
        )  # fmt: skip
        done = await provider.book.write(lambda book: provider.charges.make(book, asked, _now()))
        return await provider.answer(request, Operation.CHARGE, done)

    @app.post("/charges/{charge_id}/capture")
    async def capture(charge_id: str, body: CaptureIn, key: Key, provider: Caller, request: Request) -> dict[str, Any]:
        done = await provider.book.write(
            lambda book: provider.charges.capture(book, charge_id, key, body.amount, _now())
        )
        return await provider.answer(request, Operation.CAPTURE, done)

    @app.post("/charges/{charge_id}/void")
    async def void(charge_id: str, key: Key, provider: Caller, request: Request) -> dict[str, Any]:
        done = await provider.book.write(lambda book: provider.charges.void(book, charge_id, key, _now()))
        return await provider.answer(request, Operation.VOID, done)

    @app.post("/charges/{charge_id}/refunds", status_code=201)
    async def refund(charge_id: str, body: RefundIn, key: Key, provider: Caller, request: Request) -> dict[str, Any]:
        done = await provider.book.write(
            lambda book: provider.charges.refund(book, charge_id, key, body.amount, _now())
        )
        return await provider.answer(request, Operation.REFUND, done)

    @app.get("/charges/{charge_id}")
    async def look_up(charge_id: str, provider: Caller) -> dict[str, Any]:
        return await _read(provider, "id", charge_id) or _no_such(charge_id)

    @app.get("/charges")
    async def look_up_by_key(key: Annotated[str, Query(max_length=255)], provider: Caller) -> dict[str, Any]:
        charge = await _read(provider, "key", key)
        return {"data": [] if charge is None else [charge]}

    _ = make, capture, void, refund, look_up, look_up_by_key


def _add_actions(app: FastAPI) -> None:
    @app.get("/actions/{charge_id}", response_class=HTMLResponse)
    async def show(charge_id: str, provider: Public) -> str:
        charge = await _read(provider, "id", charge_id) or _no_such(charge_id)
        return _page(charge)

    @app.post("/actions/{charge_id}", response_model=None)
    async def act(
        charge_id: str, provider: Public, request: Request, result: Literal["complete", "fail"] = "complete"
    ) -> Response:
        charge = await provider.book.write(
            lambda book: provider.charges.act(book, charge_id, complete=result == "complete", now=_now())
        )
        provider.webhooks.wake()
        return _after_action(provider, charge, request.headers.get("accept", ""))

    _ = show, act


def _add_book(app: FastAPI) -> None:
    @app.get("/book")
    async def book(provider: Caller) -> Response:
        return Response(await asyncio.to_thread(provider.whole_book), media_type="application/json")

    @app.get("/tokens")
    async def tokens() -> dict[str, str]:
        return {name: behaviour.about for name, behaviour in BEHAVIOURS.items()}

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    _ = book, tokens, healthz


async def _gone(request: Request) -> None:
    """Return when the caller has hung up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(provider: Provider, column: Literal["id", "key"], value: str) -> dict[str, Any] | None:
    query = {"id": "SELECT * FROM charge WHERE id = ?", "key": "SELECT * FROM charge WHERE key = ?"}[column]
    rows = provider.book.read(query, value)
    if not rows:
        return None
    operations = provider.book.read("SELECT * FROM operation WHERE charge_id = ? ORDER BY rowid", rows[0]["id"])
    return charge_view(rows[0], operations, provider.settings.public_url)


def _no_such(charge_id: str) -> dict[str, Any]:
    raise Refused(404, "no_such_charge", f"there is no charge {charge_id}")


def _page(charge: dict[str, Any]) -> str:
    sums = f"{charge['amount']} minor units of {escape(charge['currency'])}"
    if charge["status"] != "requires_action":
        return f"<!doctype html><title>Bank</title><p>This payment is {escape(charge['status'])}.</p>"
    return (
        "<!doctype html><title>Bank</title>"
        f"<h1>Confirm your payment</h1><p>{sums} for order {escape(charge['reference'])}.</p>"
        '<form method="post" action="?result=complete"><button>Confirm</button></form>'
        '<form method="post" action="?result=fail"><button>Refuse</button></form>'
    )


def _after_action(provider: Provider, charge: dict[str, Any], accept: str) -> Response:
    """Back to the shop for a browser, the charge's status for a program."""
    rows = provider.book.read("SELECT return_url FROM charge WHERE id = ?", charge["id"])
    return_url = str(rows[0]["return_url"]) if rows else ""
    if "text/html" in accept and return_url:
        joiner = "&" if urlsplit(return_url).query else "?"
        return RedirectResponse(return_url + joiner + urlencode({"status": charge["status"]}), status_code=303)
    if "text/html" in accept:
        return HTMLResponse(_page(charge))
    return JSONResponse({"id": charge["id"], "status": charge["status"]})


def _now() -> float:
    return datetime.now(UTC).timestamp()
