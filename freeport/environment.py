"""The programs of the platform and the environment each is given: only what it needs, and only its own secrets."""

import json
import os
import sys
from pathlib import Path

from freeport.embedded.databases import ServiceDatabase
from freeport.layout import ROOT, SERVICES, Home, Ports
from freeport.processes import LOOPBACK, Program, base_environment
from freeport.secrets import Secrets
from shared.channels.config import load


def service_database(service: str, secrets: Secrets) -> ServiceDatabase:
    return ServiceDatabase(
        service=service,
        name=service,
        owner_password=secrets.owner_passwords[service],
        app_password=secrets.app_passwords[service],
    )


_PATIENCE = tuple(
    f"FREEPORT_ORDERS_{name}_AFTER_S" for name in ("ASK", "GIVE_UP", "ALARM", "PAYMENT_ASK", "PAYMENT_ALARM")
)


def admin_url(ports: Ports, secrets: Secrets) -> str:
    """The superuser's URL of the embedded PostgreSQL."""
    return f"postgresql://postgres:{secrets.postgres_password}@{LOOPBACK}:{ports.of('postgres')}/postgres"


def kafka_bootstrap(ports: Ports) -> str:
    return f"{LOOPBACK}:{ports.of('kafka')}"


def service_program(
    service: str, role: str, home: Home, ports: Ports, secrets: Secrets, *, replica: int = 1
) -> Program:
    """`python -m services.<service>.main <role>`; role is `all`, `api`, `worker` or `migrate`.

    Replicas share the database and the consumer group; each has a port, an instance name and a log of its own.
    """
    database = service_database(service, secrets)
    admin = admin_url(ports, secrets)
    env = {
        **_python(home),
        "FREEPORT_SERVICE": service,
        # Killed and started again under its name it goes on at once.
        "FREEPORT_INSTANCE": f"{service}-{replica}",
        "FREEPORT_HOST": LOOPBACK,
        "FREEPORT_PORT": str(ports.of(service, replica)),
        "FREEPORT_DATABASE_URL": database.app_url(admin),
        # Only who migrates may change tables.
        **({"FREEPORT_OWNER_DATABASE_URL": database.owner_url(admin)} if role == "migrate" else {}),
        "FREEPORT_KAFKA": kafka_bootstrap(ports),
        **{f"FREEPORT_{name.upper()}_URL": ports.url(name) for name in (*SERVICES, "provider", "carrier")},
        **_secrets_of(service, secrets),
        **(_channels(secrets) if service in ("inventory", "orders") and role != "migrate" else {}),
        # How long orders wait for whom, shortened where silence is tried out.
        **({name: os.environ[name] for name in _PATIENCE if name in os.environ} if service == "orders" else {}),
    }
    numbered = service if replica == 1 else f"{service}-{replica}"
    return Program(
        name=numbered if role == "all" else f"{numbered}-{role}",
        argv=(sys.executable, "-m", f"services.{service}.main", role),
        cwd=ROOT,
        log=home.log(numbered),
        env=env,
    )


def sandbox_program(sandbox: str, home: Home, ports: Ports, secrets: Secrets) -> Program:
    """`python -m freeport.sandbox.<sandbox>`, with the directory of its durable book."""
    own = {
        "provider": {
            "FREEPORT_PROVIDER_KEY": secrets.provider_key,
            "FREEPORT_PROVIDER_WEBHOOK_SECRET": secrets.provider_webhook_secret,
            "FREEPORT_PAYMENTS_URL": ports.url("payments"),
        },
        "carrier": {
            "FREEPORT_CARRIER_KEY": secrets.carrier_key,
            "FREEPORT_CARRIER_WEBHOOK_SECRET": secrets.carrier_webhook_secret,
            "FREEPORT_LOGISTICS_URL": ports.url("logistics"),
            # Parcels that travel by themselves: hours of their journey in a second. Off unless set.
            **{name: os.environ[name] for name in ("FREEPORT_CARRIER_SPEED",) if name in os.environ},
        },
        "market": {
            "FREEPORT_MARKET_KEY": secrets.market_key,
            "FREEPORT_MARKET_WEBHOOK_SECRET": secrets.market_webhook_secret,
            "FREEPORT_ORDERS_URL": ports.url("orders"),
        },
    }[sandbox]
    env = {
        **_python(home),
        "FREEPORT_HOST": LOOPBACK,
        "FREEPORT_PORT": str(ports.of(sandbox)),
        "FREEPORT_STATE_DIR": str(home.sandbox(sandbox)),
        **own,
    }
    return Program(
        name=sandbox,
        argv=(sys.executable, "-m", f"freeport.sandbox.{sandbox}"),
        cwd=ROOT,
        log=home.log(sandbox),
        env=env,
    )


def _python(home: Home) -> dict[str, str]:
    return {**base_environment(), "PYTHONUNBUFFERED": "1", "FREEPORT_HOME": str(home.directory)}


def _channels(secrets: Secrets) -> dict[str, str]:
    """The file of the channels and the credentials that it names; the sandbox marketplace's are our own."""
    path = os.environ.get("FREEPORT_CHANNELS_FILE")
    if not path:
        return {}
    named = {variable for each in load(Path(path)) for variable in each.variables}
    known = {
        **os.environ,
        "FREEPORT_MARKET_KEY": secrets.market_key,
        "FREEPORT_MARKET_WEBHOOK_SECRET": secrets.market_webhook_secret,
    }
    given = {variable: known[variable] for variable in named if variable in known}
    return {"FREEPORT_CHANNELS_FILE": str(Path(path).absolute()), **given}


def _secrets_of(service: str, secrets: Secrets) -> dict[str, str]:
    match service:
        case "payments":
            return {
                "FREEPORT_PROVIDER_KEY": secrets.provider_key,
                "FREEPORT_PROVIDER_WEBHOOK_SECRET": secrets.provider_webhook_secret,
            }
        case "logistics":
            return {
                "FREEPORT_CARRIER_KEY": secrets.carrier_key,
                "FREEPORT_CARRIER_WEBHOOK_SECRET": secrets.carrier_webhook_secret,
                "FREEPORT_INTERNAL_KEY": secrets.internal_key,
                "FREEPORT_QUOTE_PRIVATE_KEY": secrets.quote_private_key,
                "FREEPORT_QUOTE_KEY_ID": secrets.quote_key_id,
            }
        case "orders":
            return {
                "FREEPORT_PII_HASH_KEY": secrets.pii_hash_key,
                "FREEPORT_ORDERS_WEBHOOKS_ALLOW_LOCAL": "true",  # nobody but the owner of this machine has a key
                "FREEPORT_QUOTE_PUBLIC_KEYS": json.dumps({secrets.quote_key_id: secrets.quote_public_key}),
            }
        case _:
            return {}
