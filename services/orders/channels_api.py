"""What channels push, and what became of it: notices of orders, and those that could not be taken in."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Path, Request, Response

from services.orders import channel_queries as queries
from services.orders.channel_schemas import ChannelRefusalOut, FulfilledThereOut
from services.orders.channel_settings import configured
from services.orders.channels import gateways
from services.orders.gateways.order_channel import shown
from services.orders.settings import Settings
from services.orders.usecases.take_channel_orders import TakeChannelOrders
from shared.auth import Principal
from shared.channels.config import ChannelConfig
from shared.channels.port import BadSignature, Notice
from shared.errors import Kind, Refusal, Refused
from shared.http import (
    PROBLEMS,
    After,
    Caller,
    Commands,
    Limit,
    Page,
    Reads,
    cursor_moment,
    decode_cursor,
    kit_of,
    only_known_parameters,
    page,
    requires,
    webhook_caller,
)

router = APIRouter(prefix="/v1", tags=["channels"])
_BODY_LIMIT = 64 * 1024

Name = Annotated[str, Path(max_length=60)]
Reader = Annotated[Caller, requires("orders:read")]


@router.post("/channels/{name}/notices", operation_id="channels.notice", status_code=202, responses=PROBLEMS)
async def hear_notice(name: Name, request: Request, commands: Commands) -> Response:
    """A channel's notice of an order, signed over the raw body. Twice, late or never is harmless: orders are fetched as well."""
    body = await request.body()
    if len(body) > _BODY_LIMIT:
        detail = f"a notice may have {_BODY_LIMIT} bytes at most"
        raise Refused(Refusal(code="request.too_large", detail=detail, kind=Kind.TOO_LARGE))
    config, notice = await _verified(name, request, body)
    settings: Settings = kit_of(request).settings
    found = shown([notice.order], None, config, settings.pii_hash_key.get_secret_value().encode())
    if not found.empty:
        command = TakeChannelOrders(
            store_id=config.store,
            channel=config.name,
            sold=found.sold,
            cancelled=found.cancelled,
            fulfilled_there=found.fulfilled_there,
        )
        who = f"channel {config.store} {config.name}"
        caller = webhook_caller(who, notice.id, body)
        caller = replace(caller, principal=Principal(config.store, who, frozenset()), path=request.url.path)
        await commands.run(caller, command, market=config.market)
    return Response(status_code=202)


@router.get(
    "/channels/{name}/refusals",
    operation_id="channels.refusals",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_refusals(
    name: Name, caller: Reader, database: Reads, after: After = None, limit: Limit = 50
) -> Page[ChannelRefusalOut]:
    """What the channel sold and could not be taken in, by its own ids. One that comes in at last is gone from here."""
    found = await queries.refusals(database, caller.store_id, name, _place(after), limit)
    return page(found, limit, lambda refusal: (refusal.external_id,))


@router.get(
    "/channels/{name}/fulfilled-there",
    operation_id="channels.fulfilled_there",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_fulfilled_there(
    name: Name, caller: Reader, database: Reads, after: After = None, limit: Limit = 50
) -> Page[FulfilledThereOut]:
    """What the channel sold and ships from its own warehouse, the newest first. It takes no stock of ours and no parcel."""
    place = decode_cursor(after, 2)
    newest = (cursor_moment(place[0]), place[1]) if place else None
    found = await queries.fulfilled_there(database, caller.store_id, name, newest, limit)
    return page(found, limit, lambda order: (order.placed_at.isoformat(), order.external_id))


def _place(after: str | None) -> str | None:
    place = decode_cursor(after, 1)
    return place[0] if place else None


async def _verified(name: str, request: Request, body: bytes) -> tuple[ChannelConfig, Notice]:
    # A name is a store's own: whose notice it is, the signature says.
    now = datetime.now(UTC)
    async with httpx.AsyncClient() as nobody_is_called:
        opened = gateways(nobody_is_called)
        for config in configured():
            if config.name != name:
                continue
            try:
                return config, opened[config.store, config.name].verify(dict(request.headers), body, now)
            except BadSignature:
                continue
    raise Refused(
        Refusal(
            code="webhook.signature",
            detail="the signature is missing, wrong or too old",
            kind=Kind.UNAUTHENTICATED,
            clears_with="the channel's own signature over the raw body",
        )
    )
