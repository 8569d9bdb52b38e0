"""Payments as a process: `python -m services.payments.main api | worker | all | migrate`."""

from services.payments.api import router, webhooks
from services.payments.consumers import routes
from services.payments.counters import count_payments
from services.payments.gateways.sandbox import sandbox_provider
from services.payments.repository import load_books, save_books
from services.payments.settings import Settings
from shared.runtime import Service, run

SERVICE = Service(
    name="payments",
    settings=Settings,
    api=[router, webhooks],
    routes=routes,
    load=load_books,
    save=save_books,
    count=count_payments,
    outside=sandbox_provider,
    package=__package__ or "services.payments",
)

if __name__ == "__main__":
    run(SERVICE)
