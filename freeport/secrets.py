"""The platform's secrets: random, made at the first start, kept in `.freeport/secrets.json` (mode 0600)."""

import base64
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from freeport.layout import SERVICES

STORE = "str_demo"
OTHER_STORE = "str_other"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # nothing secret in a traceback or a log
class Secrets:
    """Every secret of one embedded platform; `environment.py` decides which process gets which."""

    postgres_password: str
    owner_passwords: dict[str, str]
    app_passwords: dict[str, str]
    test_key: str
    """API key of the store `str_demo`, all scopes."""
    other_key: str
    """API key of a second store, `str_other`, all scopes."""
    internal_key: str
    operator_key: str
    """API key of those who run the platform: `operations`, which no store's key can do."""
    provider_key: str
    provider_webhook_secret: str
    carrier_key: str
    carrier_webhook_secret: str
    market_key: str
    market_webhook_secret: str
    pii_hash_key: str
    quote_key_id: str
    quote_private_key: str
    quote_public_key: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A row of a service's table `api_key`: the SHA-256 of the key (hex), what is shown of it, whose it is, what it may do."""

    key_hash: str
    prefix: str
    store_id: str
    scopes: tuple[str, ...]


def load_or_create(path: Path) -> Secrets:
    """What the file holds; a new set, written to it, when there is none. What an older release did not know yet is added."""
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    complete = asdict(_new()) | kept
    if complete != kept:
        unfinished = path.with_suffix(".new")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(complete, file, indent=2)
        unfinished.replace(path)
    return Secrets(**complete)


def load(path: Path) -> Secrets:
    """Raises FileNotFoundError before the first start. A secret that an older release did not make is empty."""
    kept: dict[str, Any] = json.loads(path.read_text())
    return Secrets(**{field.name: kept.get(field.name, "") for field in fields(Secrets)})


def api_keys(of: Secrets) -> list[ApiKey]:
    """The keys that every service knows after its migration."""
    return [
        _api_key(of.test_key, STORE, "*"),
        _api_key(of.other_key, OTHER_STORE, "*"),
        _api_key(of.internal_key, "str_internal", "internal:recipients"),
        _api_key(of.operator_key, "str_operator", "operations:*"),
    ]


def _api_key(key: str, store_id: str, scope: str) -> ApiKey:
    return ApiKey(hashlib.sha256(key.encode()).hexdigest(), key[:12], store_id, (scope,))


def _new() -> Secrets:
    quote = Ed25519PrivateKey.generate()
    return Secrets(
        postgres_password=secrets.token_urlsafe(24),
        owner_passwords={service: secrets.token_urlsafe(24) for service in SERVICES},
        app_passwords={service: secrets.token_urlsafe(24) for service in SERVICES},
        test_key=f"sk_test_{secrets.token_hex(16)}",
        other_key=f"sk_test_{secrets.token_hex(16)}",
        internal_key=f"sk_int_{secrets.token_hex(16)}",
        operator_key=f"sk_op_{secrets.token_hex(16)}",
        provider_key=f"sk_provider_{secrets.token_hex(16)}",
        provider_webhook_secret=_webhook_secret(),
        carrier_key=f"sk_carrier_{secrets.token_hex(16)}",
        carrier_webhook_secret=_webhook_secret(),
        market_key=f"sk_market_{secrets.token_hex(16)}",
        market_webhook_secret=_webhook_secret(),
        pii_hash_key=secrets.token_hex(32),
        quote_key_id=f"quote-{secrets.token_hex(4)}",
        quote_private_key=_base64url(quote.private_bytes_raw()),
        quote_public_key=_base64url(quote.public_key().public_bytes_raw()),
    )


def _webhook_secret() -> str:
    """As Standard Webhooks writes it: `whsec_` and 24 to 64 random bytes in base64."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
