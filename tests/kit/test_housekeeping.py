"""What has had its time is deleted, however much of it there is."""

import pytest

from shared import runtime
from tests.fixtures.bench import BenchFactory
from tests.kit.till.main import SERVICE

pytestmark = pytest.mark.integration


async def test_of_a_busy_day_no_old_answer_is_left_and_every_young_one(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    await bench.database.execute(
        "INSERT INTO idempotency_key (scope, key, fingerprint, status, headers, body, created_at)"
        " SELECT 's', n::text, '', 201, '{}', '', now() - CASE WHEN n <= $1 THEN interval '73 hours' ELSE interval '71 hours' END"
        " FROM generate_series(1, $1 + 2) AS n",
        2 * runtime._BITE + 1,
    )
    await runtime.forget(bench.database)
    assert await bench.database.fetchval("SELECT count(*) FROM idempotency_key") == 2
