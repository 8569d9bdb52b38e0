"""Logistics' rows in memory: stands for the repository in the batching property."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from services.logistics.books import carrier_book, rulebook
from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk, Place, Stray
from services.logistics.domain.documents import Document
from services.logistics.domain.goods import Product
from services.logistics.domain.parcels import ReturnParcel, Scan
from shared.messaging.message import Message
from tests.builders.logistics import SELLER


class MemoryStore:
    """It loads everything for every batch, which is allowed: a working set may hold more than it needs."""

    def __init__(self) -> None:
        self.consignments: dict[str, Consignment] = {}
        self.products: dict[str, Product] = {}
        self.documents: list[Document] = []
        self.returns: dict[str, ReturnParcel] = {}
        self.strays: dict[str, Stray] = {}
        self.scans: dict[str, Scan] = {}
        self.people: set[str] = set()

    def load(self, messages: Sequence[Message]) -> Desk:
        desk = Desk(rulebook=rulebook(), carriers=carrier_book(), seller=SELLER)
        desk.seat(deepcopy(list(self.consignments.values())))
        desk.products = dict(self.products)
        desk.returns = deepcopy(self.returns)
        desk.strays = dict(self.strays)
        for document in self.documents:
            if document.order_id:
                desk.order_documents.setdefault(document.order_id, []).append(document)
            else:
                desk.sku_documents.setdefault((document.store_id, document.sku), []).append(document)
        for consignment in self.consignments.values():
            for box in consignment.boxes:
                desk.places[box.parcel_id] = desk.places[box.tracking_number or box.parcel_id] = Place(
                    consignment.order_id, box.parcel_id
                )
        for parcel in self.returns.values():
            desk.places[parcel.return_id] = Place(parcel.order_id, return_id=parcel.return_id)
        return desk

    def save(self, state: Desk) -> None:
        for order_id in state.new | state.touched:
            self.consignments[order_id] = state.consignments[order_id]
        self.products |= {sku: state.products[sku] for sku in state.new_products}
        self.returns |= {return_id: state.returns[return_id] for return_id in state.touched_returns}
        self.documents.extend(state.new_documents)
        self.strays |= {webhook_id: state.strays[webhook_id] for webhook_id in state.new_strays}
        for webhook_id in state.found_strays:
            self.strays.pop(webhook_id, None)
        self.scans |= {scan.webhook_id: scan for _, scan in state.scans}
        self.people = (self.people | set(state.recipients)) - state.erased

    def rows(self) -> Any:
        return (
            {order_id: asdict(each) for order_id, each in sorted(self.consignments.items())},
            self.products,
            sorted(self.documents, key=lambda document: document.document_id),
            self.returns,
            self.strays,
            self.scans,
            self.people,
        )
