import asyncpg
import pytest

from services.catalog.main import SERVICE
from services.catalog.tables import metadata
from tests.fixtures.bench import BenchFactory
from tests.fixtures.schema import differences

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_that_are_described(service_bench: BenchFactory) -> None:
    assert await differences(await service_bench(SERVICE), metadata) == set()


async def test_a_difference_would_be_seen(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    connection = await asyncpg.connect(bench.place.owner_url)
    await connection.execute("ALTER TABLE product ALTER COLUMN weight_grams TYPE bigint")
    await connection.execute("ALTER TABLE product DROP CONSTRAINT ck_product_version")
    await connection.close()
    assert len(await differences(bench, metadata)) == 3
