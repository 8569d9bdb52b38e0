"""Both sides of a channel are compared: asked for by a row, page after page, until they are equal, whoever dies in between."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from services.inventory import feed_health
from services.inventory.domain.feed import Limits
from services.inventory.feed_offers import CLAIM_S, Outcome, claim_updates, settle_updates
from services.inventory.feed_requests import ask, take_page
from services.inventory.feed_resync import MOST_PASSES, compare_page
from services.inventory.feed_worker import ChannelFeed
from shared.channels.port import ChannelRefused, ChannelSilent, StockPage
from tests.fixtures.bench import OTHER_STORE, Bench
from tests.integration.inventory.test_feed import (
    BAZAAR,
    QUICK,
    Bazaar,
    available,
    connect,
    shows,
    telling,
    until,
)

pytestmark = pytest.mark.integration

Adjust = Callable[..., Awaitable[dict[str, Any]]]


class Restored(Bazaar):
    """A channel that can be set back behind our back, and whose pages can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.cursors: list[str | None] = []
        self.trouble: dict[str | None, list[Exception]] = {}
        """What a page answers first, by its cursor."""

    def set_back(self, **quantities: int) -> None:
        """It shows these now, under versions of its own, newer than ours."""
        for sku, quantity in quantities.items():
            self.shown[sku] = self.shown[sku][0] + 1000, quantity

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        self.cursors.append(cursor)
        if waiting := self.trouble.get(cursor):
            raise waiting.pop(0)
        return await super().read_stock(cursor)


async def told(bench: Bench, adjust: Adjust, **units: int) -> Restored:
    """A channel that shows all of our stock."""
    await connect(bench)
    await adjust("receipt", **units)
    bazaar = Restored()
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
    return bazaar


async def post(bench: Bench, *, dry_run: bool, store: str = "str_demo", channel: str = "bazaar") -> tuple[int, Any]:
    response = await bench.client_of(store).post(f"/v1/channels/{channel}/resync", json={"dry_run": dry_run})
    if response.status_code == 202:
        looked = await bench.client_of(store).get(response.headers["Location"])
        assert looked.json() == response.json()
    return response.status_code, response.json()


async def seen(bench: Bench, *, dry_run: bool = False) -> dict[str, Any]:
    answer = await bench.client.get("/v1/channels/bazaar/resync", params={"dry_run": dry_run})
    assert answer.status_code == 200, answer.text
    return answer.json()


def finished(bench: Bench, *, dry_run: bool = False) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return (await seen(bench, dry_run=dry_run))["state"] == "finished"

    return look


async def test_a_dry_run_tells_the_difference_and_changes_nothing(bench: Bench, adjust: Adjust) -> None:
    bazaar = await told(bench, adjust, A=1, B=2, C=3, D=4, E=5, NONE=1)
    await adjust("count", NONE=0)
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
    bazaar.set_back(A=9, D=0)
    del bazaar.shown["E"], bazaar.shown["NONE"]  # not to be shown at all is no difference from none
    before = bazaar.quantities()
    assert (await post(bench, dry_run=True))[1]["state"] == "waiting"
    async with telling(bench, bazaar):
        await until(finished(bench, dry_run=True))
    found = await seen(bench, dry_run=True)
    assert found["first"] == [
        {"sku": "A", "theirs": 9, "ours": 1},
        {"sku": "D", "theirs": 0, "ours": 4},
        {"sku": "E", "theirs": None, "ours": 5},
    ]
    assert (found["differences"], found["lines"], found["pages"], found["passes"]) == (3, 4, 2, 1)
    assert (found["equal"], found["finished_at"] is not None) == (False, True)
    assert bazaar.quantities() == before
    assert not await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE acked_version < version")


async def test_a_resync_ends_when_both_sides_are_equal(bench: Bench, adjust: Adjust) -> None:
    bazaar = await told(bench, adjust, A=1, B=2, C=3, D=4, E=5)
    bazaar.set_back(A=9, D=0)
    del bazaar.shown["E"]
    await post(bench, dry_run=False)
    async with telling(bench, bazaar):
        await until(finished(bench))
    found = await seen(bench)
    assert (found["equal"], found["differences"], found["still_different"], found["passes"]) == (True, 3, 0, 2)
    assert bazaar.quantities() == await available(bench)


async def test_what_died_in_the_middle_goes_on_at_the_next_page(bench: Bench, adjust: Adjust) -> None:
    bazaar = await told(bench, adjust, A=1, B=2, C=3, D=4, E=5)
    bazaar.set_back(A=9, E=9)
    await ask(bench.database, BAZAAR, dry_run=False)
    first = await take_page(bench.database, BAZAAR)
    assert first
    await compare_page(bench.database, BAZAAR, bazaar, first)
    assert await take_page(bench.database, BAZAAR)  # and here it dies
    assert await take_page(bench.database, BAZAAR) is None
    assert (await seen(bench))["state"] == "running"
    await bench.database.execute(
        "UPDATE channel_resync SET claimed_until = claimed_until - make_interval(secs => $1)", CLAIM_S
    )
    bazaar.cursors.clear()
    async with telling(await bench.replica(), bazaar):
        await until(finished(bench))
    assert bazaar.cursors[:2] == ["B", "D"]
    found = await seen(bench)
    assert (found["equal"], found["differences"]) == (True, 2)
    assert bazaar.quantities() == await available(bench)


async def test_the_late_page_of_a_paused_replica_changes_nothing(bench: Bench, adjust: Adjust) -> None:
    bazaar = await told(bench, adjust, A=1)
    bazaar.set_back(A=9)
    await ask(bench.database, BAZAAR, dry_run=False)
    paused = await take_page(bench.database, BAZAAR)
    assert paused
    await bench.database.execute("UPDATE channel_resync SET claimed_until = now()")
    assert await take_page(bench.database, BAZAAR)
    late = await compare_page(bench.database, BAZAAR, bazaar, paused)
    assert (late.different, late.finished_at) == (0, None)
    assert not await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE acked_version < version")
    assert (await seen(bench))["pages"] == 0


async def test_a_page_that_gets_no_answer_is_read_again_and_a_refused_one_from_the_first_on(
    bench: Bench, adjust: Adjust
) -> None:
    bazaar = await told(bench, adjust, A=1, B=2, C=3, D=4, E=5)
    bazaar.set_back(C=0)
    bazaar.trouble = {"B": [ChannelSilent("nobody home")], "D": [ChannelRefused("cursor", "it ran out")]}
    await ask(bench.database, BAZAAR, dry_run=True)
    feed = ChannelFeed(bench.database, BAZAAR, QUICK, bazaar)

    async def step() -> None:
        await bench.database.execute("UPDATE channel_health SET busy_until = now()")
        await bench.database.execute("UPDATE channel_resync SET next_at = now()")
        await feed.resync()

    for _ in range(3):
        await step()
    assert "nobody home" not in (await seen(bench, dry_run=True))["error"]  # it was read since
    await step()
    assert "it ran out" in (await seen(bench, dry_run=True))["error"]
    for _ in range(3):
        await step()
    found = await seen(bench, dry_run=True)
    assert bazaar.cursors == [None, "B", "B", "D", None, "B", "D"]
    assert (found["state"], found["lines"], found["still_different"]) == ("finished", 5, 1)


async def test_who_asks_in_the_middle_of_a_pass_gets_another_one(bench: Bench, adjust: Adjust) -> None:
    bazaar = await told(bench, adjust, A=1, B=2, C=3)
    await ask(bench.database, BAZAAR, dry_run=False)
    feed = ChannelFeed(bench.database, BAZAAR, QUICK, bazaar)
    await feed.resync()
    bazaar.set_back(A=9)  # on a page that has been read
    assert (await post(bench, dry_run=False))[1]["request"] == 2
    await feed.resync()
    assert (await seen(bench))["state"] == "running"
    async with telling(bench, bazaar):
        await until(finished(bench))
    assert (await seen(bench))["equal"] is True
    assert bazaar.quantities() == {"A": 1, "B": 2, "C": 3}


async def test_who_asks_at_the_very_moment_that_a_page_is_written_down_loses_no_page(
    bench: Bench, adjust: Adjust
) -> None:
    bazaar = await told(bench, adjust, A=1)
    bazaar.set_back(A=9)
    await ask(bench.database, BAZAAR, dry_run=False)
    page = await take_page(bench.database, BAZAAR)
    assert page
    async with bench.database.transaction() as asking:
        await asking.execute("UPDATE channel_resync SET asked = asked + 1")
        comparing = asyncio.create_task(compare_page(bench.database, BAZAAR, bazaar, page))

        async def waits() -> bool:
            return await bench.database.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )

        await until(waits)
    found = await comparing
    assert (found.different, found.finished_at) == (1, None)
    row = await bench.database.fetchrow("SELECT pages, passes, first, claimed_until FROM channel_resync")
    assert row
    assert (row["pages"], row["passes"], row["claimed_until"]) == (1, 1, None)
    assert row["first"] == [{"sku": "A", "theirs": 9, "ours": 1}]
    assert await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE acked_version < version") == 1


async def test_a_version_that_is_not_ours_asks_for_a_comparison_in_the_transaction_that_saw_it(
    bench: Bench, adjust: Adjust
) -> None:
    await connect(bench)
    await adjust("receipt", MUG=5)
    claim = await claim_updates(bench.database, BAZAAR, QUICK)
    outcomes = [Outcome(one.sku, one.version, "stale", one.claim) for one in claim.updates]
    await settle_updates(bench.database, BAZAAR, outcomes, sent_at=claim.at, patience_s=90)  # and here it dies
    found = await seen(bench)
    assert (found["state"], found["cause"], found["request"]) == ("waiting", "newer_version", 1)


async def test_the_end_of_a_fence_asks_for_a_comparison_in_the_statement_that_ends_it(
    bench: Bench, adjust: Adjust
) -> None:
    await connect(bench)
    await adjust("receipt", MUG=5)
    await bench.database.execute("UPDATE channel_health SET silent_since = now() - interval '1 hour'")
    limits = Limits(calls_per_s=500, batch_size=10, objective_s=30)
    assert (await feed_health.judge_channel(bench.database, BAZAAR, limits)).state == "fenced"
    assert not await bench.database.fetchval("SELECT count(*) FROM channel_resync")
    await feed_health.note_answer(bench.database, BAZAAR)
    await feed_health.judge_channel(bench.database, BAZAAR, limits)  # and here it dies
    found = await seen(bench)
    assert (found["state"], found["cause"]) == ("waiting", "fence")


async def test_a_channel_that_does_not_show_what_it_acknowledges_is_not_compared_for_ever(
    bench: Bench, adjust: Adjust
) -> None:
    bazaar = await told(bench, adjust, A=1)

    class Liar(Restored):
        async def read_stock(self, cursor: str | None = None) -> StockPage:
            page = await super().read_stock(cursor)
            return StockPage([type(line)(line.sku, 7, line.version) for line in page.lines], page.next)

    liar = Liar()
    liar.shown = bazaar.shown
    await ask(bench.database, BAZAAR, dry_run=False)
    async with telling(bench, liar):
        await until(finished(bench))
    found = await seen(bench)
    assert (found["equal"], found["passes"], found["still_different"]) == (False, MOST_PASSES, 1)


async def test_what_the_channel_does_not_take_is_not_called_equal(bench: Bench, adjust: Adjust) -> None:
    await connect(bench)
    await adjust("receipt", BAD=1, MUG=2)
    bazaar = Restored()
    bazaar.refused = {"BAD"}

    async def refuses() -> bool:
        return bazaar.quantities() == {"MUG": 2} and bool(
            await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE refused_code <> ''")
        )

    async with telling(bench, bazaar):
        await until(refuses)
        await post(bench, dry_run=False)
        await until(finished(bench))
    found = await seen(bench)
    assert (found["equal"], found["refused"], found["differences"]) == (False, 1, 0)


@pytest.mark.parametrize(
    ("store", "channel", "status", "code"),
    [
        (OTHER_STORE, "bazaar", 404, "channel.not_found"),
        ("str_demo", "nowhere", 404, "channel.not_found"),
        ("str_demo", "bazaar", 409, "channel.not_connected"),
    ],
)
async def test_only_a_connected_channel_of_ones_own_can_be_compared(
    bench: Bench, store: str, channel: str, status: int, code: str
) -> None:
    await connect(bench)
    await feed_health.connect(bench.database, {})
    answered, problem = await post(bench, dry_run=True, store=store, channel=channel)
    assert (answered, problem["code"]) == (status, code)
    assert not await bench.database.fetchval("SELECT count(*) FROM channel_resync")


async def test_that_a_channel_was_never_compared_is_said(bench: Bench) -> None:
    await connect(bench)
    answer = await bench.client.get("/v1/channels/bazaar/resync")
    assert (answer.status_code, answer.json()["code"]) == (404, "resync.not_found")


async def test_the_feeds_of_all_channels_are_listed(bench: Bench) -> None:
    await connect(bench)
    listed = (await bench.client.get("/v1/channel-feeds")).json()["data"]
    assert [(feed["channel"], feed["state"]) for feed in listed] == [("bazaar", "open")]
    assert (await bench.client_of(OTHER_STORE).get("/v1/channel-feeds")).json()["data"] == []


async def test_two_replicas_read_no_page_twice(bench: Bench, adjust: Adjust) -> None:
    bazaar = await told(bench, adjust, **{f"SKU{n:02}": n + 1 for n in range(20)})
    bazaar.cursors.clear()
    await ask(bench.database, BAZAAR, dry_run=True)
    async with telling(bench, bazaar), telling(await bench.replica(), bazaar):
        await until(finished(bench, dry_run=True))
    assert len(bazaar.cursors) == len(set(bazaar.cursors)) == 10
