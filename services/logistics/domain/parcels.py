"""A parcel, its label and its way."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.contracts.logistics import Mode, TrackingStatus
from shared.contracts.values import Allocation, Parcel, ReturnLine
from shared.money import Money


class Label(StrEnum):
    """What is known about a parcel's label."""

    ORDERED = "ordered"  # asked for; whether it exists is not known
    MADE = "made"
    REFUSED = "refused"
    VOIDING = "voiding"  # to be taken back; whether it was is not known
    VOID = "void"


# The carrier's last word beats every other, and a parcel that was given up and turns up is there after all.
_ENDS = {TrackingStatus.LOST: 1, TrackingStatus.RETURNED: 2, TrackingStatus.DELIVERED: 3}
_ORDER = {status: place for place, status in enumerate(TrackingStatus)}  # for scans of the same instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a carrier says it saw. `word` is the carrier's own."""

    webhook_id: str
    carrier: str
    tracking_number: str
    reference: str  # what we called the parcel when we asked for the label; empty where the carrier does not say
    word: str
    status: TrackingStatus
    scanned_at: datetime
    country: str = ""


@dataclass(slots=True, kw_only=True)
class Way:
    """Where a parcel is: the greatest of its scans, so that their order of arrival does not matter.

    Scans are compared by the carrier's clock; an end (lost, returned, delivered) is greater than every other.
    """

    status: TrackingStatus = TrackingStatus.LABEL_CREATED
    scanned_at: datetime | None = None
    taken: bool = False  # the carrier said that it has the parcel, before any scan did

    def take(self, scan: Scan) -> bool:
        """Note a scan. True when it is news: greater than all before."""
        if scan.status is TrackingStatus.UNKNOWN or self._key(scan.status, scan.scanned_at) <= self._own_key():
            return False
        self.status, self.scanned_at = scan.status, scan.scanned_at
        return True

    @property
    def handed_over(self) -> bool:
        """Whether the carrier has, or had, the parcel: its word or any scan says so."""
        return self.taken or self.status is not TrackingStatus.LABEL_CREATED

    def _own_key(self) -> tuple[int, float, int]:
        if self.scanned_at is None:
            return (-1, 0.0, 0)
        return self._key(self.status, self.scanned_at)

    @staticmethod
    def _key(status: TrackingStatus, at: datetime) -> tuple[int, float, int]:
        return (
            _ENDS.get(status, 0 if status is not TrackingStatus.LABEL_CREATED else -1),
            at.timestamp(),
            _ORDER[status],
        )


@dataclass(slots=True, kw_only=True)
class Box:
    """One parcel of a shipment: from one warehouse, with one label at a time."""

    parcel_id: str
    warehouse: str
    country: str
    items: tuple[Allocation, ...]
    gross_grams: int
    carrier: str
    service: str
    mode: Mode
    cost: Money
    label: Label = Label.ORDERED
    attempt: int = 1
    tracking_number: str = ""
    labelled_at: datetime | None = None
    way: Way

    @property
    def label_key(self) -> str:
        """The idempotency key of its label: the parcel id, and a number once a label was void."""
        return self.parcel_id if self.attempt == 1 else f"{self.parcel_id}.{self.attempt}"

    @property
    def exists(self) -> bool:
        """Whether a label exists, or may exist."""
        return self.label in (Label.ORDERED, Label.MADE, Label.VOIDING)

    def told(self) -> Parcel:
        """The parcel as events tell of it."""
        return Parcel(
            parcel_id=self.parcel_id,
            warehouse=self.warehouse,
            tracking_number=self.tracking_number,
            weight_grams=self.gross_grams,
            items=self.items,
        )


class ReturnState(StrEnum):
    """How far a returning parcel is."""

    AWAITING = "awaiting"  # where it goes back to is not known yet
    ORDERED = "ordered"
    LABELLED = "labelled"
    REFUSED = "refused"
    ARRIVED = "arrived"


@dataclass(slots=True, kw_only=True)
class ReturnParcel:
    """A parcel on its way back, to the warehouse that its goods came from."""

    return_id: str
    order_id: str
    lines: tuple[ReturnLine, ...]
    warehouse: str = ""
    country: str = ""
    grams: int = 0
    state: ReturnState = ReturnState.AWAITING
    carrier: str = ""
    tracking_number: str = ""
    way: Way
