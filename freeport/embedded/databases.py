"""A database per service: an owner role that migrates, and an application role that only reads and writes rows."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDatabase:
    """A database `name` with the roles `<service>_owner` and `<service>_app`."""

    service: str
    name: str
    owner_password: str
    app_password: str

    @property
    def owner(self) -> str:
        return f"{self.service}_owner"

    @property
    def app(self) -> str:
        return f"{self.service}_app"

    def owner_url(self, admin_url: str) -> str:
        return _as(admin_url, self.owner, self.owner_password, self.name)

    def app_url(self, admin_url: str) -> str:
        return _as(admin_url, self.app, self.app_password, self.name)


async def ensure_database(admin_url: str, database: ServiceDatabase) -> None:
    """Create the roles and the database where missing; set passwords and privileges anew. Safe to repeat.

    The application role gets rows of tables and values of sequences by default privilege; a migration takes away
    what it must not have (UPDATE and DELETE on a ledger).
    """
    admin = await asyncpg.connect(admin_url)
    try:
        await _ensure_role(admin, database.owner, database.owner_password)
        await _ensure_role(admin, database.app, database.app_password)
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database.name):
            await admin.execute(f"CREATE DATABASE {_name(database.name)} OWNER {_name(database.owner)}")
        await admin.execute(
            f"REVOKE ALL ON DATABASE {_name(database.name)} FROM PUBLIC;"
            f"GRANT CONNECT ON DATABASE {_name(database.name)} TO {_name(database.app)}"
        )
    finally:
        await admin.close()
    await _grant_by_default(database, admin_url)


async def _grant_by_default(database: ServiceDatabase, admin_url: str) -> None:
    owner = await asyncpg.connect(database.owner_url(admin_url))
    try:
        await owner.execute(
            f"GRANT USAGE ON SCHEMA public TO {_name(database.app)};"
            f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {_name(database.app)};"
            f"ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {_name(database.app)}"
        )
    finally:
        await owner.close()


async def _ensure_role(admin: asyncpg.Connection[asyncpg.Record], role: str, password: str) -> None:
    verb = "ALTER" if await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role) else "CREATE"
    literal = await admin.fetchval("SELECT quote_literal($1::text)", password)
    await admin.execute(f"{verb} ROLE {_name(role)} LOGIN PASSWORD {literal}")


def _name(identifier: str) -> str:
    """Quoted as an SQL identifier; our names are our own, this is only belt and braces."""
    return '"' + identifier.replace('"', '""') + '"'


def _as(url: str, user: str, password: str, database: str) -> str:
    parts = urlsplit(url)
    place = f"{user}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
    return urlunsplit((parts.scheme, place, f"/{database}", "", ""))
