"""The loops that tell channels their stock: take what is most urgent, send it outside of any transaction, write down what was said.

Several replicas do so at once. A SKU is in the air from one of them at a time, calls are drawn from one bucket, and what a paused
replica sends late is an older version, or the same again. A database or a channel that is away is waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog

from services.inventory import feed_health, feed_metrics
from services.inventory.domain.feed import ChannelKey, Limits
from services.inventory.feed_offers import CLAIM_S, Claimed, Outcome, claim_updates, release, settle_updates, take_call
from services.inventory.feed_requests import begin_again, give_back, take_page
from services.inventory.feed_resync import compare_page
from services.inventory.gateways.stock_channel import StockChannel
from shared.channels.port import ChannelBusy, ChannelRefused, ChannelSilent, StockOutcome
from shared.database import Database, is_transient
from shared.messaging.workers import repeat

T = TypeVar("T")
_log = structlog.get_logger()
LANES = 4
"""Calls at once to a channel, from one process."""
CALL_S = CLAIM_S / 3
_IDLE_S = 0.5
_JUDGE_EVERY_S = 0.25
_MOST_PAUSE_S = 0.5
_AT_MOST_EVERY_S = 0.05
_FAREWELL_S = 0.5
_FEED_ASKED = 10.0  # times within the patience


@dataclass(frozen=True, slots=True)
class Connection:
    """A channel that is told its stock, through which gateway, and what it bears."""

    key: ChannelKey
    limits: Limits
    channel: StockChannel


async def tell_channels(
    database: Database, connections: Sequence[Connection], committed: Callable[[], asyncio.Event]
) -> None:
    """Tell exactly these channels for ever; `committed` gives an event that every commit sets."""
    limits = {each.key: each.limits for each in connections}
    while True:
        try:
            await feed_health.connect(database, limits)
            break
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("channels.connect_retry", error=repr(error))
            await asyncio.sleep(_IDLE_S)
    if not connections:
        await (
            asyncio.get_running_loop().create_future()
        )  # nothing to do, for ever: a loop that ends would end the process
    async with asyncio.TaskGroup() as feeds:
        for each in connections:
            feeds.create_task(ChannelFeed(database, each.key, each.limits, each.channel).run(committed()))


@dataclass(slots=True, eq=False)
class ChannelFeed:
    """One process's way of telling one channel."""

    database: Database
    key: ChannelKey
    limits: Limits
    channel: StockChannel
    woken: Sequence[asyncio.Event] = field(default_factory=lambda: [asyncio.Event() for _ in range(LANES)])

    async def run(self, committed: asyncio.Event) -> None:
        """Tell for ever."""
        name = f"channel {self.key.channel}"
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._listen(committed))
            loops.create_task(repeat(f"{name} health", self.judge, asyncio.Event(), _JUDGE_EVERY_S))
            loops.create_task(repeat(f"{name} resync", self.resync, asyncio.Event(), _IDLE_S))
            loops.create_task(repeat(f"{name} feeds", self.ask, asyncio.Event(), _IDLE_S))
            for woken in self.woken:
                loops.create_task(repeat(name, self.tell, woken, _IDLE_S))

    async def judge(self) -> int:
        """Look how it answers, and fence or open it. Returns how many offers became something else."""
        judged = await feed_health.judge_channel(self.database, self.key, self.limits)
        return await feed_health.enforce(self.database, self.key, judged.state)

    async def resync(self) -> int:
        """Compare the next page of both sides, if that was asked for. Returns whether there is more to do."""
        page = await take_page(self.database, self.key)
        if page is None:
            return 0
        found, error = None, ""
        try:
            await self._wait_for_call()
            async with asyncio.timeout(CALL_S):
                found = await compare_page(self.database, self.key, self.channel, page)
        except ChannelRefused as refused:
            _log.error("channel.not_compared", channel=self.key.channel, error=repr(refused))
            await begin_again(self.database, self.key, page, repr(refused))
        except (ChannelBusy, ChannelSilent, TimeoutError) as failure:
            error = repr(failure)
            await self._failed(failure)
        finally:
            if found is None:
                await self._farewell(give_back(self.database, self.key, page, error))
        if found is None:
            return 1
        await feed_health.note_answer(self.database, self.key)
        if found.finished_at:
            tell = _log.info if found.equal else _log.error
            tell("channel.compared", channel=self.key.channel, dry_run=page.dry_run, equal=found.equal)
        return 1

    async def tell(self) -> int:
        """One call with what is most urgent, if it may be called. Returns whether there is more to do."""
        claim = await claim_updates(self.database, self.key, self.limits)
        if claim.short_of_calls:
            await asyncio.sleep(min(1 / self.limits.calls_per_s, _MOST_PAUSE_S))
            return 1
        if claim.updates:
            for woken in self.woken:  # there may be more than fits into one call
                woken.set()
            await self._send_all(claim.updates, claim.at)
        return len(claim.updates)

    async def ask(self) -> int:
        """Ask for the outcome of one feed, if one is due and a call is left."""
        every = self.limits.patience_s / _FEED_ASKED
        feed = await feed_health.due_feed(self.database, self.key, every)
        if feed is None:
            return 0
        if feed.over:
            _log.warning("channel.feed_given_up", channel=self.key.channel, feed=feed.name)
            await feed_health.forget_feed(self.database, self.key, feed.name)
            return 1
        await self._wait_for_call()
        try:
            said = await self._call(self.channel.feed_outcomes(feed.name))
        except (ChannelBusy, ChannelSilent, ChannelRefused, TimeoutError) as error:
            await self._failed(error)
            return 1
        if said is not None:
            await self._settle([_outcome(one) for one in said], feed.made_at)
            await feed_health.forget_feed(self.database, self.key, feed.name)
        return 1

    async def _send_all(self, claimed: Sequence[Claimed], at: datetime) -> None:
        """Send what was claimed; where the channel refuses a call as a whole, its halves, until it is known whom it means."""
        parts, until = [claimed], asyncio.get_running_loop().time() + CLAIM_S - CALL_S
        unsent = list(claimed)
        try:
            while parts and asyncio.get_running_loop().time() < until:
                part = parts.pop()
                if len(part) < len(claimed):
                    await self._wait_for_call()
                    if asyncio.get_running_loop().time() >= until:  # it may have waited out the claim
                        break
                if await self._send(part, at):
                    settled = {one.sku for one in part}
                    unsent = [one for one in unsent if one.sku not in settled]
                elif len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
        except (ChannelBusy, ChannelSilent, TimeoutError) as error:
            await self._failed(error)
        finally:
            if unsent:
                await self._give_back(unsent)

    async def _send(self, part: Sequence[Claimed], at: datetime) -> bool:
        """One call. False: it was refused as a whole, and there is more than one whom that may mean."""
        try:
            said = await self._call(self.channel.set_stock([one.update for one in part]))
        except ChannelRefused as refused:
            if len(part) > 1:
                return False
            outcomes = [Outcome(part[0].sku, part[0].version, "refused", part[0].claim, refused.code, refused.detail)]
            await self._settle(outcomes, at)
            return True
        claims = {(one.sku, one.version): one.claim for one in part}
        every = self.limits.patience_s / _FEED_ASKED
        for feed in {one.feed for one in said if one.result == "pending"}:
            await feed_health.keep_feed(self.database, self.key, feed, every, self.limits.patience_s)
        await self._settle([_outcome(one, claims.get((one.sku, one.version), 0)) for one in said], at)
        silent = [one for one in part if (one.sku, one.version) not in {(o.sku, o.version) for o in said}]
        if silent:  # it forgot to say: unknown
            await release(self.database, self.key, silent)
        return True

    async def _call(self, asking: Awaitable[T]) -> T:
        """A call, bounded. A bug in one channel's gateway is told, and stops neither the others nor the service."""
        try:
            async with asyncio.timeout(CALL_S):
                return await asking
        except (ChannelBusy, ChannelRefused, ChannelSilent, TimeoutError):
            raise
        except Exception as error:
            _log.exception("channel.gateway_failed", channel=self.key.channel)
            raise ChannelSilent(repr(error)) from error

    async def _settle(self, outcomes: Sequence[Outcome], at: datetime) -> None:
        settled = await settle_updates(self.database, self.key, outcomes, sent_at=at, patience_s=self.limits.patience_s)
        if any(one.result != "pending" for one in outcomes):
            await feed_health.note_answer(self.database, self.key)
        for delay in settled.delays_s:
            feed_metrics.SECONDS.labels(self.key.channel).observe(max(0.0, delay))
        for one in outcomes:
            feed_metrics.UPDATES.labels(self.key.channel, one.result).inc()
        if settled.lost:
            _log.error("channel.knows_newer", channel=self.key.channel, skus=settled.lost)

    async def _failed(self, error: Exception) -> None:
        rest = error.retry_after_s if isinstance(error, ChannelBusy) else None
        outcome = "busy" if isinstance(error, ChannelBusy) else "unknown"
        feed_metrics.UPDATES.labels(self.key.channel, outcome).inc()
        await feed_health.note_failure(self.database, self.key, repr(error), rest)

    async def _give_back(self, claimed: Sequence[Claimed]) -> None:
        await self._farewell(release(self.database, self.key, claimed))

    async def _farewell(self, giving_back: Awaitable[None]) -> None:
        # Also when the process stops or the gateway has a bug; what cannot be given back, its lease ends.
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await giving_back
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("channel.not_given_back", channel=self.key.channel, error=repr(error))

    async def _wait_for_call(self) -> None:
        while True:
            if await take_call(self.database, self.key, self.limits):
                return
            await asyncio.sleep(min(1 / self.limits.calls_per_s, _MOST_PAUSE_S))

    async def _listen(self, committed: asyncio.Event) -> None:
        while True:
            await committed.wait()
            committed.clear()
            self.woken[0].set()  # one looks, and wakes the others if there is something
            await asyncio.sleep(_AT_MOST_EVERY_S)


def _outcome(said: StockOutcome, claim: int = 0) -> Outcome:
    code = "channel.refused" if said.result == "refused" else ""
    return Outcome(said.sku, said.version, said.result, claim, code, said.detail)
