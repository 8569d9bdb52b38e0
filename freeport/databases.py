"""The services' databases: made where missing, migrated where their code changed, the API keys written in."""

import asyncio
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from freeport.embedded.databases import ServiceDatabase, ensure_database
from freeport.embedded.postgres import last_line
from freeport.environment import admin_url, service_database, service_program
from freeport.errors import StartupError
from freeport.layout import ROOT, Home, Ports
from freeport.processes import halt, launch
from freeport.secrets import ApiKey, Secrets, api_keys


async def prepare_databases(services: Sequence[str], home: Home, ports: Ports, secrets: Secrets) -> list[str]:
    """Create, migrate, write the API keys; gives the services that were migrated."""
    admin = admin_url(ports, secrets)
    databases = [service_database(service, secrets) for service in services]
    for database in databases:
        await ensure_database(admin, database)
    migrated = await _migrate_changed(databases, home, ports, secrets)
    await asyncio.gather(*(write_api_keys(database.owner_url(admin), api_keys(secrets)) for database in databases))
    return migrated


async def write_api_keys(owner_url: str, keys: Sequence[ApiKey]) -> None:
    """Put the keys' hashes into the service's `api_key` table; what is there stays (a revoked key stays revoked)."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.executemany(
            "INSERT INTO api_key (key_hash, prefix, store_id, scopes) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            [(key.key_hash, key.prefix, key.store_id, list(key.scopes)) for key in keys],
        )
    finally:
        await connection.close()


async def _migrate_changed(
    databases: Sequence[ServiceDatabase], home: Home, ports: Ports, secrets: Secrets
) -> list[str]:
    """Seven Python starts are seconds on two cores: a service whose migrations are as they were is left out."""
    known: dict[str, str] = json.loads(home.migrated.read_text()) if home.migrated.exists() else {}
    prints = {database.service: fingerprint(database.service) for database in databases}
    admin = admin_url(ports, secrets)
    due = [
        database.service
        for database in databases
        if known.get(database.service) != prints[database.service] or not await _has_tables(database.owner_url(admin))
    ]
    at_once = asyncio.Semaphore(os.cpu_count() or 1)
    await asyncio.gather(*(_migrate(service, home, ports, secrets, at_once) for service in due))
    home.migrated.write_text(json.dumps(known | prints, indent=2))
    return due


async def _migrate(service: str, home: Home, ports: Ports, secrets: Secrets, at_once: asyncio.Semaphore) -> None:
    program = service_program(service, "migrate", home, ports, secrets)
    async with at_once:
        process = launch(program)
        try:
            code = await asyncio.to_thread(process.wait)
        finally:
            halt(process)
    if code:
        raise StartupError(
            f"The database of {service} could not be migrated",
            why=f"its migration ended with code {code}: {last_line(program.log)}",
            fix=f"See {program.log}",
        )


async def _has_tables(owner_url: str) -> bool:
    connection = await asyncpg.connect(owner_url)
    try:
        return await connection.fetchval("SELECT to_regclass('api_key')") is not None
    finally:
        await connection.close()


def fingerprint(service: str, root: Path = ROOT) -> str:
    """A hash of all the code that a migration of the service may run: its own migrations and tables, and the kit."""
    own = root / "services" / service
    files = [*(own / "migrations").rglob("*.py"), own / "tables.py", *(root / "shared").rglob("*.py")]
    digest = hashlib.sha256()
    for file in sorted(path for path in files if path.exists()):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
