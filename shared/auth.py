"""API keys: a bearer key a store, stored as a hash, with scopes. A store sees only what is its own."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.database import Connection, Database

OPERATIONS = "operations"
"""The area of scopes of those who run the platform. It is no store's, so that `*` does not have it."""

_CACHE_S = 5.0
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: a store's key with its scopes. `*` is every scope that a store can have."""

    store_id: str
    key_prefix: str
    scopes: frozenset[str]

    def can(self, scope: str) -> bool:
        """Whether the key has the scope, or all of its area (`orders:*`), or all."""
        area = scope.partition(":")[0]
        enough = {scope, f"{area}:*"} if area == OPERATIONS else {scope, f"{area}:*", "*"}
        return bool(self.scopes & enough)


def new_key(*, live: bool = False) -> str:
    """A fresh secret key. It is shown once; the database keeps its hash."""
    return f"sk_{'live' if live else 'test'}_{secrets.token_urlsafe(24)}"


def hash_key(key: str) -> str:
    """What is stored. The key is random, so a fast hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


async def add_key(connection: Connection, key: str, store_id: str, scopes: Sequence[str]) -> None:
    """Register a key; again is harmless."""
    await connection.execute(
        "INSERT INTO api_key (key_hash, prefix, store_id, scopes) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (key_hash) DO UPDATE SET store_id = $3, scopes = $4, revoked_at = NULL",
        hash_key(key),
        key[:12],
        store_id,
        list(scopes),
    )


class Keys:
    """The keys of one service's database, remembered for some seconds: a revoked key dies within them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Principal | None]] = {}
        self._asking: dict[str, asyncio.Task[Principal | None]] = {}

    async def find(self, key: str) -> Principal | None:
        """The principal of a key, or None where there is none or it is revoked."""
        hashed = hash_key(key)
        known = self._known.get(hashed)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        # Many requests of one store come at once: one asks for all, or the pool would be full of the same question.
        asking = self._asking.get(hashed)
        if asking is None:
            asking = self._asking[hashed] = asyncio.create_task(self._ask(hashed))
            asking.add_done_callback(lambda _: self._asking.pop(hashed, None))
        return await asyncio.shield(asking)

    async def _ask(self, hashed: str) -> Principal | None:
        row = await self._database.fetchrow(
            "SELECT store_id, prefix, scopes FROM api_key WHERE key_hash = $1 AND revoked_at IS NULL", hashed
        )
        principal = None if row is None else Principal(row["store_id"], row["prefix"], frozenset(row["scopes"]))
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[hashed] = (time.monotonic() + _CACHE_S, principal)
        return principal
