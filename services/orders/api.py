"""The orders API: parse, decide, shape."""

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from services.orders import queries
from services.orders.domain.number import as_written
from services.orders.domain.standing import Status
from services.orders.schemas import (
    CancellationIn,
    HoldCode,
    ImportIn,
    ImportOut,
    OrderIn,
    OrderOut,
    RecipientsIn,
    RecipientsOut,
    StockDecisionIn,
    TimelineOut,
)
from services.orders.settings import Settings
from services.orders.waiting import Waiting
from shared.errors import Refusal, Refused
from shared.http import (
    PROBLEMS,
    After,
    Caller,
    Commands,
    Instant,
    Limit,
    Page,
    Reads,
    cursor_moment,
    decode_cursor,
    kit_of,
    only_known_parameters,
    page,
    requires,
)
from shared.pan import refuse_card_numbers
from shared.quote import QuoteClaims, public_keys, verify

router = APIRouter(prefix="/v1", tags=["orders"])
internal = APIRouter(prefix="/internal/v1", tags=["internal"])

MAX_WAIT_S = 30
_RECIPIENTS = "internal:recipients"
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=$|[,;])", re.IGNORECASE)


async def _no_card_numbers(request: Request) -> None:
    """Before the body is understood or stored, let alone answered with: a card number in any text of it is refused."""
    try:
        body = await request.json()
    except ValueError:
        return  # no JSON: refused in the next moment, and not repeated
    refusal = refuse_card_numbers(body)
    if refusal is not None:
        raise Refused(refusal)


async def _settings(request: Request) -> Settings:
    return kit_of(request).settings


async def _waiting(request: Request) -> Waiting:
    state = request.app.state
    if not hasattr(state, "waiting"):
        kit = kit_of(request)
        settled = partial(queries.settled, kit.database)
        state.waiting = Waiting(settled, partial(queries.orders_by_id, kit.database), kit.committed.event())
    return state.waiting


NoCardNumbers = Depends(_no_card_numbers)
Config = Annotated[Settings, Depends(_settings)]
Waiters = Annotated[Waiting, Depends(_waiting)]
Prefer = Annotated[
    str, Header(description="`wait=N`: answer when the order is confirmed, held or refused, within N seconds.")
]


@router.post("/orders", operation_id="orders.place", status_code=201, response_model=OrderOut, responses=PROBLEMS)
async def place(
    caller: Annotated[Caller, requires("orders:write", idempotent=True)],
    body: OrderIn,
    commands: Commands,
    waiters: Waiters,
    settings: Config,
    _: Annotated[None, NoCardNumbers],
    prefer: Prefer = "",
) -> Response:
    """Place an order. The answer is the order as it is now; with `Prefer: wait=5`, as soon as it is decided."""
    command = body.to_command(caller.store_id, _believed(body.quote, settings), _key(settings))
    reply = await commands.run(caller, command, market=body.market)
    wait_s = wanted_wait(prefer)
    view = await waiters.view(reply.body["id"], float(wait_s or 0))
    headers = dict(reply.headers) | {"Location": f"/v1/orders/{view.id}"}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s}"
    return _order(view, 201, headers)


@router.get("/orders", operation_id="orders.list", responses=PROBLEMS, dependencies=[Depends(only_known_parameters)])
async def list_orders(
    caller: Annotated[Caller, requires("orders:read")],
    database: Reads,
    status: Status | None = None,
    market: Annotated[str | None, Query(max_length=8)] = None,
    channel: Annotated[str | None, Query(max_length=40)] = None,
    hold: HoldCode | None = None,
    created_gte: Annotated[Instant | None, Query(alias="created_at[gte]")] = None,
    created_lt: Annotated[Instant | None, Query(alias="created_at[lt]")] = None,
    number: Annotated[str | None, Query(max_length=40, description="As the buyer reads it out.")] = None,
    external_id: Annotated[str | None, Query(max_length=200)] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[OrderOut]:
    """The store's orders, the newest first."""
    wanted = queries.Filter(
        status=status,
        market=market,
        channel=channel,
        hold=hold,
        created_gte=created_gte,
        created_lt=created_lt,
        number=as_written(number) if number else None,
        external_id=external_id,
    )
    found = await queries.orders(database, caller.store_id, wanted, _place(after), limit)
    return page(found, limit, lambda order: (order.created_at.isoformat(), order.id))


@router.get("/orders/{order_id}", operation_id="orders.get", response_model=OrderOut, responses=PROBLEMS)
async def get_order(order_id: str, caller: Annotated[Caller, requires("orders:read")], database: Reads) -> Response:
    """One order."""
    return _order(await queries.order(database, caller.store_id, order_id), 200, {})


@router.get("/orders/{order_id}/timeline", operation_id="orders.timeline", responses=PROBLEMS)
async def get_timeline(
    order_id: str, caller: Annotated[Caller, requires("orders:read")], database: Reads
) -> TimelineOut:
    """What happened to the order in all services, causes before effects."""
    return await queries.timeline(database, caller.store_id, order_id)


@router.post(
    "/orders/{order_id}/cancellation", operation_id="orders.cancel", response_model=OrderOut, responses=PROBLEMS
)
async def cancel(
    order_id: str,
    caller: Annotated[Caller, requires("orders:write", idempotent=True)],
    body: CancellationIn,
    commands: Commands,
    database: Reads,
    _: Annotated[None, NoCardNumbers],
) -> Response:
    """End an order: at once (200) while it is placed, as a request to logistics (202) once it is confirmed.

    What a channel has sold and collected ends when payments has booked the money (202), so that it can go back.
    """
    reply = await commands.run(caller, body.to_command(caller.store_id, order_id))
    return _order(await queries.order(database, caller.store_id, order_id), reply.status, reply.headers)


@router.post(
    "/orders/{order_id}/stock-decision",
    operation_id="orders.decide_stock",
    response_model=OrderOut,
    responses=PROBLEMS,
)
async def decide_stock(
    order_id: str,
    caller: Annotated[Caller, requires("orders:write", idempotent=True)],
    body: StockDecisionIn,
    commands: Commands,
    database: Reads,
) -> Response:
    """Say what becomes of an order that is sold and short: it waits for stock until a time, or ends as by a cancellation."""
    reply = await commands.run(caller, body.to_command(caller.store_id, order_id))
    return _order(await queries.order(database, caller.store_id, order_id), reply.status, reply.headers)


@router.post("/orders:import", operation_id="orders.import", response_model=ImportOut, responses=PROBLEMS)
async def import_orders(
    caller: Annotated[Caller, requires("orders:import")],
    body: ImportIn,
    commands: Commands,
    settings: Config,
    _: Annotated[None, NoCardNumbers],
) -> Response:
    """Take in what a channel has sold, each order on its own. The same again is harmless, whatever came between."""
    return await commands.execute(caller, body.to_command(caller.store_id, _key(settings)), market=body.market)


@internal.post("/recipients:batch", operation_id="recipients.batch", responses=PROBLEMS)
async def recipients(
    caller: Annotated[Caller, requires(_RECIPIENTS)], body: RecipientsIn, database: Reads
) -> RecipientsOut:
    """Names and addresses for the label. The platform's own key, made for this scope, may ask for every store's orders."""
    store_id = None if _RECIPIENTS in caller.scopes else caller.store_id
    return await queries.recipients(database, body.order_ids, store_id)


def wanted_wait(prefer: str) -> int | None:
    """The seconds of `wait` in a Prefer header (RFC 7240 section 4.3), 30 at most; None where none is asked for."""
    found = _WAIT.search(prefer)
    return min(int(found[1]), MAX_WAIT_S) if found else None


def _believed(token: str | None, settings: Settings) -> QuoteClaims | None:
    if token is None:
        return None
    claims = verify(token, public_keys(settings.quote_public_keys))
    if isinstance(claims, Refusal):
        raise Refused(claims)
    return claims


def _key(settings: Settings) -> bytes:
    return settings.pii_hash_key.get_secret_value().encode()


def _place(after: str | None) -> tuple[datetime, str] | None:
    place = decode_cursor(after, 2)
    return (cursor_moment(place[0]), place[1]) if place else None


def _order(view: OrderOut, status: int, headers: dict[str, Any]) -> Response:
    own = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return Response(view.model_dump_json(), status, {**own, "ETag": f'"{view.version}"'}, "application/json")
