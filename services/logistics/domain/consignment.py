"""What is to be shipped for one order: its papers, its parcels, and how far they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.logistics.domain import calls
from services.logistics.domain.documents import Document
from services.logistics.domain.goods import Goods, Product
from services.logistics.domain.handover import TABLE, Act, Signal, State
from services.logistics.domain.parcels import Box, Label, Scan
from services.logistics.domain.rules import Finding, Outcome, Shipment, customs_territory
from shared.contracts.logistics import (
    CancellationRefused,
    Mode,
    PapersCleared,
    PapersHeld,
    PapersProhibited,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentException,
    ShipmentLost,
    ShipmentTracked,
    TrackingStatus,
)
from shared.contracts.orders import OrderPlaced
from shared.contracts.registry import Event
from shared.contracts.values import Allocation, Destination, Incoterm, OrderLine, OrderTotals, Reason, ServiceLevel
from shared.effects import Effect
from shared.ids import derive_id
from shared.money import Money, total

_TROUBLES: Mapping[TrackingStatus, str] = {
    TrackingStatus.DAMAGED: "the carrier reports damage",
    TrackingStatus.DELIVERY_FAILED: "nobody took the parcel in",
    TrackingStatus.RETURNED: "the parcel went back to its sender",
}
_MOST_TOLD = 100
_UNSETTLED = (State.AWAITING, State.ADDRESSING, State.VOIDING, State.CANCELLED)
"""States that do not follow from the parcels."""


class PapersStatus(StrEnum):
    """What the rules say."""

    CLEARED = "cleared"
    HELD = "held"
    PROHIBITED = "prohibited"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """What orders told when the order was placed. It never changes."""

    order_id: str
    number: str
    store_id: str
    market: str
    placed_at: datetime
    lines: tuple[OrderLine, ...]
    totals: OrderTotals
    destination: Destination
    incoterm: Incoterm
    service: ServiceLevel

    @classmethod
    def of(cls, placed: OrderPlaced) -> "OrderFacts":
        return cls(
            order_id=placed.order_id,
            number=placed.number,
            store_id=placed.store_id,
            market=placed.market,
            placed_at=placed.placed_at,
            lines=placed.lines,
            totals=placed.totals,
            destination=placed.destination,
            incoterm=placed.incoterm,
            service=placed.service,
        )

    @property
    def skus(self) -> tuple[str, ...]:
        """What was bought, without repetition, sorted."""
        return tuple(sorted({line.sku for line in self.lines}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Papers:
    """The last word about the papers, and the version of the rule book that spoke it."""

    status: PapersStatus
    findings: tuple[Reason, ...]
    rulebook: str
    assessed_at: datetime


@dataclass(slots=True, kw_only=True)
class Consignment:
    """The aggregate of an order in logistics. Its state moves by the table in handover.py alone."""

    facts: OrderFacts
    state: State = State.AWAITING
    papers: Papers | None = None
    allocations: tuple[Allocation, ...] = ()
    boxes: list[Box] = field(default_factory=list[Box])
    trouble: Reason | None = None
    round_: int = 0  # how often booking began
    booked_at: datetime | None = None
    dispatched_at: datetime | None = None
    delivered_at: datetime | None = None

    @property
    def order_id(self) -> str:
        return self.facts.order_id

    @property
    def shipment_id(self) -> str:
        return derive_id("shp", self.order_id)

    def answer(self, signal: Signal) -> Act:
        """What this shipment does about a signal in its state."""
        return TABLE[self.state, signal]

    @property
    def held(self) -> bool:
        """Whether a document or a catalog change may clear it."""
        return self.state is State.AWAITING and self.papers is not None and self.papers.status is PapersStatus.HELD

    # ── papers ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def crossing(
        self, products: Mapping[str, Product], documents: Sequence[Document], modes: frozenset[Mode]
    ) -> Shipment:
        """What of the order crosses a border. While its warehouses are unknown all of it is taken to come from abroad."""
        if self.allocations:
            home = customs_territory(self.facts.destination.country)
            abroad = [each for each in self.allocations if customs_territory(each.country) != home]
            units = Counter[str]()
            for allocation in abroad:
                units[allocation.sku] += allocation.quantity
        else:
            units = Counter[str]()
            for line in self.facts.lines:
                units[line.sku] += line.quantity
        currency = self.facts.totals.goods.currency
        return Shipment(
            destination=self.facts.destination,
            goods=tuple(Goods(product=_product(products, sku), quantity=units[sku]) for sku in sorted(units)),
            value=self.facts.totals.goods,
            invoiced=total((line.total for line in self.facts.lines), currency),
            documents=tuple(documents),
            modes=modes,
        )

    def take_papers(self, findings: Sequence[Finding], rulebook: str, at: datetime) -> list[Event]:
        """Note what the rules say. Told when it is news: another status, or other findings."""
        prohibited = tuple(each.reason for each in findings if each.outcome is Outcome.PROHIBIT)
        reasons = prohibited or tuple(each.reason for each in findings)
        status = PapersStatus.PROHIBITED if prohibited else PapersStatus.HELD if reasons else PapersStatus.CLEARED
        before = self.papers
        self.papers = Papers(status=status, findings=reasons, rulebook=rulebook, assessed_at=at)
        if before is not None and (before.status, before.findings) == (status, reasons):
            return []
        return self.tell_papers()

    def tell_papers(self) -> list[Event]:
        """The last word about the papers, as others hear it; nothing before they were judged."""
        if self.papers is None:
            return []
        rulebook, told = self.papers.rulebook, _told(self.papers.findings)
        match self.papers.status:
            case PapersStatus.CLEARED:
                return [PapersCleared(order_id=self.order_id, rulebook=rulebook)]
            case PapersStatus.HELD:
                return [PapersHeld(order_id=self.order_id, rulebook=rulebook, findings=told)]
            case PapersStatus.PROHIBITED:
                return [PapersProhibited(order_id=self.order_id, rulebook=rulebook, findings=told)]

    # ── booking ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def proceed(self) -> list[Effect]:
        """Begin to book once the order is confirmed and its papers are clear."""
        clear = self.papers is not None and self.papers.status is PapersStatus.CLEARED
        if self.state is not State.AWAITING or not self.allocations or not clear:
            return []
        return self.begin()

    def begin(self) -> list[Effect]:
        """Fetch name and address; booking goes on when they are here."""
        self.state = State.ADDRESSING
        self.round_ += 1
        self.trouble = None
        return [calls.call(calls.RECIPIENT, self.order_id, self.order_id, round_=1, booking=self.round_)]

    def plan(self, allocations: tuple[Allocation, ...]) -> None:
        """Note where the goods are, unless parcels were made of them already."""
        if not self.boxes:
            self.allocations = allocations

    def order_labels(self, boxes: Sequence[Box]) -> list[Effect]:
        """Ask for a label of every parcel that has none."""
        known = {box.parcel_id for box in self.boxes}
        self.boxes.extend(box for box in boxes if box.parcel_id not in known)
        self.state = State.LABELLING
        effects: list[Effect] = []
        for box in self.boxes:
            if box.label is Label.REFUSED:
                effects.append(self._renew(box))
            elif box.label is Label.ORDERED:
                effects.append(self.label_call(box))
        return effects

    def label_call(self, box: Box) -> Effect:
        """The call that buys the label of a parcel."""
        return calls.call(calls.LABEL, self.order_id, box.label_key, parcel=box.parcel_id)

    def stick(self, reason: Reason) -> list[Effect]:
        """It does not go on by itself; say why, once."""
        before, self.trouble, self.state = self.trouble, reason, State.STUCK
        if before == reason:
            return []
        return [ShipmentException(order_id=self.order_id, shipment_id=self.shipment_id, reason=reason)]

    def take_label(self, box: Box, tracking_number: str, at: datetime) -> list[Effect]:
        """Note a label; booked when it was the last that was missing."""
        box.label, box.tracking_number, box.labelled_at = Label.MADE, tracking_number, at
        return self.settle(at)

    def renew(self, box: Box) -> list[Effect]:
        """The label was void after all: make another."""
        return [self._renew(box)]

    def _renew(self, box: Box) -> Effect:
        box.attempt += 1
        box.label, box.tracking_number, box.labelled_at = Label.ORDERED, "", None
        self.booked_at = None  # the parcels that were told are not those that will go
        return self.label_call(box)

    # ── cancelling ────────────────────────────────────────────────────────────────────────────────────────────────────

    def cancel(self) -> list[Effect]:
        """Nothing was made that must be undone."""
        self.state, self.trouble = State.CANCELLED, None
        return [ShipmentCancelled(order_id=self.order_id)]

    def undo(self) -> list[Effect]:
        """Take the labels back, unless a parcel is with the carrier already."""
        if any(box.way.handed_over for box in self.boxes):
            return self.refuse()
        if not any(box.exists for box in self.boxes):
            return self.cancel()
        self.state = State.VOIDING
        return [self.void_label(box) for box in self.boxes if box.label is Label.MADE]

    def void_label(self, box: Box) -> Effect:
        """Ask the carrier to take a label back."""
        box.label = Label.VOIDING
        return calls.call(
            calls.VOID_LABEL, self.order_id, box.label_key, parcel=box.parcel_id, tracking_number=box.tracking_number
        )

    def count(self, box: Box, label: Label) -> list[Effect]:
        """One label less; cancelled when it was the last."""
        box.label = label
        if self.state is State.VOIDING and not any(each.exists for each in self.boxes):
            return self.cancel()
        return []

    def refuse(self) -> list[Effect]:
        """Too late."""
        reason = Reason(
            code="shipment.handed_over",
            message="the parcel is with the carrier",
            clears_with="a return once it is delivered",
        )
        return [CancellationRefused(order_id=self.order_id, shipment_id=self.shipment_id, reason=reason)]

    def turn_back(self, box: Box, at: datetime) -> list[Effect]:
        """The carrier has this parcel, so all of them go: refuse, and label again what is void."""
        box.label, box.way.taken = Label.MADE, True
        self.state = State.LABELLING
        renewed = [self._renew(each) for each in self.boxes if each.label in (Label.VOID, Label.REFUSED)]
        return [*self.refuse(), *renewed, *self.settle(at)]

    def keep(self, box: Box, at: datetime) -> list[Effect]:
        """The label that was to be void still counts."""
        box.label, box.way.taken = Label.MADE, True
        return self.settle(at)

    # ── on the way ────────────────────────────────────────────────────────────────────────────────────────────────────

    def track(self, box: Box, scan: Scan, at: datetime) -> list[Effect]:
        """Note a scan and what follows: dispatched, delivered, lost, trouble."""
        if not box.way.take(scan):
            return []
        effects: list[Effect] = [self.scanned(scan)]
        if box.label is Label.ORDERED and box.way.handed_over:  # the scan overtook the answer about the label
            box.label, box.tracking_number, box.labelled_at = Label.MADE, scan.tracking_number, at
        if self.state is State.VOIDING and box.way.handed_over:
            effects += self.turn_back(box, at)
        effects += self.settle(at)
        if scan.status is TrackingStatus.LOST:
            effects.append(
                ShipmentLost(order_id=self.order_id, shipment_id=self.shipment_id, tracking_number=scan.tracking_number)
            )
        if scan.status in _TROUBLES:
            effects.append(self._exception(scan))
        return effects

    def scanned(self, scan: Scan) -> ShipmentTracked:
        """The scan as it is told."""
        return ShipmentTracked(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            tracking_number=scan.tracking_number,
            status=scan.status,
            scanned_at=scan.scanned_at,
            country=scan.country,
        )

    def _exception(self, scan: Scan) -> ShipmentException:
        reason = Reason(
            code=f"parcel.{scan.status}",
            message=_TROUBLES[scan.status],
            subject=scan.tracking_number,
            source=scan.carrier,
        )
        return ShipmentException(order_id=self.order_id, shipment_id=self.shipment_id, reason=reason)

    def settle(self, at: datetime) -> list[Effect]:
        """The state that follows from the parcels, once every one of them has its label, and what is told on reaching it."""
        if self.state in _UNSETTLED or any(box.label is not Label.MADE for box in self.boxes):
            return []
        effects: list[Effect] = []
        if self.booked_at is None:
            self.booked_at, self.trouble = at, None
            effects.append(self._booked())
        self.state = self._state()
        if self.dispatched_at is None and all(box.way.handed_over for box in self.boxes):
            self.dispatched_at = max(box.way.scanned_at or at for box in self.boxes)
            effects.append(
                ShipmentDispatched(
                    order_id=self.order_id,
                    shipment_id=self.shipment_id,
                    items=tuple(item for box in self.boxes for item in box.items),
                    dispatched_at=self.dispatched_at,
                )
            )
        if self.delivered_at is None and self.state is State.DELIVERED:
            self.delivered_at = max(box.way.scanned_at or at for box in self.boxes)
            effects.append(
                ShipmentDelivered(order_id=self.order_id, shipment_id=self.shipment_id, delivered_at=self.delivered_at)
            )
        return effects

    def _state(self) -> State:
        ways = [box.way for box in self.boxes]
        if any(way.status is TrackingStatus.LOST for way in ways):
            return State.LOST
        if all(way.status is TrackingStatus.DELIVERED for way in ways):
            return State.DELIVERED
        return State.DISPATCHED if all(way.handed_over for way in ways) else State.BOOKED

    def _booked(self) -> ShipmentBooked:
        heaviest = max(self.boxes, key=lambda box: (box.gross_grams, box.parcel_id))
        return ShipmentBooked(
            order_id=self.order_id,
            shipment_id=self.shipment_id,
            carrier=heaviest.carrier,
            mode=heaviest.mode,
            service=self.facts.service,
            cost=self.cost,
            parcels=tuple(box.told() for box in self.boxes),
        )

    @property
    def cost(self) -> Money:
        """What the carrier asks for all parcels."""
        return total((box.cost for box in self.boxes), self.boxes[0].cost.currency)

    def box_of_parcel(self, parcel_id: str) -> Box:
        """The parcel of that id. Raises LookupError."""
        for box in self.boxes:
            if box.parcel_id == parcel_id:
                return box
        raise LookupError(f"order {self.order_id} has no parcel {parcel_id}")


def _told(findings: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """What an event tells of the findings: all, or of very many the first and how many more there are.

    An invoice of two thousand unclassified lines has more to say than an event may hold; `GET /v1/customs` has it all.
    """
    if len(findings) <= _MOST_TOLD:
        return findings
    more = len(findings) - _MOST_TOLD
    rest = Reason(
        code="papers.more_findings", message=f"and {more} findings more", clears_with=findings[-1].clears_with
    )
    return (*findings[:_MOST_TOLD], rest)


def _product(products: Mapping[str, Product], sku: str) -> Product:
    """The product, or what is known of one that the catalog never told of: nothing."""
    return products.get(sku) or Product(sku=sku)
