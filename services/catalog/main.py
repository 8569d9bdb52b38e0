"""Catalog's composition root: `python -m services.catalog.main api | worker | all | migrate`."""

from services.catalog.api import router
from services.catalog.consumers import routes
from services.catalog.repository import load_catalog, save_catalog
from services.catalog.settings import Settings
from shared.runtime import Service, run

SERVICE = Service(
    name="catalog", settings=Settings, api=[router], routes=routes, load=load_catalog, save=save_catalog, package=__package__ or "services.catalog",
)  # fmt: skip

if __name__ == "__main__":
    run(SERVICE)
