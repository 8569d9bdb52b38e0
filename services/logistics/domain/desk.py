"""The working set: what a batch of messages touches."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.logistics.domain.carriers import CarrierBook
from services.logistics.domain.consignment import Consignment, OrderFacts
from services.logistics.domain.documents import Document, current
from services.logistics.domain.goods import Goods, Product
from services.logistics.domain.papers import Paper, Seller
from services.logistics.domain.parcels import ReturnParcel, Scan
from services.logistics.domain.rules import Rulebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who gets a shipment. Kept apart from everything else, so that it can be erased."""

    order_id: str
    name: str
    email: str
    phone: str
    address: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The file of a supplied document."""

    document_id: str
    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Whose a tracking number or reference is: a parcel of an order, or a returning parcel."""

    order_id: str
    parcel_id: str = ""
    return_id: str = ""


@dataclass(frozen=True, slots=True)
class Stray:
    """A scan of a parcel that nobody knows, yet."""

    scan: Scan
    since: datetime


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything that the messages of a batch may read or change, and what they changed."""

    rulebook: Rulebook
    carriers: CarrierBook
    seller: Seller
    consignments: dict[str, Consignment] = field(default_factory=dict[str, Consignment])
    products: dict[str, Product] = field(default_factory=dict[str, Product])
    order_documents: dict[str, list[Document]] = field(default_factory=dict[str, list[Document]])
    sku_documents: dict[tuple[str, str], list[Document]] = field(default_factory=dict[tuple[str, str], list[Document]])
    returns: dict[str, ReturnParcel] = field(default_factory=dict[str, ReturnParcel])
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    strays: dict[str, Stray] = field(default_factory=dict[str, Stray])
    rulebook_stored: bool = True
    more: dict[str, str] = field(default_factory=dict[str, str])
    """By SKU the last held order that was loaded, where there are more behind it."""

    new: set[str] = field(default_factory=set[str])
    touched: set[str] = field(default_factory=set[str])
    new_products: set[str] = field(default_factory=set[str])
    touched_returns: set[str] = field(default_factory=set[str])
    new_documents: list[Document] = field(default_factory=list[Document])
    uploads: list[Upload] = field(default_factory=list[Upload])
    recipients: dict[str, Recipient] = field(default_factory=dict[str, Recipient])
    papers: list[Paper] = field(default_factory=list[Paper])
    scans: list[tuple[Place, Scan]] = field(default_factory=list[tuple[Place, Scan]])
    new_strays: set[str] = field(default_factory=set[str])
    found_strays: set[str] = field(default_factory=set[str])
    erased: set[str] = field(default_factory=set[str])
    _by_sku: dict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))

    def seat(self, consignments: Iterable[Consignment]) -> None:
        """Take loaded consignments in."""
        for consignment in consignments:
            self._seat(consignment)

    def accept(self, facts: OrderFacts) -> Consignment:
        """A new order."""
        consignment = Consignment(facts=facts)
        self._seat(consignment)
        self.new.add(facts.order_id)
        return consignment

    def take(self, order_id: str) -> Consignment:
        """The consignment of an order, to be changed. Raises LookupError: orders' stream begins with the placing."""
        self.touched.add(order_id)
        return self.consignments[order_id]

    def held_with(self, sku: str) -> list[Consignment]:
        """The loaded consignments that are held for their papers and contain a SKU, oldest first."""
        orders = sorted(self._by_sku.get(sku, ()))
        return [self.consignments[order_id] for order_id in orders if self.consignments[order_id].held]

    def documents_of(self, facts: OrderFacts) -> tuple[Document, ...]:
        """The papers supplied for an order or for its SKUs that count."""
        for_skus = [each for sku in facts.skus for each in self.sku_documents.get((facts.store_id, sku), ())]
        return current((*self.order_documents.get(facts.order_id, ()), *for_skus))

    def supply(self, document: Document, upload: Upload | None) -> None:
        """Take a document in."""
        if document.order_id:
            self.order_documents.setdefault(document.order_id, []).append(document)
        else:
            self.sku_documents.setdefault((document.store_id, document.sku), []).append(document)
        self.new_documents.append(document)
        if upload is not None:
            self.uploads.append(upload)

    def learn(self, product: Product) -> bool:
        """Take a newer version of a product in. False for an older one."""
        known = self.products.get(product.sku)
        if known is not None and known.version >= product.version:
            return False
        self.products[product.sku] = product
        self.new_products.add(product.sku)
        return True

    def goods(self, wanted: Sequence[tuple[str, int]]) -> tuple[Goods, ...]:
        """Goods by (sku, quantity), of unknown products too."""
        return tuple(
            Goods(product=self.products.get(sku) or Product(sku=sku), quantity=quantity) for sku, quantity in wanted
        )

    def _seat(self, consignment: Consignment) -> None:
        self.consignments[consignment.order_id] = consignment
        for sku in consignment.facts.skus:
            self._by_sku[sku].add(consignment.order_id)
