"""The tables, and what the application may not do to them."""

import asyncpg
import pytest

from services.inventory.main import SERVICE
from services.inventory.tables import metadata
from tests.fixtures.bench import BenchFactory
from tests.fixtures.schema import differences

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_that_are_described(service_bench: BenchFactory) -> None:
    assert await differences(await service_bench(SERVICE), metadata) == set()


@pytest.mark.parametrize("table", ["movement", "adjustment"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET warehouse = 'X'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_application_cannot_change_the_ledger(
    service_bench: BenchFactory, table: str, statement: str
) -> None:
    bench = await service_bench(SERVICE)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await bench.database.execute(statement.format(table))


@pytest.mark.parametrize(("on_hand", "reserved"), [(1, 2), (1, -1), (-1, -1)])
async def test_the_database_itself_refuses_to_promise_what_is_not_there(
    service_bench: BenchFactory, on_hand: int, reserved: int
) -> None:
    bench = await service_bench(SERVICE)
    await bench.database.execute("INSERT INTO stock_item (sku) VALUES ('MUG')")
    await bench.database.execute(
        "INSERT INTO warehouse (code, store_id, kind, country) VALUES ('BER', 's', 'home', 'DE')"
    )
    with pytest.raises(asyncpg.CheckViolationError):
        await bench.database.execute("INSERT INTO stock_level VALUES ('MUG', 'BER', $1, $2)", on_hand, reserved)
