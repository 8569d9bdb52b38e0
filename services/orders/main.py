"""Orders' composition root: `python -m services.orders.main api | worker | all | migrate`."""

from services.orders.api import internal, router
from services.orders.consumers import routes
from services.orders.metrics import keep_measuring
from services.orders.repository import load_book, save_book
from services.orders.settings import Settings
from shared.runtime import Service, run

SERVICE = Service(
    name="orders",
    settings=Settings,
    api=[router, internal],
    routes=routes,
    load=load_book,
    save=save_book,
    workers=[keep_measuring],
    package="services.orders",
)

if __name__ == "__main__":
    run(SERVICE)
