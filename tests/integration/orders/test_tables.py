"""The migration makes the tables that tables.py describes, and nothing rewrites what happened."""

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.orders.tables import metadata
from shared.messaging import tables as kit
from tests.builders import orders as build
from tests.fixtures.bench import Bench

pytestmark = pytest.mark.integration


async def test_the_migration_makes_the_tables(bench: Bench) -> None:
    ours = set(metadata.tables)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: kind != "table" or name in ours,
            },
        )
        return compare_metadata(context, metadata)

    engine = create_async_engine(bench.place.owner_url.replace("postgresql://", "postgresql+asyncpg://", 1))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        checks = await connection.run_sync(_checks)
    await engine.dispose()
    described = {
        constraint.name for table in metadata.tables.values() for constraint in table.constraints if constraint.name
    }
    assert checks >= {str(name) for name in described if str(name).startswith("ck_")}
    assert ours.isdisjoint(kit.metadata.tables)


def _checks(connection: Connection) -> set[str]:
    rows = connection.exec_driver_sql("SELECT conname FROM pg_constraint WHERE contype = 'c'")
    return {row[0] for row in rows}


async def test_what_happened_cannot_be_rewritten(bench: Bench) -> None:
    async with bench.client as client:
        order_id = (await client.post("/v1/orders", json=build.order_json())).json()["id"]
    await bench.deliver(build.approved(order_id))
    for sql in ("UPDATE timeline_event SET type = 'x'", "DELETE FROM timeline_event", "DELETE FROM order_line"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await bench.database.execute(sql)
