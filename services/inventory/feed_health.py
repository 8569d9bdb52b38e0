"""How connected channels answer, kept in one row each, and what follows: the lag that the policy is told, the fence, its end."""

from dataclasses import dataclass
from datetime import datetime

import structlog

from services.inventory import feed_metrics
from services.inventory.domain.feed import ChannelKey, ChannelState, Limits, Standing, backoff_s, judge
from services.inventory.domain.shelves import ANNOUNCE
from services.inventory.feed_offers import CLOCK, become
from services.inventory.feed_requests import asking
from shared.database import Database

_log = structlog.get_logger()
_BITE = 2000  # offers a statement, so that no buyer waits behind it
_MOST_BUSY_S = 300.0

# A channel that comes new, or again, is put on offer whole by the deadline that announces all stock of its store.
_CONNECT = """
WITH configured AS (SELECT * FROM unnest($1::text[], $2::text[], $3::float8[]) AS c(store_id, channel, objective_s)),
known AS (SELECT h.store_id, h.channel FROM channel_health h JOIN configured USING (store_id, channel) WHERE h.connected),
sold AS (INSERT INTO channel (store_id, name) SELECT store_id, channel FROM configured ON CONFLICT DO NOTHING),
told AS (
    INSERT INTO deadline (kind, key, due_at, context)
    SELECT DISTINCT $4, c.store_id || '/', now(), jsonb_build_object('store', c.store_id) FROM configured c WHERE NOT EXISTS (
        SELECT FROM known k WHERE k.store_id = c.store_id AND k.channel = c.channel
    ) ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at, claimed_until = NULL
)
INSERT INTO channel_health (store_id, channel, lag_s, objective_s)
SELECT store_id, channel, objective_s, objective_s FROM configured
ON CONFLICT (store_id, channel) DO UPDATE SET connected = true, objective_s = excluded.objective_s
"""
_DISCONNECT = """
UPDATE channel_health SET connected = false
WHERE connected AND (store_id, channel) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
"""


async def connect(database: Database, limits: dict[ChannelKey, Limits]) -> None:
    """Let exactly these channels be told from now on. One that is new, or comes back, is put on offer."""
    keys = sorted(limits)
    stores, names = [key.store_id for key in keys], [key.channel for key in keys]
    await database.execute(_CONNECT, stores, names, [limits[key].objective_s for key in keys], ANNOUNCE)
    await database.execute(_DISCONNECT, stores, names)


_ANSWERED = """
UPDATE channel_health SET silent_since = NULL, answered_at = now(), failures = 0, error = '' WHERE store_id = $1 AND channel = $2
"""
# Calls that fail together are one failure.
_FAILED = """
UPDATE channel_health SET failures = CASE WHEN busy_until <= now() THEN failures + 1 ELSE failures END, error = $3,
    busy_until = greatest(busy_until, now() + make_interval(secs => coalesce($4, least($5, 0.1 * 2 ^ least(failures, 10)))))
WHERE store_id = $1 AND channel = $2
"""


async def note_answer(database: Database, key: ChannelKey) -> None:
    """It has acknowledged something: it is not silent."""
    await database.execute(_ANSWERED, *key)


async def note_failure(database: Database, key: ChannelKey, error: str, rest_s: float | None = None) -> None:
    """It did not; all replicas let it rest, for as long as it says or a little longer each time."""
    rest = None if rest_s is None else min(max(rest_s, 0.0), _MOST_BUSY_S)
    await database.execute(_FAILED, *key, error[:300], rest, backoff_s(99))


# `sent_version > 0`: a channel that never heard of a SKU sells none of it.
_SIGNS = """
SELECT h.state, h.lag_s, h.delay_s, extract(epoch FROM now() - h.since)::float8 AS for_s,
    coalesce(extract(epoch FROM now() - h.silent_since), 0)::float8 AS silent_s, h.error,
    coalesce(extract(epoch FROM now() - (
        SELECT min(o.waiting_since) FROM channel_offer o WHERE o.store_id = h.store_id AND o.channel = h.channel
            AND o.acked_version < o.version AND o.urgency < 2 AND o.sent_version > 0
    )), 0)::float8 AS at_risk_s,
    (SELECT count(*) FROM channel_offer o WHERE o.store_id = h.store_id AND o.channel = h.channel
        AND o.acked_version < o.version) AS pending,
    (SELECT count(*) FROM channel_offer o WHERE o.store_id = h.store_id AND o.channel = h.channel
        AND o.acked_version < o.version AND o.refused_code <> '') AS refused
FROM channel_health h WHERE h.store_id = $1 AND h.channel = $2
"""
# A lag that policies reckon with has changed: what the channel may sell of every SKU is told anew, in rounds.
_TELL = """
INSERT INTO deadline (kind, key, due_at, context)
SELECT $8, $1::text || '/', now(), jsonb_build_object('store', $1::text) FROM judged WHERE $4 <> $7 AND EXISTS (
    SELECT FROM channel c WHERE c.store_id = $1 AND c.name = $2 AND (c.buffer IS DISTINCT FROM 0 OR c.allotment > 0)
    UNION ALL SELECT FROM channel_policy p
    WHERE p.store_id = $1 AND p.channel = $2 AND (p.buffer IS DISTINCT FROM 0 OR p.allotment > 0)
) ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at, claimed_until = NULL
"""
# Another replica may have judged it meanwhile: its word stands. Who was fenced may have been restored from a backup.
_JUDGE = f"""
WITH judged AS (UPDATE channel_health SET state = $3, lag_s = $4, delay_s = $5, since = CASE WHEN state = $3 THEN since ELSE now() END
WHERE store_id = $1 AND channel = $2 AND state = $6 AND lag_s = $7 RETURNING 1),
compared AS ({asking("SELECT $1, $2, false, 'fence' FROM judged WHERE $6 = 'fenced' AND $3 <> 'fenced'")}),
told AS ({_TELL})
SELECT true FROM judged
"""  # noqa: S608 (constants)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided about a channel."""

    state: ChannelState
    was: ChannelState


async def judge_channel(database: Database, key: ChannelKey, limits: Limits) -> Judged:
    """Look how the channel answers and write down what it is: open, late or fenced, and with which lag."""
    seen = await database.fetchrow(_SIGNS, *key)
    if seen is None:
        raise LookupError(f"{key} is not connected")
    was = ChannelState(seen["state"])
    standing = Standing(was, seen["for_s"], seen["lag_s"])
    state, lag = judge(standing, seen["at_risk_s"], seen["silent_s"], limits)
    delay = max(seen["at_risk_s"], seen["silent_s"])
    feed_metrics.show(key.channel, state, delay, lag, seen["pending"], seen["refused"])
    if (state, lag, delay) != (was, seen["lag_s"], seen["delay_s"]):
        mine = await database.fetchval(_JUDGE, *key, state, lag, delay, was, seen["lag_s"], ANNOUNCE)
        if mine and state is not was:
            feed_metrics.STATES.labels(key.channel, state).inc()
            tell = _log.error if state is ChannelState.FENCED else _log.warning
            tell(
                f"channel.{state}",
                store=key.store_id,
                channel=key.channel,
                delay_s=round(delay, 1),
                error=seen["error"],
            )
    return Judged(state, was)


_FENCE = f"""
WITH shown AS (
    SELECT o.sku FROM channel_offer o JOIN channel_health h USING (store_id, channel)
    WHERE o.store_id = $1 AND o.channel = $2 AND h.state = 'fenced' AND o.quantity <> 0
    ORDER BY o.sku LIMIT $3 FOR UPDATE OF o SKIP LOCKED
)
UPDATE channel_offer o SET {become("0")} FROM shown WHERE o.store_id = $1 AND o.channel = $2 AND o.sku = shown.sku
"""  # noqa: S608 (constants)
# What a channel was never sent a zero for, it still shows as it acknowledged it: it need not be told again.
_AS_ACKED = "o.sent_version = o.acked_version AND o.acked_quantity = o.wanted AND o.claimed_until IS NULL"
_OPEN = f"""
WITH hidden AS (
    SELECT o.sku FROM channel_offer o JOIN channel_health h USING (store_id, channel)
    WHERE o.store_id = $1 AND o.channel = $2 AND h.state <> 'fenced' AND o.quantity <> o.wanted
    ORDER BY o.sku LIMIT $3 FOR UPDATE OF o SKIP LOCKED
)
UPDATE channel_offer o SET {become("o.wanted")},
    acked_version = CASE WHEN {_AS_ACKED} THEN greatest(o.version + 1, {CLOCK}) ELSE o.acked_version END
FROM hidden WHERE o.store_id = $1 AND o.channel = $2 AND o.sku = hidden.sku
"""  # noqa: S608 (constants)


async def enforce(database: Database, key: ChannelKey, state: ChannelState) -> int:
    """Let some offers be zero behind a fence, or be what is wanted without one. Returns how many became so."""
    statement = _FENCE if state is ChannelState.FENCED else _OPEN
    return int((await database.execute(statement, *key, _BITE)).rpartition(" ")[2])


_FEEDS = """
UPDATE channel_feed f SET ask_at = now() + make_interval(secs => $3) WHERE (store_id, channel, feed) IN (
    SELECT store_id, channel, feed FROM channel_feed WHERE store_id = $1 AND channel = $2 AND ask_at <= now()
    ORDER BY ask_at LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING feed, made_at, gives_up_at <= now() AS over
"""


@dataclass(frozen=True, slots=True)
class Feed:
    """Updates that the channel took, and has not said the outcome of. `over`: it need not be asked any more."""

    name: str
    made_at: datetime
    over: bool


async def keep_feed(database: Database, key: ChannelKey, feed: str, ask_after_s: float, patience_s: float) -> None:
    """Ask for the feed's outcome until it is known, or patience ends."""
    await database.execute(
        "INSERT INTO channel_feed (store_id, channel, feed, ask_at, gives_up_at)"
        " VALUES ($1, $2, $3, now() + make_interval(secs => $4), now() + make_interval(secs => $5)) ON CONFLICT DO NOTHING",
        *key,
        feed,
        ask_after_s,
        patience_s,
    )


async def due_feed(database: Database, key: ChannelKey, ask_every_s: float) -> Feed | None:
    """The feed that is to be asked about next, taken until its next turn."""
    row = await database.fetchrow(_FEEDS, *key, ask_every_s)
    return Feed(row["feed"], row["made_at"], row["over"]) if row else None


async def forget_feed(database: Database, key: ChannelKey, feed: str) -> None:
    """Its outcome is known, or it never will be."""
    await database.execute("DELETE FROM channel_feed WHERE store_id = $1 AND channel = $2 AND feed = $3", *key, feed)
