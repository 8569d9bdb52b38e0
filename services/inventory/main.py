"""Inventory's composition root: `python -m services.inventory.main api | worker | all | migrate`."""

from services.inventory.api import router
from services.inventory.consumers import routes
from services.inventory.counts_api import router as counts
from services.inventory.drift import keep_reconciling
from services.inventory.drift_api import router as drift
from services.inventory.feed_api import router as feed
from services.inventory.feed_connections import feed_channels
from services.inventory.metrics import count_reservations
from services.inventory.policies_api import router as policies
from services.inventory.repository import load_shelves, save_shelves
from services.inventory.settings import Settings
from services.inventory.transfers_api import router as transfers
from shared.runtime import Service, run

SERVICE = Service(
    name="inventory",
    settings=Settings,
    api=[counts, drift, feed, policies, transfers, router],
    routes=routes,
    load=load_shelves,
    save=save_shelves,
    count=count_reservations,
    workers=(feed_channels, keep_reconciling),
    package=__package__ or "services.inventory",
)

if __name__ == "__main__":
    run(SERVICE)
