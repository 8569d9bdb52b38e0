"""Where counters, ledger and holds disagree, it shows (saleor #5334, magento2 #25653: nobody could say what was held for whom)."""

import asyncpg
import pytest

from tests.builders.inventory import placed
from tests.fixtures.bench import Bench
from tests.integration.inventory.conftest import Stock

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("spoil", "shown"),
    [
        ("UPDATE stock_level SET on_hand = on_hand + 1", (6, 2, 5, 2, 2)),
        ("UPDATE stock_level SET reserved = reserved - 1", (5, 1, 5, 2, 2)),
        ("UPDATE reservation SET status = 'released'", (5, 2, 5, 2, 0)),
        ("DELETE FROM movement WHERE kind = 'reserved'", (5, 2, 5, 0, 2)),
    ],
    ids=["a counter too high", "a promise forgotten", "a hold lost", "an entry lost"],
)
async def test_every_way_to_disagree_is_shown(
    bench: Bench, adjust: Stock, spoil: str, shown: tuple[int, int, int, int, int]
) -> None:
    await adjust("receipt", MUG=5)
    await bench.deliver(placed(1, {"MUG": 2}))
    assert await bench.database.fetch("SELECT * FROM stock_discrepancy") == []
    owner = await asyncpg.connect(bench.place.owner_url)  # the application could not do all of it
    await owner.execute(spoil)
    await owner.close()
    (row,) = await bench.database.fetch(
        "SELECT on_hand, reserved, ledger_on_hand, ledger_reserved, held FROM stock_discrepancy"
    )
    assert tuple(row) == shown
