"""What logistics tells: whether the papers let the order across the border, and where the parcel is."""

from datetime import datetime
from enum import StrEnum

from shared.contracts.registry import Event, event
from shared.contracts.topics import CUSTOMS, SHIPMENT
from shared.contracts.values import Allocation, Parcel, Reason, ServiceLevel
from shared.money import Money


@event("logistics.customs.cleared.v1", topic=CUSTOMS, key="order_id")
class PapersCleared(Event):
    """Every rule in force for the lane is satisfied."""

    order_id: str
    rulebook: str  # the version that decided


@event("logistics.customs.held.v1", topic=CUSTOMS, key="order_id")
class PapersHeld(Event):
    """Something is missing; each finding says what would clear it. Sent again when the findings change."""

    order_id: str
    rulebook: str
    findings: tuple[Reason, ...]


@event("logistics.customs.prohibited.v1", topic=CUSTOMS, key="order_id")
class PapersProhibited(Event):
    """These goods may not go there at all."""

    order_id: str
    rulebook: str
    findings: tuple[Reason, ...]


class Mode(StrEnum):
    """How a parcel travels."""

    POST = "post"
    EXPRESS = "express"
    LINE = "line"  # a dedicated line: consolidated linehaul and local delivery
    DOMESTIC = "domestic"  # from a warehouse in the destination country


class TrackingStatus(StrEnum):
    """One vocabulary for every carrier."""

    LABEL_CREATED = "label_created"
    PICKED_UP = "picked_up"
    IN_TRANSIT = "in_transit"
    CUSTOMS = "customs"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery_failed"
    DAMAGED = "damaged"
    LOST = "lost"
    RETURNED = "returned"
    UNKNOWN = "unknown"


@event("logistics.shipment.booked.v1", topic=SHIPMENT, key="order_id")
class ShipmentBooked(Event):
    """Labels and papers are made; the parcels wait for hand-over."""

    order_id: str
    shipment_id: str
    carrier: str
    mode: Mode
    service: ServiceLevel
    cost: Money
    parcels: tuple[Parcel, ...]


@event("logistics.shipment.dispatched.v1", topic=SHIPMENT, key="order_id")
class ShipmentDispatched(Event):
    """Every parcel is in the carrier's hands: cards are captured, stock is consumed."""

    order_id: str
    shipment_id: str
    items: tuple[Allocation, ...]
    dispatched_at: datetime


@event("logistics.shipment.tracked.v1", topic=SHIPMENT, key="order_id")
class ShipmentTracked(Event):
    """A scan of one parcel."""

    order_id: str
    shipment_id: str
    tracking_number: str
    status: TrackingStatus
    scanned_at: datetime
    country: str = ""


@event("logistics.shipment.delivered.v1", topic=SHIPMENT, key="order_id")
class ShipmentDelivered(Event):
    """Every parcel is with the buyer."""

    order_id: str
    shipment_id: str
    delivered_at: datetime


@event("logistics.shipment.exception.v1", topic=SHIPMENT, key="order_id")
class ShipmentException(Event):
    """Something went wrong that may still end well: damaged, delivery failed, held by customs, nobody would carry it."""

    order_id: str
    shipment_id: str
    reason: Reason


@event("logistics.shipment.lost.v1", topic=SHIPMENT, key="order_id")
class ShipmentLost(Event):
    """The carrier gave a parcel up."""

    order_id: str
    shipment_id: str
    tracking_number: str


@event("logistics.shipment.cancelled.v1", topic=SHIPMENT, key="order_id")
class ShipmentCancelled(Event):
    """Nothing was handed over and nothing will be: label and declaration are void. Answers a cancellation request."""

    order_id: str


@event("logistics.shipment.cancellation_refused.v1", topic=SHIPMENT, key="order_id")
class CancellationRefused(Event):
    """Too late: the parcel is with the carrier. A return is the way."""

    order_id: str
    shipment_id: str
    reason: Reason


@event("logistics.shipment.return_parcel_arrived.v1", topic=SHIPMENT, key="order_id")
class ReturnParcelArrived(Event):
    """A parcel came back to a warehouse. Support decides what it is worth."""

    order_id: str
    return_id: str
    warehouse: str
    arrived_at: datetime
