"""Payments over HTTP: refunds, reads, and the provider's webhooks."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.payments import queries
from services.payments.domain.payment import State
from services.payments.schemas import BalancesOut, PaymentOut, PaymentSummary, PayoutIn, RefundIn, RefundOut, WebhookOut
from services.payments.settings import Settings
from services.payments.usecases.hear_webhook import HearWebhook
from shared.auth import Principal
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
from shared.webhook_intake import verified_id

router = APIRouter(prefix="/v1", tags=["payments"])
webhooks = APIRouter(prefix="/webhooks", tags=["webhooks"])

Reader = Annotated[Caller, requires("payments:read")]
OrderPath = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_\-]+$")]


@router.get("/payments", operation_id="payment.list", responses=PROBLEMS, dependencies=[Depends(only_known_parameters)])
async def list_payments(
    caller: Reader,
    database: Reads,
    state: Annotated[State | None, Query(description="Only payments in this state.")] = None,
    attention: Annotated[bool, Query(description="Only payments that a person must look at.")] = False,
    after: After = None,
    limit: Limit = 50,
) -> Page[PaymentSummary]:
    """The store's payments, newest first."""
    found = await queries.payments(
        database, caller.store_id, state=state, attention=attention, after=_place(after), limit=limit
    )
    return page(found, limit, lambda payment: (payment.requested_at.isoformat(), payment.order_id))


@router.get("/payments/{order_id}", operation_id="payment.get", responses=PROBLEMS)
async def get_payment(order_id: OrderPath, caller: Reader, database: Reads) -> PaymentOut:
    """An order's payment: what was tried, what was given back, and how it is booked."""
    return await queries.payment(database, caller.store_id, order_id)


@router.get("/ledger/balances", operation_id="ledger.balances", responses=PROBLEMS)
async def get_balances(caller: Reader, database: Reads) -> BalancesOut:
    """What every account of the store holds; zero in sum in each currency."""
    return BalancesOut(data=await queries.balances(database, caller.store_id))


@router.post(
    "/refunds", operation_id="refund.create", status_code=202, responses={202: {"model": RefundOut}, **PROBLEMS}
)
async def create_refund(
    body: RefundIn, caller: Annotated[Caller, requires("refunds:write", idempotent=True)], commands: Commands
) -> Response:
    """Give money back: at most what was captured and is not given back yet, in the currency of the charge."""
    return await commands.execute(caller, body.to_command(caller))


@router.post(
    "/refunds/{refund_id}/payout", operation_id="refund.payout", responses={200: {"model": RefundOut}, **PROBLEMS}
)
async def record_payout(
    refund_id: OrderPath,
    body: PayoutIn,
    caller: Annotated[Caller, requires("refunds:write", idempotent=True)],
    commands: Commands,
) -> Response:
    """A refund of cash on delivery was paid out by hand."""
    return await commands.execute(caller, body.to_command(caller, refund_id))


@webhooks.post(
    "/provider", operation_id="webhook.provider", status_code=202, responses={202: {"model": WebhookOut}, **PROBLEMS}
)
async def hear_provider(request: Request, commands: Commands, database: Reads) -> Response:
    """The provider's webhooks (Standard Webhooks). What they say is not believed: the charge is asked for."""
    body = await request.body()
    settings: Settings = kit_of(request).settings
    secrets = (settings.provider_webhook_secret, settings.provider_webhook_secret_before)
    webhook_id = verified_id(request, body, [secret.get_secret_value() for secret in secrets if secret])
    hint = _hint_in(body)
    store_id, market = await queries.owner(database, hint.charge.reference)
    caller = webhook_caller("provider", webhook_id, body)
    caller = replace(caller, principal=Principal(store_id, "provider", frozenset()), path=request.url.path)
    command = HearWebhook(
        webhook_id=webhook_id,
        order_id=hint.charge.reference,
        attempt_key=hint.charge.key,
        status=hint.charge.status,
        about_refund=hint.refund_key is not None,
    )
    return await commands.execute(caller, command, market=market)


class _ChargeHint(BaseModel):
    model_config = ConfigDict(extra="ignore")

    reference: Annotated[str, Field(max_length=120, pattern=r"^[^\x00]*$")]
    key: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
    status: Annotated[str, Field(max_length=40, pattern=r"^[a-z_]*$")]


class _Hint(BaseModel):
    model_config = ConfigDict(extra="ignore")

    charge: _ChargeHint
    refund_key: str | None = None


class _WebhookBody(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: _Hint


def _hint_in(body: bytes) -> _Hint:
    try:
        return _WebhookBody.model_validate_json(body).data
    except ValidationError as error:
        raise Refused(
            Refusal(
                code="webhook.malformed", detail=str(error.error_count()) + " fields are wrong", kind=Kind.MALFORMED
            )
        ) from error


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    place = decode_cursor(cursor, 2)
    return (cursor_moment(place[0]), place[1]) if place else None
