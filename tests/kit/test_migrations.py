"""What the migration makes is what the tables say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from shared.messaging import tables
from shared.migrations import migrate
from tests.fixtures.embedded import RunningPostgres

pytestmark = pytest.mark.integration


async def test_the_kits_migration_makes_the_kits_tables_and_a_second_run_changes_nothing(
    postgres: RunningPostgres,
) -> None:
    place = await postgres.create_database("till")
    await migrate(place.owner_url, service="till", versions=None)
    await migrate(place.owner_url, service="till", versions=None)
    engine = create_async_engine(place.owner_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences, tables.metadata) == []
    await engine.dispose()


def _differences(connection: Connection, metadata: MetaData) -> list[object]:
    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or not (name or "").startswith("alembic_version")

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": ours})
    return list(compare_metadata(context, metadata))
