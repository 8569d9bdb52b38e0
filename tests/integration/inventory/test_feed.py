"""The stock feed over a real database: whatever happens in between, a channel ends up showing what it shall, and never the older number."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.inventory import feed_health
from services.inventory.domain.feed import ChannelKey, ChannelState, Limits
from services.inventory.feed_worker import ChannelFeed, Connection, tell_channels
from shared.channels.port import (
    ChannelBusy,
    ChannelRefused,
    ChannelSilent,
    StockLine,
    StockOutcome,
    StockPage,
    StockUpdate,
)
from shared.contracts.inventory import StockChanged
from tests.fixtures.bench import STORE, Bench

pytestmark = pytest.mark.integration

BAZAAR = ChannelKey(STORE, "bazaar")
QUICK = Limits(calls_per_s=500, batch_size=10, objective_s=30)
WITHIN_S = 20.0
Adjust = Callable[..., Awaitable[dict[str, Any]]]


class Bazaar:
    """A channel that keeps the greatest version of each SKU, and misbehaves when told to."""

    def __init__(self) -> None:
        self.shown: dict[str, tuple[int, int]] = {}
        """(version, quantity) by SKU."""
        self.history: list[StockUpdate] = []
        self.calls: list[list[StockUpdate]] = []
        self.refused: set[str] = set()
        self.poison: set[str] = set()
        self.feeds: dict[str, list[StockUpdate]] = {}
        self.slow_feeds = False
        self.pages = 0
        self.mood: Callable[[], Exception | None] = lambda: None
        self.after: Callable[[], Exception | None] = lambda: None

    async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
        self.calls.append(list(updates))
        await asyncio.sleep(0)
        if (trouble := self.mood()) is not None:
            raise trouble
        if any(update.sku in self.poison for update in updates):
            raise ChannelRefused("bad_request", "one of them")
        if self.slow_feeds:
            feed = f"feed-{len(self.feeds)}"
            self.feeds[feed] = list(updates)
            return [StockOutcome(update.sku, update.version, "pending", feed=feed) for update in updates]
        said = [self._take(update) for update in updates]
        if (trouble := self.after()) is not None:
            raise trouble  # it took them, and nobody hears of it
        return said

    async def feed_outcomes(self, feed: str) -> Sequence[StockOutcome] | None:
        return [self._take(update) for update in self.feeds[feed]]

    async def read_stock(self, cursor: str | None = None) -> StockPage:
        skus = sorted(sku for sku in self.shown if sku > (cursor or ""))
        self.pages += 1
        lines = [StockLine(sku, self.shown[sku][1], self.shown[sku][0]) for sku in skus[:2]]
        return StockPage(lines, lines[-1].sku if len(skus) > 2 else None)

    def _take(self, update: StockUpdate) -> StockOutcome:
        if update.sku in self.refused:
            return StockOutcome(update.sku, update.version, "refused", "no such listing")
        known = self.shown.get(update.sku)
        if known is not None and known[0] > update.version:
            return StockOutcome(update.sku, update.version, "stale")
        assert known is None or known[0] < update.version or known[1] == update.quantity, "one version, two quantities"
        self.shown[update.sku] = update.version, update.quantity
        self.history.append(update)
        return StockOutcome(update.sku, update.version, "applied")

    def quantities(self) -> dict[str, int]:
        return {sku: quantity for sku, (_, quantity) in self.shown.items()}


async def connect(bench: Bench, limits: Limits = QUICK) -> None:
    await feed_health.connect(bench.database, {BAZAAR: limits})
    await bench.overdue()


@asynccontextmanager
async def telling(bench: Bench, bazaar: Bazaar, limits: Limits = QUICK) -> AsyncGenerator[ChannelFeed]:
    """The loops of one replica, ended at the end as a process ends them."""
    feed = ChannelFeed(bench.database, BAZAAR, limits, bazaar)
    task = asyncio.create_task(feed.run(bench.kit.committed.event()))
    try:
        yield feed
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled(), task.exception()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await fact():
                return
            await asyncio.sleep(0.02)


async def wanted(bench: Bench) -> dict[str, int]:
    rows = await bench.database.fetch("SELECT sku, wanted FROM channel_offer WHERE channel = 'bazaar'")
    return {row["sku"]: row["wanted"] for row in rows}


async def available(bench: Bench) -> dict[str, int]:
    rows = await bench.database.fetch("SELECT sku, sum(on_hand - reserved)::bigint AS n FROM stock_level GROUP BY sku")
    return {row["sku"]: row["n"] for row in rows}


def shows(bench: Bench, bazaar: Bazaar) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        unheard = await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE acked_version < version")
        return bazaar.quantities() == await available(bench) == await wanted(bench) and not unheard

    return look


async def state(bench: Bench) -> str:
    return await bench.database.fetchval("SELECT state FROM channel_health")


async def test_what_is_in_stock_when_a_channel_is_connected_is_told(bench: Bench, adjust: Adjust) -> None:
    await adjust("receipt", MUG=5, CUP=3)
    await connect(bench)
    bazaar = Bazaar()
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
    assert bazaar.quantities() == {"MUG": 5, "CUP": 3}


async def test_a_store_without_a_connected_channel_writes_no_offers(bench: Bench, adjust: Adjust) -> None:
    await adjust("receipt", MUG=5)
    assert await wanted(bench) == {}


async def test_only_the_channels_that_are_configured_are_offered_anything(bench: Bench, adjust: Adjust) -> None:
    bazaar, fair = Bazaar(), Bazaar()
    both = [Connection(BAZAAR, QUICK, bazaar), Connection(ChannelKey(STORE, "fair"), QUICK, fair)]

    async def run(connections: Sequence[Connection], fact: Callable[[], Awaitable[bool]]) -> None:
        task = asyncio.create_task(tell_channels(bench.database, connections, bench.kit.committed.event))
        await until(fact)
        task.cancel()
        await asyncio.wait([task], timeout=5)

    async def connected() -> int:
        return await bench.database.fetchval("SELECT count(*) FROM channel_health WHERE connected")

    async def both_show() -> bool:
        await bench.overdue()
        return bazaar.quantities() == fair.quantities() == {"MUG": 5}

    async def none_is_connected() -> bool:
        return await connected() == 0

    async def one_shows_what_it_missed() -> bool:
        await bench.overdue()
        return bazaar.quantities() == {"MUG": 4} and await connected() == 1

    await adjust("receipt", MUG=5)
    await run(both, both_show)
    await run([], none_is_connected)
    await adjust("count", MUG=4)
    assert await wanted(bench) == {"MUG": 5}
    await run(both[:1], one_shows_what_it_missed)
    assert fair.quantities() == {"MUG": 5}


async def test_a_sku_that_is_stocked_for_the_first_time_is_told_to_all_channels_of_its_store(
    bench: Bench, adjust: Adjust
) -> None:
    await connect(bench)
    await adjust("receipt", MUG=5)
    (told,) = await bench.published(StockChanged)
    assert [share.channel for share in told.channels] == ["bazaar", "storefront"]
    assert await wanted(bench) == {"MUG": 5}


async def test_many_changes_are_one_update_of_the_newest(bench: Bench, adjust: Adjust) -> None:
    await connect(bench)
    for count in range(9, 2, -1):
        await adjust("count", MUG=count)
    bazaar = Bazaar()
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
    assert [update.quantity for update in bazaar.history] == [3]


async def test_what_ran_out_goes_before_what_fell_and_that_before_the_rest(bench: Bench, adjust: Adjust) -> None:
    await connect(bench)
    await adjust("receipt", GONE=5, LESS=5, MORE=5)
    bazaar = Bazaar()
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
    bazaar.calls.clear()
    await adjust("receipt", MORE=1)
    await adjust("count", LESS=4)
    await adjust("count", GONE=0)
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
    assert [update.sku for call in bazaar.calls for update in call] == ["GONE", "LESS", "MORE"]


async def test_two_replicas_together_keep_to_the_channels_calls_a_second(bench: Bench, adjust: Adjust) -> None:
    limits = Limits(calls_per_s=10, batch_size=1, objective_s=30)
    await connect(bench, limits)
    await adjust("receipt", **{f"SKU{n}": 1 for n in range(12)})
    bazaar, clock = Bazaar(), asyncio.get_running_loop().time
    began = clock()
    async with telling(bench, bazaar, limits), telling(await bench.replica(), bazaar, limits):
        await until(shows(bench, bazaar))
    assert len(bazaar.calls) == 12
    assert clock() - began >= 11 / 10  # the first is free


async def test_a_refused_sku_is_shown_and_holds_up_no_other(bench: Bench, adjust: Adjust) -> None:
    await connect(bench)
    await adjust("receipt", BAD=1, WORSE=1, MUG=2, CUP=3)
    bazaar = Bazaar()
    bazaar.refused, bazaar.poison = {"BAD"}, {"WORSE"}

    async def told() -> bool:
        refused = await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE refused_code <> ''")
        return bazaar.quantities() == {"MUG": 2, "CUP": 3} and refused == 2

    async with telling(bench, bazaar):
        await until(told)
    rows = await bench.database.fetch(
        "SELECT sku, refused_code, refused_detail, next_at > now() + interval '30 seconds' AS later FROM channel_offer"
        " WHERE refused_code <> '' ORDER BY sku"
    )
    assert [tuple(row) for row in rows] == [
        ("BAD", "channel.refused", "no such listing", True),
        ("WORSE", "bad_request", "one of them", True),
    ]


async def test_what_a_feed_took_is_asked_for_until_it_is_known(bench: Bench, adjust: Adjust) -> None:
    limits = Limits(calls_per_s=500, batch_size=10, objective_s=1)
    await connect(bench, limits)
    await adjust("receipt", MUG=5, CUP=3)
    bazaar = Bazaar()
    bazaar.slow_feeds = True
    async with telling(bench, bazaar, limits):
        await until(shows(bench, bazaar))

        async def settled() -> bool:
            return not await bench.database.fetchval("SELECT count(*) FROM channel_feed")

        await until(settled)
    assert len(bazaar.feeds) <= 2  # none was sent again
    assert not await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE acked_version < version")


async def test_a_silent_channel_is_fenced_hears_zero_first_and_opens_by_itself(bench: Bench, adjust: Adjust) -> None:
    limits = Limits(calls_per_s=500, batch_size=10, objective_s=0.3)
    await connect(bench, limits)
    await adjust("receipt", MUG=5)
    bazaar = Bazaar()
    async with telling(bench, bazaar, limits):
        await until(shows(bench, bazaar))
        bazaar.mood = lambda: ChannelSilent("nobody home")
        await adjust("count", MUG=4)

        async def fenced() -> bool:
            offered = await bench.database.fetchval("SELECT quantity FROM channel_offer")
            return await state(bench) == ChannelState.FENCED and offered == 0

        await until(fenced)
        assert await bench.database.fetchval("SELECT lag_s FROM channel_health") > limits.objective_s
        bazaar.history.clear()
        bazaar.mood = lambda: None
        await until(shows(bench, bazaar))
        assert await state(bench) != ChannelState.FENCED
    assert [update.quantity for update in bazaar.history] == [0, 4]


async def test_a_channel_that_knows_a_newer_version_than_we_do_is_told_again_above_it(
    bench: Bench, adjust: Adjust
) -> None:
    await connect(bench)
    await adjust("receipt", MUG=5)
    bazaar = Bazaar()
    version = await bench.database.fetchval("SELECT version FROM channel_offer")
    bazaar.shown["MUG"] = version + 3, 99  # from before our database was restored
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))


async def test_a_version_that_only_the_channel_knows_has_both_sides_compared(bench: Bench, adjust: Adjust) -> None:
    await connect(bench)
    await adjust("receipt", MUG=5, CUP=3)
    bazaar = Bazaar()
    async with telling(bench, bazaar):
        await until(shows(bench, bazaar))
        bazaar.shown = {sku: (version + 10**9, 99) for sku, (version, _) in bazaar.shown.items()}
        await bench.database.execute("UPDATE channel_offer SET version = version + 1 WHERE sku = 'MUG'")
        await until(shows(bench, bazaar))  # CUP as well, of which nothing was to be told


async def test_the_late_word_of_a_paused_replica_changes_nothing(bench: Bench, adjust: Adjust) -> None:
    await connect(bench)
    await adjust("receipt", MUG=5)
    bazaar, paused = Bazaar(), asyncio.Event()

    class Held(Bazaar):
        async def set_stock(self, updates: Sequence[StockUpdate]) -> Sequence[StockOutcome]:
            await paused.wait()
            return await bazaar.set_stock(updates)

    slow = ChannelFeed(bench.database, BAZAAR, QUICK, Held())
    late = asyncio.create_task(slow.tell())

    async def claimed() -> bool:
        return bool(await bench.database.fetchval("SELECT count(*) FROM channel_offer WHERE claimed_until IS NOT NULL"))

    await until(claimed)
    await bench.database.execute(
        "UPDATE channel_offer SET claimed_until = now() - interval '1 second'"
    )  # its lease is over
    await adjust("count", MUG=1)
    await ChannelFeed(bench.database, BAZAAR, QUICK, bazaar).tell()
    assert bazaar.quantities() == {"MUG": 1}
    paused.set()
    await late
    assert bazaar.quantities() == {"MUG": 1}
    row = await bench.database.fetchrow("SELECT acked_quantity, acked_version = version AS known FROM channel_offer")
    assert row is not None
    assert tuple(row) == (1, True)


async def test_a_channel_that_is_prompt_again_shows_no_delay(bench: Bench) -> None:
    limits = Limits(calls_per_s=500, batch_size=10, objective_s=30)
    await connect(bench, limits)
    await bench.database.execute("UPDATE channel_health SET delay_s = 0.3")
    await feed_health.judge_channel(bench.database, BAZAAR, limits)
    assert await bench.database.fetchval("SELECT delay_s FROM channel_health") == 0


@pytest.mark.parametrize("seed", range(4))
async def test_any_interleaving_of_changes_failures_and_restarts_ends_in_what_is_wanted(
    bench: Bench, adjust: Adjust, seed: int
) -> None:
    chance = random.Random(seed)
    limits = Limits(calls_per_s=500, batch_size=chance.choice([1, 3, 10]), objective_s=30)
    await connect(bench, limits)
    bazaar = Bazaar()
    skus = ["A", "B", "C", "D", "E"]
    trouble: list[Callable[[], Exception | None]] = [
        lambda: None,
        lambda: None,
        lambda: ChannelSilent("cut"),
        lambda: ChannelBusy(0.01),
        lambda: RuntimeError("a bug in a gateway"),
    ]
    bazaar.mood = lambda: chance.choice(trouble)()
    bazaar.after = lambda: chance.choice(trouble[:3])()
    other = await bench.replica()
    for _ in range(6):  # both replicas come and go
        async with telling(bench, bazaar, limits), telling(other, bazaar, limits):
            for _ in range(6):
                await adjust("count", **{sku: chance.randrange(6) for sku in chance.sample(skus, 2)})
                await asyncio.sleep(chance.random() * 0.02)
            if chance.random() < 0.3:
                await bench.database.execute(
                    "UPDATE channel_health SET state = 'fenced' WHERE state <> 'fenced'"
                )  # as if it had been silent
    bazaar.mood = bazaar.after = lambda: None
    # What a replica had taken when it was killed is taken again when its lease is over: that time passes here.
    await bench.database.execute("UPDATE channel_offer SET claimed_until = now() WHERE claimed_until > now()")
    async with telling(bench, bazaar, limits):
        await until(shows(bench, bazaar))
    versions: dict[str, int] = {}
    for update in bazaar.history:
        assert update.version >= versions.get(update.sku, 0), "an older one after a newer"
        versions[update.sku] = update.version
