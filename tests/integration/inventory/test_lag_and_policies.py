"""How late a channel hears is measured by the feed, and the buffer of its policy grows with it before it is fenced."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.inventory import feed_health
from services.inventory.domain.feed import ChannelKey, ChannelState, Limits
from tests.fixtures.bench import STORE, Bench

pytestmark = pytest.mark.integration

BAZAAR = ChannelKey(STORE, "bazaar")
LIMITS = Limits(calls_per_s=5, batch_size=10, objective_s=30)
Adjust = Callable[..., Awaitable[dict[str, Any]]]

_BEHIND = "UPDATE channel_offer SET sent_version = 1, sent_quantity = 50, urgency = 1, waiting_since = now() - make_interval(secs => $1)"
_CAUGHT_UP = "UPDATE channel_offer SET acked_version = version, acked_quantity = quantity"


async def announced(bench: Bench) -> int:
    """How many rounds of announcing all stock were due."""
    rounds = 0
    while await bench.due("stock.announce"):
        rounds += 1
    return rounds


async def connected(bench: Bench, adjust: Adjust, policy: dict[str, Any]) -> None:
    response = await bench.client.put("/v1/channels/bazaar", json=policy)
    assert response.status_code == 200, response.text
    await feed_health.connect(bench.database, {BAZAAR: LIMITS})
    await adjust("receipt", MUG=50)
    await announced(bench)


async def wanted(bench: Bench) -> int:
    return await bench.database.fetchval("SELECT wanted FROM channel_offer")


async def judged(bench: Bench) -> ChannelState:
    return (await feed_health.judge_channel(bench.database, BAZAAR, LIMITS)).state


@pytest.mark.parametrize(
    ("policy", "prompt", "late"),
    [({"buffer": 4}, 46, 42), ({"buffer": None, "units_per_s": 0.3}, 50 - 9 - 9, 50 - 18 - 13)],
)
async def test_a_buffer_grows_with_the_measured_lag_and_shrinks_when_the_channel_has_been_prompt(
    bench: Bench, adjust: Adjust, policy: dict[str, Any], prompt: int, late: int
) -> None:
    await connected(bench, adjust, policy)
    assert await wanted(bench) == prompt
    await bench.database.execute(_BEHIND, 50)
    assert await judged(bench) is ChannelState.LATE
    assert await announced(bench) == 1
    assert await wanted(bench) == late
    assert await judged(bench) is ChannelState.LATE
    assert await announced(bench) == 0  # the lag is the same: nothing is told again

    await bench.database.execute(_CAUGHT_UP)
    assert await judged(bench) is ChannelState.OPEN
    assert await wanted(bench) == late
    await bench.database.execute("UPDATE channel_health SET since = now() - interval '301 s'")
    assert await judged(bench) is ChannelState.OPEN
    assert await announced(bench) == 1
    assert await wanted(bench) == prompt


async def test_the_lag_of_a_channel_that_keeps_nothing_back_is_told_to_nobody(bench: Bench, adjust: Adjust) -> None:
    await connected(bench, adjust, {"buffer": 0})
    await bench.database.execute(_BEHIND, 50)
    assert await judged(bench) is ChannelState.LATE
    assert await bench.database.fetchval("SELECT lag_s FROM channel_health") == 60
    assert await announced(bench) == 0


async def test_the_buffer_of_a_single_sku_grows_too(bench: Bench, adjust: Adjust) -> None:
    await connected(bench, adjust, {"buffer": 0, "skus": {"MUG": 4}})
    await bench.database.execute(_BEHIND, 100)
    await judged(bench)
    assert await announced(bench) == 1
    assert await wanted(bench) == 50 - 16


async def test_a_channel_that_is_not_connected_any_more_has_its_plain_buffer(bench: Bench, adjust: Adjust) -> None:
    await connected(bench, adjust, {"buffer": 4})
    await bench.database.execute(_BEHIND, 50)
    await judged(bench)
    await feed_health.connect(bench.database, {})
    shown = (await bench.client.get("/v1/stock/MUG")).json()["channels"]
    assert shown[0] == {"channel": "bazaar", "available": 46, "buffer": 4}
