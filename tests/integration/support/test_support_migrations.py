"""A database of an earlier version comes over with every sum as it was."""

import json
import shutil
from pathlib import Path

import asyncpg
import pytest

from services.support.domain.money_back import KnownRefunds
from services.support.main import SERVICE
from shared.database import Connection
from shared.ids import new_id
from shared.migrations import migrate
from tests.fixtures.embedded import RunningPostgres

pytestmark = pytest.mark.integration


async def test_what_was_refunded_before_is_counted_as_before(postgres: RunningPostgres, tmp_path: Path) -> None:
    order, untouched, claim = new_id("ord"), new_id("ord"), new_id("ret")
    place = await postgres.create_database("support")
    shutil.copy(SERVICE.versions() / "0001_first.py", tmp_path)
    await migrate(place.owner_url, service="support", versions=tmp_path)
    owner = await asyncpg.connect(place.owner_url)
    for order_id, outside in ((order, 700), (untouched, 0)):
        await owner.execute(
            "INSERT INTO purchase (order_id, store_id, number, channel, market, destination, lines, shipped, shipped_from,"
            " refunded_outside) VALUES ($1, '', '', '', '', '', '[]', '{}', '{}', $2)",
            order_id,
            outside,
        )
    await owner.execute(
        "INSERT INTO return_case (id, order_id, store_id, state, restock, refund, send_back, currency, promised_amount,"
        " refunded_amount, requested_at) VALUES ($1, $2, '', 'received', 'none', 'failed', true, 'EUR', 500, 300, now())",
        claim,
        order,
    )
    await migrate(place.owner_url, service="support", versions=SERVICE.versions())
    was = await _refunds(owner, order)
    assert was.beside_returns() == 700
    assert (was.of(claim).paid, was.of(claim).under_way) == (300, 0)
    assert (await _refunds(owner, untouched)).by_id == {}
    assert await owner.fetchval("SELECT under_way_amount FROM return_case") == 0
    await owner.close()


async def _refunds(owner: Connection, order_id: str) -> KnownRefunds:
    text = await owner.fetchval("SELECT refunds::text FROM purchase WHERE order_id = $1", order_id)
    return KnownRefunds.of_document(json.loads(text))
