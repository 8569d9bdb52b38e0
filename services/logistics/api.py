"""Logistics over HTTP: quotes, papers, shipments, and the carrier's webhooks."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from prometheus_client import Counter
from pydantic import ValidationError

from services.logistics import queries
from services.logistics.books import carrier_book, rulebook
from services.logistics.domain.consignment import PapersStatus
from services.logistics.domain.handover import State
from services.logistics.domain.parcels import Scan
from services.logistics.gateways.carrier import print_label
from services.logistics.pdf import render
from services.logistics.quotes import SigningKey, key_set, signed
from services.logistics.schemas import (
    BookingOut,
    CustomsOut,
    DocumentIn,
    DocumentOut,
    ErasureOut,
    OrderId,
    PapersOut,
    QuoteIn,
    QuoteKeys,
    QuoteOut,
    ShipmentOut,
    ShipmentSummary,
    Webhook,
    WebhookOut,
    WebhookScan,
)
from services.logistics.settings import Settings
from services.logistics.usecases.erase_recipient import EraseRecipient
from services.logistics.usecases.quote_freight import FreightRequest, quote_freight
from services.logistics.usecases.record_scan import RecordScan
from services.logistics.usecases.retry_booking import RetryBooking
from shared import quote as tokens
from shared.auth import Principal
from shared.contracts.logistics import TrackingStatus
from shared.errors import Kind, Refusal, Refused
from shared.http import (
    PROBLEMS,
    After,
    Caller,
    Commands,
    Limit,
    Page,
    Reads,
    decode_cursor,
    kit_of,
    only_known_parameters,
    requires,
    webhook_caller,
)
from shared.webhook_intake import verified_id

router = APIRouter(prefix="/v1", tags=["logistics"])
webhooks = APIRouter(prefix="/webhooks", tags=["webhooks"])

Reader = Annotated[Caller, requires("shipments:read")]
CustomsReader = Annotated[Caller, requires("customs:read")]
OrderPath = Annotated[OrderId, Path()]
DocumentPath = Annotated[str, Path(pattern=r"^doc_[0-9a-hjkmnp-tv-z]{26}$")]
ParcelPath = Annotated[str, Path(pattern=r"^pcl_[0-9a-hjkmnp-tv-z]{26}$")]
Listed = Depends(only_known_parameters)

_PDF: dict[int | str, dict[str, Any]] = {200: {"content": {"application/pdf": {}}}}
_EXAMPLE = {
    "type": "parcel.scanned",
    "timestamp": "2026-11-24T13:00:01Z",
    "data": {
        "tracking_number": "LX000000015CN",
        "reference": "pcl_01jc2v8k9q4t6x0m3n5p7r9s1v",
        "code": "in_transit",
        "scanned_at": "2026-11-24T13:00:00Z",
        "country": "CN",
    },
}
_CARRIER = "freepost"
UNKNOWN_CODES = Counter(
    "freeport_tracking_codes_unknown_total", "Scans whose code is in no carrier's table.", ("carrier",)
)
UNKNOWN_CODES.labels(_CARRIER)


# ── Quotes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post("/quotes", operation_id="quotes.create", responses=PROBLEMS)
async def quote(
    body: QuoteIn, caller: Annotated[Caller, requires("quotes:write")], request: Request, database: Reads
) -> QuoteOut:
    """What sending the goods there costs, signed: orders believes it without asking. Good for half an hour."""
    settings: Settings = kit_of(request).settings
    known, now = await queries.products(database, caller.store_id, [line.sku for line in body.lines])
    wanted = FreightRequest(
        destination=body.destination.to_destination(),
        lines=tuple((line.sku, line.quantity) for line in body.lines),
        service=body.service,
        currency=body.currency,
        origin=settings.ship_from,
    )
    options = quote_freight(wanted, known, rulebook(), carrier_book(), now.date())
    if isinstance(options, Refusal):
        raise Refused(options)
    expires_at = (now + timedelta(minutes=settings.quote_minutes)).replace(microsecond=0)
    return signed(body, wanted, options, caller.store_id, expires_at, _signing_key(settings))


@router.get("/quote-keys", operation_id="quotes.keys", responses=PROBLEMS)
async def quote_keys(request: Request) -> QuoteKeys:
    """The public keys of quotes, as a JSON Web Key Set. No key is needed: they are public."""
    return key_set(_signing_key(kit_of(request).settings))


# ── Papers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.post(
    "/documents",
    operation_id="documents.supply",
    status_code=201,
    responses={201: {"model": DocumentOut}, **PROBLEMS},
    response_class=Response,
)
async def supply_document(
    body: DocumentIn, caller: Annotated[Caller, requires("documents:write", idempotent=True)], commands: Commands
) -> Response:
    """Supply a paper or an identifier. The order's papers are judged again at once, a SKU's orders right after."""
    return await commands.execute(caller, body.to_command(caller))


@router.get(
    "/documents/{document_id}.pdf", operation_id="documents.pdf", responses=_PDF | PROBLEMS, response_class=Response
)
async def document_pdf(document_id: DocumentPath, caller: CustomsReader, request: Request, database: Reads) -> Response:
    """A commercial invoice or packing list as PDF, or the file of a supplied document as it was supplied."""
    found = await queries.paper_file(database, caller.store_id, document_id)
    font = kit_of(request).settings.pdf_font
    content = found.content or await asyncio.to_thread(
        render, found.kind, found.data, found.recipient, found.frozen_at, font
    )
    headers = {"Content-Disposition": f'inline; filename="{document_id}"', "Cache-Control": "private, no-store"}
    return Response(content, media_type=found.media_type, headers=headers)


@router.get("/customs", operation_id="customs.list", responses=PROBLEMS, dependencies=[Listed])
async def list_customs(
    caller: CustomsReader,
    database: Reads,
    status: Annotated[PapersStatus | None, Query(description="Only orders whose papers are so.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[CustomsOut]:
    """Orders and what keeps their papers from clearing, newest first."""
    place = decode_cursor(after, 1)
    return await queries.customs_list(database, caller.store_id, status=status, place=place, limit=limit)


@router.get("/customs/{order_id}", operation_id="customs.get", responses=PROBLEMS)
async def get_customs(order_id: OrderPath, caller: CustomsReader, database: Reads) -> CustomsOut:
    """An order's papers: each finding with its rule, the rule's source, and what would clear it."""
    return await queries.customs(database, caller.store_id, order_id)


# ── Shipments ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/shipments", operation_id="shipments.list", responses=PROBLEMS, dependencies=[Listed])
async def list_shipments(
    caller: Reader,
    database: Reads,
    state: Annotated[State | None, Query(description="Only shipments in this state.")] = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[ShipmentSummary]:
    """The store's shipments, newest order first."""
    place = decode_cursor(after, 1)
    return await queries.shipments(database, caller.store_id, state=state, place=place, limit=limit)


@router.get("/shipments/{order_id}", operation_id="shipments.get", responses=PROBLEMS)
async def get_shipment(order_id: OrderPath, caller: Reader, database: Reads) -> ShipmentOut:
    """An order's shipment: parcels, labels, scans, and parcels on their way back."""
    return await queries.shipment(database, caller.store_id, order_id)


@router.get("/shipments/{order_id}/documents", operation_id="shipments.documents", responses=PROBLEMS)
async def get_papers(order_id: OrderPath, caller: CustomsReader, database: Reads) -> PapersOut:
    """The papers that were made for the shipment, and those that were supplied."""
    return await queries.papers(database, caller.store_id, order_id)


@router.get(
    "/shipments/{order_id}/parcels/{parcel_id}/label.pdf",
    operation_id="shipments.label",
    responses=_PDF | PROBLEMS,
    response_class=Response,
)
async def get_label(
    order_id: OrderPath, parcel_id: ParcelPath, caller: Reader, request: Request, database: Reads
) -> Response:
    """The carrier's label of a parcel, to be printed. It is fetched from the carrier and not kept here."""
    number = await queries.tracking_number(database, caller.store_id, order_id, parcel_id)
    settings: Settings = kit_of(request).settings
    pdf = await print_label(settings.carrier_url, settings.carrier_key.get_secret_value(), number)
    if pdf is None:
        raise Refused(Refusal(code="carrier.unanswered", detail="the carrier does not answer", kind=Kind.BUSY))
    return Response(pdf, media_type="application/pdf", headers={"Cache-Control": "private, no-store"})


@router.post(
    "/shipments/{order_id}/booking",
    operation_id="shipments.rebook",
    status_code=202,
    responses={202: {"model": BookingOut}, **PROBLEMS},
    response_class=Response,
)
async def rebook(
    order_id: OrderPath, caller: Annotated[Caller, requires("shipments:write", idempotent=True)], commands: Commands
) -> Response:
    """Book a shipment again that is stuck, after what was wrong is right."""
    return await commands.execute(caller, RetryBooking(caller.store_id, order_id))


@router.delete(
    "/recipients/{order_id}",
    operation_id="recipients.erase",
    responses={200: {"model": ErasureOut}, **PROBLEMS},
    response_class=Response,
)
async def erase_recipient(
    order_id: OrderPath, caller: Annotated[Caller, requires("shipments:write", idempotent=True)], commands: Commands
) -> Response:
    """Erase logistics' copy of an order's name, address and identifiers."""
    return await commands.execute(caller, EraseRecipient(caller.store_id, order_id))


# ── The carrier ───────────────────────────────────────────────────────────────────────────────────────────────────────


@webhooks.post(
    "/carrier",
    operation_id="webhook.carrier",
    responses={200: {"model": WebhookOut}, 202: {"model": WebhookOut}, **PROBLEMS},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"example": _EXAMPLE}}}},
)
async def hear_carrier(request: Request, commands: Commands, database: Reads) -> Response:
    """The carrier's webhooks (Standard Webhooks): scans, in any order and as often as it likes."""
    body = await request.body()
    settings: Settings = kit_of(request).settings
    webhook_id = verified_id(request, body, settings.carrier_webhook_secret.get_secret_value().split())
    scan = _scan_in(body, webhook_id)
    if scan is None:
        return Response(b'{"status":"ignored"}', media_type="application/json")
    store_id, market = await queries.owner(database, (scan.reference, scan.tracking_number))
    caller = webhook_caller("carrier", webhook_id, body)
    caller = replace(caller, principal=Principal(store_id, "carrier", frozenset()), path=request.url.path)
    return await commands.execute(caller, RecordScan(scan), market=market)


def _scan_in(body: bytes, webhook_id: str) -> Scan | None:
    """The scan in a webhook, None in one of another type. Raises Refused."""
    try:
        webhook = Webhook.model_validate_json(body)
        if webhook.type != "parcel.scanned":
            return None
        told = WebhookScan.model_validate(webhook.data)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:5])
        raise Refused(
            Refusal(code="webhook.malformed", detail=f"the webhook is not understood: {fields}", kind=Kind.INVALID)
        ) from error
    status = carrier_book().status(_CARRIER, told.code)
    if status is TrackingStatus.UNKNOWN:
        UNKNOWN_CODES.labels(_CARRIER).inc()
    return Scan(
        webhook_id=webhook_id,
        carrier=_CARRIER,
        tracking_number=told.tracking_number,
        reference=told.reference,
        word=told.code,
        status=status,
        scanned_at=told.scanned_at,
        country=told.country,
    )


def _signing_key(settings: Settings) -> SigningKey:
    text = settings.quote_private_key.get_secret_value()
    if not text:
        raise Refused(
            Refusal(
                code="quote.no_key",
                detail="this installation signs no quotes",
                kind=Kind.BUSY,
                clears_with="FREEPORT_QUOTE_PRIVATE_KEY",
            )
        )
    return SigningKey(settings.quote_key_id, tokens.private_key(text))
