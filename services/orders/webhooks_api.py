"""The webhooks API: endpoints of sellers, and the log of what they were told."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from services.orders import webhook_queries as queries
from services.orders.domain.webhook import DeliveryStatus
from services.orders.settings import Settings
from services.orders.usecases.change_webhook import ChangeWebhook
from services.orders.usecases.ping_webhook import PingWebhook
from services.orders.usecases.register_webhook import RegisterWebhook
from services.orders.usecases.remove_webhook import RemoveWebhook
from services.orders.usecases.resend_webhook import ResendWebhook, ResendWebhooks
from services.orders.usecases.rotate_webhook import RotateWebhook
from services.orders.webhook_schemas import (
    ResendIn,
    ResentOut,
    WebhookDeliveryDetailOut,
    WebhookDeliveryOut,
    WebhookEndpointIn,
    WebhookEndpointOut,
    WebhookEndpointPatch,
    WebhookSecretOut,
)
from services.orders.webhook_secrets import secret_of
from shared.database import Database
from shared.effects import Reply
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
    encode_cursor,
    kit_of,
    only_known_parameters,
    page,
    requires,
)
from shared.outbound import OutboundFailed, Rules, check_url

router = APIRouter(prefix="/v1", tags=["webhooks"])

Reader = Annotated[Caller, requires("webhooks:read")]
Writer = Annotated[Caller, requires("webhooks:write", idempotent=True)]


async def _settings(request: Request) -> Settings:
    return kit_of(request).settings


Config = Annotated[Settings, Depends(_settings)]


@router.post(
    "/webhook-endpoints",
    operation_id="webhook_endpoints.create",
    status_code=201,
    response_model=WebhookSecretOut,
    responses=PROBLEMS,
)
async def create(
    caller: Writer, body: WebhookEndpointIn, commands: Commands, database: Reads, settings: Config
) -> Response:
    """Name a URL that is to be told what happens to the store's orders. The secret in the answer is shown only here."""
    _refuse_bad_url(body.url, settings)
    command = RegisterWebhook(
        store_id=caller.store_id, url=body.url, event_types=tuple(body.event_types), description=body.description
    )
    reply = await commands.run(caller, command)
    return await _with_secret(reply, caller, database, settings)


@router.get(
    "/webhook-endpoints",
    operation_id="webhook_endpoints.list",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_endpoints(
    caller: Reader, database: Reads, after: After = None, limit: Limit = 50
) -> Page[WebhookEndpointOut]:
    """The store's endpoints, the newest first."""
    found = await queries.endpoints(database, caller.store_id, _place(after), limit)
    return page(found, limit, lambda endpoint: (endpoint.created_at.isoformat(), endpoint.id))


@router.get("/webhook-endpoints/{endpoint_id}", operation_id="webhook_endpoints.get", responses=PROBLEMS)
async def get_endpoint(endpoint_id: str, caller: Reader, database: Reads) -> WebhookEndpointOut:
    """One endpoint, and how it fares."""
    return await queries.endpoint(database, caller.store_id, endpoint_id)


@router.patch(
    "/webhook-endpoints/{endpoint_id}",
    operation_id="webhook_endpoints.change",
    response_model=WebhookEndpointOut,
    responses=PROBLEMS,
)
async def change(
    endpoint_id: str, caller: Writer, body: WebhookEndpointPatch, commands: Commands, database: Reads, settings: Config
) -> Response:
    """Change an endpoint, disable it, or enable it again. What was skipped meanwhile is sent on demand only (`resend`)."""
    if body.url is not None:
        _refuse_bad_url(body.url, settings)
    command = ChangeWebhook(
        store_id=caller.store_id,
        endpoint_id=endpoint_id,
        url=body.url,
        event_types=tuple(body.event_types) if body.event_types is not None else None,
        description=body.description,
        disabled=body.disabled,
    )
    reply = await commands.run(caller, command)
    return _answer(await queries.endpoint(database, caller.store_id, endpoint_id), reply)


@router.delete(
    "/webhook-endpoints/{endpoint_id}",
    operation_id="webhook_endpoints.delete",
    status_code=204,
    response_class=Response,
    responses=PROBLEMS,
)
async def delete(endpoint_id: str, caller: Writer, commands: Commands) -> Response:
    """Tell it nothing more. The log of its deliveries stays for its 30 days."""
    return await commands.execute(caller, RemoveWebhook(store_id=caller.store_id, endpoint_id=endpoint_id))


@router.post(
    "/webhook-endpoints/{endpoint_id}/secret:rotate",
    operation_id="webhook_endpoints.rotate_secret",
    response_model=WebhookSecretOut,
    responses=PROBLEMS,
)
async def rotate(endpoint_id: str, caller: Writer, commands: Commands, database: Reads, settings: Config) -> Response:
    """A new secret, shown only here. For 24 hours the old one signs as well."""
    reply = await commands.run(caller, RotateWebhook(store_id=caller.store_id, endpoint_id=endpoint_id))
    return await _with_secret(reply, caller, database, settings)


@router.post(
    "/webhook-endpoints/{endpoint_id}/test",
    operation_id="webhook_endpoints.test",
    status_code=202,
    response_model=WebhookDeliveryDetailOut,
    responses=PROBLEMS,
)
async def test(endpoint_id: str, caller: Writer, commands: Commands, database: Reads) -> Response:
    """Send a `freeport.ping`. What came of it is in the delivery's log."""
    reply = await commands.run(caller, PingWebhook(store_id=caller.store_id, endpoint_id=endpoint_id))
    return _answer(await queries.delivery(database, caller.store_id, reply.body["id"]), reply)


@router.post(
    "/webhook-endpoints/{endpoint_id}/resend",
    operation_id="webhook_endpoints.resend",
    status_code=202,
    response_model=ResentOut,
    responses=PROBLEMS,
)
async def resend_all(endpoint_id: str, caller: Writer, body: ResendIn, commands: Commands) -> Response:
    """Send again what failed or was skipped since a time, a thousand at once, the oldest first."""
    command = ResendWebhooks(
        store_id=caller.store_id,
        endpoint_id=endpoint_id,
        since=body.since,
        until=body.until,
        statuses=tuple(dict.fromkeys(body.statuses)),
        after=_place(body.after),
    )
    reply = await commands.run(caller, command)
    last: list[str] | None = reply.body["last"]
    return _answer(ResentOut(resent=reply.body["resent"], next=encode_cursor(last) if last else None), reply)


@router.get(
    "/webhook-deliveries",
    operation_id="webhook_deliveries.list",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_deliveries(
    caller: Reader,
    database: Reads,
    endpoint: Annotated[str | None, Query(max_length=64)] = None,
    status: DeliveryStatus | None = None,
    event_type: Annotated[str | None, Query(max_length=100)] = None,
    order_id: Annotated[str | None, Query(max_length=64)] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[WebhookDeliveryOut]:
    """What the store's endpoints were told in the last 30 days, the newest first."""
    wanted = queries.DeliveryFilter(endpoint=endpoint, status=status, event_type=event_type, order_id=order_id)
    found = await queries.deliveries(database, caller.store_id, wanted, _place(after), limit)
    return page(found, limit, lambda delivery: (delivery.created_at.isoformat(), delivery.id))


@router.get("/webhook-deliveries/{delivery_id}", operation_id="webhook_deliveries.get", responses=PROBLEMS)
async def get_delivery(delivery_id: str, caller: Reader, database: Reads) -> WebhookDeliveryDetailOut:
    """One delivery with its message and every try."""
    return await queries.delivery(database, caller.store_id, delivery_id)


@router.post(
    "/webhook-deliveries/{delivery_id}/resend",
    operation_id="webhook_deliveries.resend",
    status_code=202,
    response_model=WebhookDeliveryDetailOut,
    responses=PROBLEMS,
)
async def resend(delivery_id: str, caller: Writer, commands: Commands, database: Reads) -> Response:
    """Send it again now, under the same `webhook-id`, with ten tries anew."""
    reply = await commands.run(caller, ResendWebhook(store_id=caller.store_id, delivery_id=delivery_id))
    return _answer(await queries.delivery(database, caller.store_id, delivery_id), reply)


def _refuse_bad_url(url: str, settings: Settings) -> None:
    """As far as the URL alone tells; what its host resolves to is checked at every try."""
    rules = Rules(allow_local=settings.orders_webhooks_allow_local)
    try:
        check_url(url, rules)
    except OutboundFailed as refused:
        raise Refused(
            Refusal(
                code="webhook_endpoint.url_forbidden",
                detail=str(refused),
                kind=Kind.INVALID,
                clears_with="an https:// URL on port 443 of a public host",
            )
        ) from None


async def _with_secret(reply: Reply, caller: Caller, database: Database, settings: Settings) -> Response:
    """The secret is worked out here and stored nowhere, not even with the answer under the idempotency key."""
    view = await queries.endpoint(database, caller.store_id, reply.body["id"])
    key = settings.pii_hash_key.get_secret_value().encode()
    secret = secret_of(key, view.id, reply.body["secret_version"])
    return _answer(WebhookSecretOut(**view.model_dump(), secret=secret), reply, {"Cache-Control": "no-store"})


def _answer(
    view: WebhookEndpointOut | WebhookDeliveryOut | ResentOut, reply: Reply, more: dict[str, str] | None = None
) -> Response:
    own = {name: value for name, value in reply.headers.items() if name.lower() != "content-type"}
    return Response(view.model_dump_json(), reply.status, own | (more or {}), "application/json")


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    place = decode_cursor(cursor, 2)
    return (cursor_moment(place[0]), place[1]) if place else None
