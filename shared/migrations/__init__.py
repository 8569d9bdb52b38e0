"""Bringing a service's database to the version of its code: first the kit's tables, then the service's own."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

_HERE = Path(__file__).parent
_LOCK = 0x66726565706F7274  # two processes that migrate the same database take turns


async def migrate(owner_url: str, *, service: str, versions: Path | None) -> None:
    """Run all missing migrations as the owner. `versions` is the service's own folder; None for the kit alone."""
    engine = create_async_engine(owner_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            await connection.run_sync(_upgrade, _HERE / "versions", "alembic_version_kit", service)
            if versions is not None:
                await connection.run_sync(_upgrade, versions, "alembic_version", service)
    finally:
        await engine.dispose()


def migrate_now(owner_url: str, *, service: str, versions: Path | None) -> None:
    """`migrate` for callers without a loop."""
    asyncio.run(migrate(owner_url, service=service, versions=versions))


def database_of(url: str) -> str:
    """The database's name in a URL."""
    return urlsplit(url).path.lstrip("/")


def _upgrade(connection: Connection, versions: Path, version_table: str, service: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", str(versions))
    config.attributes.update(connection=connection, version_table=version_table, service=service)
    command.upgrade(config, "head")
