"""From rows to what the domain works with, written out."""

from typing import Any

from pydantic import TypeAdapter

from services.logistics.domain.consignment import Consignment, OrderFacts, Papers
from services.logistics.domain.desk import Stray
from services.logistics.domain.documents import Document, DocumentType
from services.logistics.domain.goods import Product
from services.logistics.domain.handover import State
from services.logistics.domain.parcels import Box, Label, ReturnParcel, ReturnState, Scan, Way
from shared.contracts.logistics import Mode, TrackingStatus
from shared.contracts.values import Allocation, GoodsFlag, Reason, ReturnLine
from shared.database import Row
from shared.jsonable import dumps
from shared.money import Money

_FACTS = TypeAdapter(OrderFacts)
_PAPERS = TypeAdapter(Papers)
_ALLOCATIONS = TypeAdapter(tuple[Allocation, ...])
_RETURN_LINES = TypeAdapter(tuple[ReturnLine, ...])
_REASON = TypeAdapter(Reason | None)
_SCAN = TypeAdapter(Scan)


def json_text(value: Any) -> str:
    """JSON for an array parameter: `unnest` would flatten lists inside of an array, so they travel as text."""
    return dumps(value).decode()


def consignment_from(row: Row) -> Consignment:
    """A consignment, its parcels still missing."""
    return Consignment(
        facts=_FACTS.validate_python(row["facts"]),
        state=State(row["state"]),
        papers=_PAPERS.validate_python(row["papers"]),
        allocations=_ALLOCATIONS.validate_python(row["allocations"]),
        trouble=_REASON.validate_python(row["trouble"]),
        round_=row["round"],
        booked_at=row["booked_at"],
        dispatched_at=row["dispatched_at"],
        delivered_at=row["delivered_at"],
    )


def box_from(row: Row) -> Box:
    return Box(
        parcel_id=row["parcel_id"],
        warehouse=row["warehouse"],
        country=row["country"],
        items=_ALLOCATIONS.validate_python(row["items"]),
        gross_grams=row["gross_grams"],
        carrier=row["carrier"],
        service=row["service"],
        mode=Mode(row["mode"]),
        cost=Money(row["cost_amount"], row["cost_currency"]),
        label=Label(row["label"]),
        attempt=row["attempt"],
        tracking_number=row["tracking_number"],
        labelled_at=row["labelled_at"],
        way=Way(status=TrackingStatus(row["status"]), scanned_at=row["scanned_at"], taken=row["taken"]),
    )


def return_from(row: Row) -> ReturnParcel:
    return ReturnParcel(
        return_id=row["return_id"],
        order_id=row["order_id"],
        lines=_RETURN_LINES.validate_python(row["lines"]),
        warehouse=row["warehouse"],
        country=row["country"],
        grams=row["grams"],
        state=ReturnState(row["state"]),
        carrier=row["carrier"],
        tracking_number=row["tracking_number"],
        way=Way(status=TrackingStatus(row["status"]), scanned_at=row["scanned_at"]),
    )


def product_from(row: Row) -> Product:
    return Product(
        sku=row["sku"],
        version=row["version"],
        titles=row["titles"],
        category=row["category"],
        hs_code=row["hs_code"],
        origin_country=row["origin_country"],
        weight_grams=row["weight_grams"],
        flags=tuple(GoodsFlag(flag) for flag in row["flags"]),
        claims_preference=row["claims_preference"],
        withdrawn=row["withdrawn"],
        store_id=row["store_id"],
    )


def document_from(row: Row) -> Document:
    declared = row["declared_amount"]
    return Document(
        document_id=row["document_id"],
        store_id=row["store_id"],
        type=DocumentType(row["type"]),
        order_id=row["order_id"],
        sku=row["sku"],
        number=row["number"],
        issued_on=row["issued_on"],
        declared_value=None if declared is None else Money(declared, row["declared_currency"]),
        identifiers=row["identifiers"],
        supplied_at=row["supplied_at"],
    )


def stray_from(row: Row) -> Stray:
    return Stray(_SCAN.validate_python(row["scan"]), row["since"])
