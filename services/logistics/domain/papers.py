"""Commercial invoice and packing list as data, frozen when the shipment is booked. They name no buyer: he is kept apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from services.logistics.domain.consignment import Consignment
from services.logistics.domain.goods import Product
from services.logistics.domain.parcels import Box
from shared.contracts.values import OrderLine
from shared.ids import derive_id
from shared.money import Money


class PaperKind(StrEnum):
    """The papers that are made here."""

    COMMERCIAL_INVOICE = "commercial_invoice"
    PACKING_LIST = "packing_list"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """Who sends the goods, as papers name it."""

    name: str
    line1: str
    city: str
    postcode: str
    country: str
    tax_id: str = ""
    eori: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A paper's data. Rendering it later gives the same paper."""

    document_id: str
    order_id: str
    kind: PaperKind
    number: str
    data: dict[str, Any]
    frozen_at: datetime


def make_papers(
    consignment: Consignment, products: Mapping[str, Product], seller: Seller, at: datetime
) -> tuple[Paper, Paper]:
    """The commercial invoice and the packing list of a shipment whose parcels are planned."""
    return (
        _paper(consignment, PaperKind.COMMERCIAL_INVOICE, "INV", _invoice(consignment, products, seller), at),
        _paper(consignment, PaperKind.PACKING_LIST, "PKL", _packing_list(consignment, products, seller), at),
    )


def _paper(consignment: Consignment, kind: PaperKind, prefix: str, data: dict[str, Any], at: datetime) -> Paper:
    number = f"{prefix}-{consignment.facts.number}"
    shared = {
        "number": number,
        "date": at.date().isoformat(),
        "order_number": consignment.facts.number,
        "destination": consignment.facts.destination.country,
    }
    return Paper(
        document_id=derive_id("doc", consignment.order_id, kind),
        order_id=consignment.order_id,
        kind=kind,
        number=number,
        data=shared | data,
        frozen_at=at,
    )


def _invoice(consignment: Consignment, products: Mapping[str, Product], seller: Seller) -> dict[str, Any]:
    facts = consignment.facts
    lines = [_invoice_line(line, _of(products, line.sku)) for line in facts.lines]
    totals = facts.totals
    return {
        "seller": _seller(seller),
        "incoterm": facts.incoterm.value,
        "currency": totals.total.currency,
        "lines": lines,
        "totals": {
            name: _money(getattr(totals, name)) for name in ("goods", "shipping", "duties", "taxes", "fees", "total")
        },
        "net_grams": sum(line["net_grams"] for line in lines),
        "gross_grams": sum(box.gross_grams for box in consignment.boxes),
        "parcels": len(consignment.boxes),
    }


def _invoice_line(line: OrderLine, product: Product) -> dict[str, Any]:
    return {
        "line": line.line,
        "sku": line.sku,
        "description": product.description,
        "hs_code": product.hs_code,
        "origin": product.origin_country,
        "quantity": line.quantity,
        "unit_value": _money(line.unit_price),
        "line_value": _money(line.total),
        "net_grams": product.weight_grams * line.quantity,
    }


def _packing_list(consignment: Consignment, products: Mapping[str, Product], seller: Seller) -> dict[str, Any]:
    return {"seller": _seller(seller), "parcels": [_packed(box, products) for box in consignment.boxes]}


def _packed(box: Box, products: Mapping[str, Product]) -> dict[str, Any]:
    items: list[dict[str, Any]] = [
        {
            "sku": item.sku,
            "description": _of(products, item.sku).description,
            "hs_code": _of(products, item.sku).hs_code,
            "origin": _of(products, item.sku).origin_country,
            "quantity": item.quantity,
            "net_grams": _of(products, item.sku).weight_grams * item.quantity,
        }
        for item in box.items
    ]
    return {
        "parcel_id": box.parcel_id,
        "warehouse": box.warehouse,
        "country": box.country,
        "items": items,
        "net_grams": sum(item["net_grams"] for item in items),
        "gross_grams": box.gross_grams,
    }


def _of(products: Mapping[str, Product], sku: str) -> Product:
    return products.get(sku) or Product(sku=sku)


def _seller(seller: Seller) -> dict[str, str]:
    return {
        "name": seller.name,
        "line1": seller.line1,
        "city": seller.city,
        "postcode": seller.postcode,
        "country": seller.country,
        "tax_id": seller.tax_id,
        "eori": seller.eori,
    }


def _money(money: Money) -> dict[str, str]:
    return {"amount": str(money.amount), "currency": money.currency}
