"""Reading shipments, papers and customs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.logistics.domain.consignment import PapersStatus
from services.logistics.domain.goods import Product
from services.logistics.domain.handover import State
from services.logistics.rows import product_from
from services.logistics.schemas import (
    CustomsOut,
    PaperOut,
    PapersOut,
    ParcelOut,
    ReturnOut,
    ScanOut,
    ShipmentOut,
    ShipmentSummary,
    SuppliedDocument,
)
from shared.database import Database, Row
from shared.errors import not_found
from shared.http import Page, page
from shared.ids import derive_id
from shared.money import Money, total


async def shipments(
    database: Database, store_id: str, *, state: State | None, place: Sequence[str] | None, limit: int
) -> Page[ShipmentSummary]:
    """The store's shipments by order id, newest first."""
    rows = await database.fetch(
        "SELECT * FROM consignment WHERE store_id = $1 AND ($2::text IS NULL OR state = $2)"
        " AND ($3::text IS NULL OR order_id < $3) ORDER BY order_id DESC LIMIT $4",
        store_id,
        state,
        place[0] if place else None,
        limit + 1,
    )
    return page([ShipmentSummary(**_summary(row)) for row in rows], limit, lambda item: [item.order_id])


async def shipment(database: Database, store_id: str, order_id: str) -> ShipmentOut:
    """An order's shipment with its parcels and scans. Raises Refused with NOT_FOUND."""
    row = await _consignment(database, store_id, order_id)
    parcels = await database.fetch("SELECT * FROM parcel WHERE order_id = $1 ORDER BY parcel_id", order_id)
    scans = await database.fetch(
        "SELECT * FROM parcel_scan WHERE order_id = $1 ORDER BY scanned_at, webhook_id LIMIT 1000", order_id
    )
    returns = await database.fetch("SELECT * FROM return_parcel WHERE order_id = $1 ORDER BY return_id", order_id)
    costs = [Money(parcel["cost_amount"], parcel["cost_currency"]) for parcel in parcels]
    return ShipmentOut(
        **_summary(row),
        cost=total(costs, costs[0].currency) if costs else None,
        parcels=[
            ParcelOut.model_validate(dict(parcel) | {"cost": cost}) for parcel, cost in zip(parcels, costs, strict=True)
        ],
        scans=[ScanOut(**dict(scan)) for scan in scans],
        returns=[ReturnOut(**dict(parcel)) for parcel in returns],
    )


async def customs_list(
    database: Database, store_id: str, *, status: PapersStatus | None, place: Sequence[str] | None, limit: int
) -> Page[CustomsOut]:
    """The store's orders by what the rules say of their papers, newest first; cancelled ones are not listed."""
    rows = await database.fetch(
        "SELECT * FROM consignment WHERE store_id = $1 AND ($2::text IS NULL OR papers_status = $2)"
        " AND ($3::text IS NULL OR order_id < $3) AND state <> 'cancelled' ORDER BY order_id DESC LIMIT $4",
        store_id,
        status,
        place[0] if place else None,
        limit + 1,
    )
    return page([_customs(row, []) for row in rows], limit, lambda item: [item.order_id])


async def customs(database: Database, store_id: str, order_id: str) -> CustomsOut:
    """An order's papers. Raises Refused with NOT_FOUND."""
    row = await _consignment(database, store_id, order_id)
    return _customs(row, await _supplied(database, row))


async def papers(database: Database, store_id: str, order_id: str) -> PapersOut:
    """What was made and what was supplied for a shipment. Raises Refused with NOT_FOUND."""
    row = await _consignment(database, store_id, order_id)
    made = await database.fetch("SELECT * FROM paper WHERE order_id = $1 ORDER BY kind", order_id)
    return PapersOut(
        order_id=order_id,
        papers=[PaperOut(**dict(each), url=f"/v1/documents/{each['document_id']}.pdf") for each in made],
        supplied=await _supplied(database, row),
    )


@dataclass(frozen=True, slots=True)
class PaperFile:
    """What a paper's PDF is made of, or a file that was supplied."""

    kind: str
    data: dict[str, Any]
    frozen_at: datetime
    recipient: dict[str, Any] | None
    content: bytes = b""
    media_type: str = "application/pdf"
    name: str = ""


async def paper_file(database: Database, store_id: str, document_id: str) -> PaperFile:
    """A paper of the store with its recipient, or a supplied file. Raises Refused with NOT_FOUND."""
    row = await database.fetchrow(
        "SELECT p.kind, p.number, p.data, p.frozen_at, r.name, r.address FROM paper p"
        " JOIN consignment c ON c.order_id = p.order_id LEFT JOIN recipient r ON r.order_id = p.order_id"
        " WHERE p.document_id = $1 AND c.store_id = $2",
        document_id,
        store_id,
    )
    if row is not None:
        recipient = None if row["name"] is None else {"name": row["name"], "address": row["address"]}
        return PaperFile(row["kind"], row["data"], row["frozen_at"], recipient, name=f"{row['number']}.pdf")
    upload = await database.fetchrow(
        "SELECT f.name, f.media_type, f.content, d.supplied_at FROM document d JOIN document_file f USING (document_id)"
        " WHERE d.document_id = $1 AND d.store_id = $2",
        document_id,
        store_id,
    )
    if upload is None:
        raise not_found("document", document_id)
    return PaperFile("", {}, upload["supplied_at"], None, upload["content"], upload["media_type"], upload["name"])


async def tracking_number(database: Database, store_id: str, order_id: str, parcel_id: str) -> str:
    """The number on a parcel's label. Raises Refused with NOT_FOUND while there is none."""
    number = await database.fetchval(
        "SELECT tracking_number FROM parcel JOIN consignment USING (order_id)"
        " WHERE parcel_id = $1 AND order_id = $2 AND store_id = $3 AND label = 'made'",
        parcel_id,
        order_id,
        store_id,
    )
    if number is None:
        raise not_found("label", parcel_id)
    return number


async def products(database: Database, store_id: str, skus: Sequence[str]) -> tuple[dict[str, Product], datetime]:
    """What is known of some SKUs of the store, and the database's time."""
    rows = await database.fetch(
        "SELECT * FROM product WHERE sku = ANY($1) AND store_id = $2", sorted(set(skus)), store_id
    )
    return {row["sku"]: product_from(row) for row in rows}, await database.fetchval("SELECT now()")


async def owner(database: Database, names: Sequence[str]) -> tuple[str, str]:
    """(store, market) of a parcel by our reference or its tracking number; empty where nobody knows it."""
    row = await database.fetchrow(
        "SELECT c.store_id, c.facts->>'market' AS market FROM consignment c WHERE c.order_id IN ("
        " SELECT order_id FROM parcel WHERE parcel_id = ANY($1) OR tracking_number = ANY($1)"
        " UNION SELECT order_id FROM return_parcel WHERE return_id = ANY($1) OR tracking_number = ANY($1)) LIMIT 1",
        [name for name in names if name],
    )
    return (row["store_id"], row["market"]) if row is not None else ("", "")


async def _consignment(database: Database, store_id: str, order_id: str) -> Row:
    row = await database.fetchrow("SELECT * FROM consignment WHERE order_id = $1 AND store_id = $2", order_id, store_id)
    if row is None:
        raise not_found("shipment", order_id)
    return row


async def _supplied(database: Database, consignment: Row) -> list[SuppliedDocument]:
    skus = sorted({line["sku"] for line in consignment["facts"]["lines"]})
    rows = await database.fetch(
        "SELECT d.*, f.name AS file FROM document d LEFT JOIN document_file f USING (document_id)"
        " WHERE d.store_id = $1 AND (d.order_id = $2 OR (d.sku <> '' AND d.sku = ANY($3))) ORDER BY d.supplied_at LIMIT 500",
        consignment["store_id"],
        consignment["order_id"],
        skus,
    )
    return [
        SuppliedDocument(
            document_id=row["document_id"],
            type=row["type"],
            number=row["number"],
            issued_on=row["issued_on"],
            declared_value=_declared(row),
            identifiers=sorted(row["identifiers"]),
            file=row["file"],
            supplied_at=row["supplied_at"],
        )
        for row in rows
    ]


def _declared(row: Row) -> Money | None:
    return None if row["declared_amount"] is None else Money(row["declared_amount"], row["declared_currency"])


def _customs(row: Row, documents: list[SuppliedDocument]) -> CustomsOut:
    return CustomsOut(
        order_id=row["order_id"],
        number=row["facts"]["number"],
        destination=row["destination"],
        documents=documents,
        **row["papers"],
    )


def _summary(row: Row) -> dict[str, Any]:
    return {
        "order_id": row["order_id"],
        "shipment_id": derive_id("shp", row["order_id"]),
        "number": row["facts"]["number"],
        "state": row["state"],
        "destination": row["destination"],
        "papers": row["papers_status"],
        "trouble": row["trouble"],
        "placed_at": row["placed_at"],
        "changed_at": row["changed_at"],
        "booked_at": row["booked_at"],
        "dispatched_at": row["dispatched_at"],
        "delivered_at": row["delivered_at"],
    }
