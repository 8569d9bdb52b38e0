"""Risk as a process: `python -m services.risk.main api | worker | all | migrate`."""

from services.risk.api import router
from services.risk.consumers import routes
from services.risk.housekeeping import watch_reviews
from services.risk.metrics import count_decisions
from services.risk.repository import load_casework, save_casework
from services.risk.settings import Settings
from shared.runtime import Service, run

SERVICE = Service(
    name="risk",
    settings=Settings,
    api=[router],
    routes=routes,
    load=load_casework,
    save=save_casework,
    count=count_decisions,
    workers=(watch_reviews,),
    package=__package__ or "services.risk",
)

if __name__ == "__main__":
    run(SERVICE)
