"""Support's composition root: `python -m services.support.main api | worker | all | migrate`."""

from services.support.api import router
from services.support.consumers import routes
from services.support.metrics import keep_measuring
from services.support.repository import load_cases, save_cases
from services.support.settings import Settings
from shared.runtime import Service, run

SERVICE = Service(
    name="support",
    settings=Settings,
    api=[router],
    routes=routes,
    load=load_cases,
    save=save_cases,
    workers=(keep_measuring,),
    package=__package__ or "services.support",
)

if __name__ == "__main__":
    run(SERVICE)
