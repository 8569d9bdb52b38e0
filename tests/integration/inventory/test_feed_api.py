"""What the API shows of a connected channel."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.inventory import feed_health
from services.inventory.domain.feed import ChannelKey, Limits
from services.inventory.feed_offers import Outcome, claim_updates, settle_updates
from tests.fixtures.bench import OTHER_STORE, STORE, Bench

pytestmark = pytest.mark.integration

BAZAAR = ChannelKey(STORE, "bazaar")
LIMITS = Limits(calls_per_s=5, batch_size=10, objective_s=30)
Adjust = Callable[..., Awaitable[dict[str, Any]]]


async def get(bench: Bench, path: str, store: str = STORE, **query: Any) -> tuple[int, Any]:
    response = await bench.client_of(store).get(f"/v1/channels/{path}", params=query)
    return response.status_code, response.json()


async def test_a_channel_shows_how_it_answers_and_what_it_was_offered(bench: Bench, adjust: Adjust) -> None:
    await feed_health.connect(bench.database, {BAZAAR: LIMITS})
    await adjust("receipt", BAD=2, CUP=3)
    claim = await claim_updates(bench.database, BAZAAR, LIMITS)
    await adjust("receipt", MUG=5)
    said = {"BAD": ("refused", "no_listing", "no such listing"), "CUP": ("applied", "", "")}
    outcomes = [Outcome(one.sku, one.version, said[one.sku][0], one.claim, *said[one.sku][1:]) for one in claim.updates]  # pyright: ignore[reportArgumentType]
    await settle_updates(bench.database, BAZAAR, outcomes, sent_at=claim.at, patience_s=90)

    status, feed = await get(bench, "bazaar/feed")
    assert status == 200
    assert (feed["state"], feed["lag_s"], feed["offers"], feed["pending"], feed["refused"]) == ("open", 30, 3, 2, 1)

    _, every = await get(bench, "bazaar/offers")
    assert [(o["sku"], o["quantity"], o["acknowledged_quantity"]) for o in every["data"]] == [
        ("BAD", 2, None),
        ("CUP", 3, 3),
        ("MUG", 5, None),
    ]
    _, pending = await get(bench, "bazaar/offers", state="pending")
    assert [offer["sku"] for offer in pending["data"]] == ["BAD", "MUG"]
    _, refused = await get(bench, "bazaar/offers", state="refused")
    assert [(offer["sku"], offer["refused_code"]) for offer in refused["data"]] == [("BAD", "no_listing")]
    assert refused["data"][0]["next_try_at"]


async def test_offers_come_page_by_page(bench: Bench, adjust: Adjust) -> None:
    await feed_health.connect(bench.database, {BAZAAR: LIMITS})
    await adjust("receipt", A=1, B=1, C=1)
    _, first = await get(bench, "bazaar/offers", limit=2)
    _, second = await get(bench, "bazaar/offers", limit=2, after=first["next"])
    assert [offer["sku"] for offer in first["data"] + second["data"]] == ["A", "B", "C"]


@pytest.mark.parametrize("path", ["bazaar/feed", "bazaar/offers"])
async def test_another_stores_channel_is_not_there(bench: Bench, path: str) -> None:
    await feed_health.connect(bench.database, {BAZAAR: LIMITS})
    assert (await get(bench, path))[0] == 200
    status, problem = await get(bench, path, OTHER_STORE)
    assert (status, problem["code"]) == (404, "channel.not_found")
