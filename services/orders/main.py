"""Orders' composition root: `python -m services.orders.main api | worker | all | migrate`."""

from services.orders.api import internal, router
from services.orders.channels import read_channels, told_channels
from services.orders.channels_api import router as notices
from services.orders.consumers import routes
from services.orders.metrics import count_decisions, keep_measuring
from services.orders.repository import load_book, save_book
from services.orders.settings import Settings
from services.orders.webhook_worker import keep_webhooks, send_webhooks
from services.orders.webhooks_api import router as webhooks
from shared.runtime import Service, run

SERVICE = Service(
    name="orders",
    settings=Settings,
    api=[router, webhooks, notices, internal],
    routes=routes,
    load=load_book,
    save=save_book,
    count=count_decisions,
    outside=told_channels,
    workers=[keep_measuring, send_webhooks, keep_webhooks, read_channels],
    package="services.orders",
)

if __name__ == "__main__":
    run(SERVICE)
