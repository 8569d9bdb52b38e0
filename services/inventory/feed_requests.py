"""Requests to compare both sides of a channel: rows, so that neither a crash nor a fail-over forgets one.

One row a channel for the comparison that mends and one for the dry run. Asking is counted (`asked`), a pass over the channel covers what was
asked before it began (`covers`), and the row is finished when `done` has reached `asked`: a loss in the middle of a pass gets another.
Each page is a step of its own, taken by whichever replica is free; its progress is written with what it found.
"""

from dataclasses import dataclass
from datetime import datetime

from services.inventory.domain.feed import ChannelKey
from shared.database import Database

CLAIM_S = 45.0
"""How long a page may take, the wait for a call included, before another replica takes it."""
_REFUSED_AGAIN_AFTER_S = 30.0


def asking(rows: str) -> str:
    """The INSERT that asks; `rows` is a SELECT of store_id, channel, dry_run, cause. Part of the statement that saw the loss."""
    kept = "r.done < r.asked"  # it is under way: what it has found stays
    return f"""INSERT INTO channel_resync AS r (store_id, channel, dry_run, cause) {rows}
    ON CONFLICT (store_id, channel, dry_run) DO UPDATE SET asked = r.asked + 1, passes = 0, error = '', finished_at = NULL,
        requested_at = now(), next_at = now(), cause = CASE WHEN {kept} THEN r.cause ELSE excluded.cause END,
        started_at = CASE WHEN {kept} THEN r.started_at END, passed_at = CASE WHEN {kept} THEN r.passed_at END,
        pages = CASE WHEN {kept} THEN r.pages ELSE 0 END, different = CASE WHEN {kept} THEN r.different ELSE 0 END,
        first = CASE WHEN {kept} THEN r.first ELSE '[]' END"""


_ASK = asking(
    "SELECT store_id, channel, $3::bool, 'asked' FROM channel_health WHERE store_id = $1 AND channel = $2 AND connected"
)


async def ask(database: Database, key: ChannelKey, *, dry_run: bool) -> bool:
    """Ask for a comparison; False where the channel is not connected. Asking twice is harmless: at most one more pass."""
    return (await database.execute(_ASK, *key, dry_run)).endswith(" 1")


# Between two passes the feed first has to have told what the last one found. A dry run does not wait behind the other.
_TAKE = """
WITH due AS (
    SELECT r.dry_run FROM channel_resync r JOIN channel_health h USING (store_id, channel)
    WHERE r.store_id = $1 AND r.channel = $2 AND h.connected AND h.busy_until <= now() AND r.done < r.asked
        AND r.next_at <= now() AND coalesce(r.claimed_until <= now(), true)
        AND (r.reading OR r.passed_at IS NULL OR NOT EXISTS (
            SELECT FROM channel_offer o WHERE o.store_id = $1 AND o.channel = $2 AND o.acked_version < o.version
                AND o.refused_code = '' AND o.waiting_since <= r.passed_at))
    ORDER BY r.requested_at LIMIT 1 FOR UPDATE OF r SKIP LOCKED
)
UPDATE channel_resync r SET claim = r.claim + 1, claimed_until = now() + make_interval(secs => $3), reading = true,
    started_at = coalesce(r.started_at, now()), covers = CASE WHEN r.reading THEN r.covers ELSE r.asked END,
    lines = CASE WHEN r.reading THEN r.lines ELSE 0 END, pass_different = CASE WHEN r.reading THEN r.pass_different ELSE 0 END,
    refused = CASE WHEN r.reading THEN r.refused ELSE 0 END, moving = CASE WHEN r.reading THEN r.moving ELSE 0 END
FROM due WHERE r.store_id = $1 AND r.channel = $2 AND r.dry_run = due.dry_run
RETURNING r.dry_run, r.claim, r.cursor, r.after_sku
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """The page that is to be read next, and by which claim. `after` is the last SKU of the page before."""

    dry_run: bool
    claim: int
    cursor: str | None
    after: str


async def take_page(database: Database, key: ChannelKey) -> Reading | None:
    """Take the next page of a comparison that was asked for, if the channel may be called now."""
    row = await database.fetchrow(_TAKE, *key, CLAIM_S)
    return Reading(row["dry_run"], row["claim"], row["cursor"], row["after_sku"]) if row else None


_GIVE_BACK = """
UPDATE channel_resync SET claimed_until = NULL, error = CASE $5 WHEN '' THEN error ELSE $5 END
WHERE store_id = $1 AND channel = $2 AND dry_run = $3 AND claim = $4
"""
# A cursor may have run out: the pass begins anew, after a pause.
_RESTART = """
UPDATE channel_resync SET claimed_until = NULL, error = $5, reading = false, cursor = NULL, after_sku = '',
    next_at = now() + make_interval(secs => $6)
WHERE store_id = $1 AND channel = $2 AND dry_run = $3 AND claim = $4
"""


async def give_back(database: Database, key: ChannelKey, page: Reading, error: str) -> None:
    """The page could not be read now; it is the next one still."""
    await database.execute(_GIVE_BACK, *key, page.dry_run, page.claim, error[:300])


async def begin_again(database: Database, key: ChannelKey, page: Reading, error: str) -> None:
    """The channel refuses the page: read from the first on, a little later."""
    await database.execute(_RESTART, *key, page.dry_run, page.claim, error[:300], _REFUSED_AGAIN_AFTER_S)


@dataclass(frozen=True, slots=True)
class PageFound:
    """What came of a page: SKUs that differ; whether it was the last one of its pass, and of the whole comparison."""

    different: int
    finished_at: datetime | None
    equal: bool
