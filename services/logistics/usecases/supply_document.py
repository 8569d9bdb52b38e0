"""A paper or an identifier comes in; what it clears is released by itself."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from services.logistics.domain.customs import judge
from services.logistics.domain.desk import Desk, Upload
from services.logistics.domain.documents import Document, DocumentType, well_formed
from services.logistics.domain.handover import Act, Signal
from services.logistics.usecases.recheck_papers import recheck
from shared.effects import Decision, Effect, Moment, Reply
from shared.errors import Kind, Refusal
from shared.ids import derive_id
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyDocument:
    """A document for one order or for a SKU, exactly one of the two."""

    store_id: str
    type: DocumentType
    order_id: str = ""
    sku: str = ""
    number: str = ""
    issued_on: date | None = None
    declared_value: Money | None = None
    identifiers: dict[str, str]
    file_name: str = ""
    media_type: str = ""
    content: bytes = b""


def supply_document(command: SupplyDocument, desk: Desk, now: Moment) -> Decision:
    """Take the document in and judge what it may clear. Replies with the document and, for an order, its papers."""
    refusal = _refusal(command, desk)
    if refusal is not None:
        return refusal
    document = Document(
        document_id=derive_id("doc", now.message_id),
        store_id=command.store_id,
        type=command.type,
        order_id=command.order_id,
        sku=command.sku,
        number=command.number,
        issued_on=command.issued_on,
        declared_value=command.declared_value,
        identifiers=command.identifiers,
        supplied_at=now.decided_at,
    )
    upload = Upload(
        document_id=document.document_id,
        name=command.file_name,
        media_type=command.media_type,
        content=command.content,
    )
    desk.supply(document, upload if command.content else None)
    effects = _judge(document, desk, now)
    return [*effects, Reply(_body(document, desk), status=201)]


def _judge(document: Document, desk: Desk, now: Moment) -> list[Effect]:
    if not document.order_id:
        return recheck(document.sku, desk, now)
    consignment = desk.consignments[document.order_id]
    return judge(consignment, desk, now) if consignment.answer(Signal.PAPERS) is Act.JUDGE else []


def _refusal(command: SupplyDocument, desk: Desk) -> Refusal | None:
    if command.order_id:
        consignment = desk.consignments.get(command.order_id)
        if consignment is None or consignment.facts.store_id != command.store_id:
            return Refusal(code="order.not_found", detail=f"there is no order {command.order_id}", kind=Kind.NOT_FOUND)
    wrong = sorted(kind for kind, value in command.identifiers.items() if not well_formed(kind, value))
    if wrong:
        return Refusal(
            code="identifier.invalid",
            detail=f"the check digits of the {', '.join(wrong).upper()} are wrong",
            kind=Kind.INVALID,
            clears_with="the number as it was issued",
        )
    return None


def _body(document: Document, desk: Desk) -> dict[str, Any]:
    body: dict[str, Any] = {
        "document_id": document.document_id,
        "type": document.type,
        "order_id": document.order_id or None,
        "sku": document.sku or None,
        "supplied_at": document.supplied_at,
    }
    consignment = desk.consignments.get(document.order_id)
    if consignment is not None and consignment.papers is not None:
        body["papers"] = {"status": consignment.papers.status, "findings": consignment.papers.findings}
    return body
