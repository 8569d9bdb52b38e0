"""Risk's tables and what the application may not do to them."""

import asyncpg
import pytest

from services.risk.main import SERVICE
from services.risk.tables import metadata
from tests.fixtures.bench import BenchFactory
from tests.fixtures.schema import differences

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_that_are_described(service_bench: BenchFactory) -> None:
    assert await differences(await service_bench(SERVICE), metadata) == set()


@pytest.mark.parametrize("table", ["rule_set", "rule_set_activation"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET {} = 'x'"])
async def test_what_decided_and_who_chose_it_cannot_be_rewritten(
    service_bench: BenchFactory, table: str, statement: str
) -> None:
    bench = await service_bench(SERVICE)
    column = {"rule_set": "id", "rule_set_activation": "store_id"}[table]
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bench.database.execute(statement.format(table, column))
