import pytest

from services.logistics.main import SERVICE
from services.logistics.tables import metadata
from tests.fixtures.bench import BenchFactory
from tests.fixtures.schema import differences

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_that_are_described(service_bench: BenchFactory) -> None:
    assert await differences(await service_bench(SERVICE), metadata) == set()
