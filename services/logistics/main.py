"""Logistics' composition root: `python -m services.logistics.main api | worker | all | migrate`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from services.logistics.api import router, webhooks
from services.logistics.consumers import routes
from services.logistics.domain import calls
from services.logistics.gateways.carrier import Carrier
from services.logistics.gateways.orders import Recipients
from services.logistics.holds import watch_holds
from services.logistics.repository import load_desk, save_desk
from services.logistics.settings import Settings
from shared.database import Database
from shared.messaging.workers import Gateways
from shared.runtime import Service, run

_TIMEOUT_S = 10.0  # below the kit's patience, so that an answer too late is unknown here first
_POOL = 2  # the carrier's gateway reads what goes on labels


@asynccontextmanager
async def outside(settings: Settings) -> AsyncGenerator[Gateways]:
    """The carrier, and orders for names and addresses."""
    async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
        database = await Database.connect(
            settings.database_url.get_secret_value(), pool_size=_POOL, application_name="logistics-carrier"
        )
        try:
            carrier = Carrier(client, database, url=settings.carrier_url, key=settings.carrier_key.get_secret_value())
            recipients = Recipients(client, url=settings.orders_url, key=settings.internal_key.get_secret_value())
            yield {
                calls.RECIPIENT: recipients.fetch,
                calls.LABEL: carrier.label,
                calls.FIND_LABEL: carrier.find,
                calls.VOID_LABEL: carrier.void,
                calls.RETURN_LABEL: carrier.return_label,
                calls.FIND_RETURN_LABEL: carrier.find,
            }
        finally:
            await database.close()


SERVICE = Service(
    name="logistics",
    settings=Settings,
    api=[router, webhooks],
    routes=routes,
    load=load_desk,
    save=save_desk,
    outside=outside,
    workers=(watch_holds,),
    package=__package__ or "services.logistics",
)

if __name__ == "__main__":
    run(SERVICE)
