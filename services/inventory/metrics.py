"""What inventory counts for Prometheus."""

from prometheus_client import Counter

from services.inventory.domain.reservation import Status

RESERVATIONS = Counter(
    "freeport_stock_reservations_total",
    "Reservations by what became of them; refused and waiting are oversells that did not happen.",
    ("outcome",),
)
for _status in Status:
    if _status is not Status.UNSEEN:
        RESERVATIONS.labels(_status)
