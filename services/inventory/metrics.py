"""What inventory counts for Prometheus."""

from prometheus_client import Counter

from services.inventory.domain.reservation import Status
from services.inventory.domain.shelves import Shelves

RESERVATIONS = Counter(
    "freeport_stock_reservations_total",
    "Reservations by what became of them; refused and waiting are oversells that did not happen.",
    ("outcome",),
)
for _status in Status:
    if _status is not Status.UNSEEN:
        RESERVATIONS.labels(_status)


def count_reservations(shelves: Shelves) -> None:
    """What became of the reservations of a batch, once it is committed."""
    for reservation in shelves.reservations.values():
        if reservation.changed and reservation.status is not reservation.stored_as:
            RESERVATIONS.labels(reservation.status).inc()
