"""The offers: what each connected channel shall show of each SKU, and what it is known to show. Statements over sets, no loops.

The rule that all of them keep: `version` rises in the statement that changes `quantity`, under the row's lock, and never else. So a
version means one quantity for ever, a channel that keeps the greatest shows the newest, and sending one twice is harmless.

Versions are a hybrid logical clock: the database's milliseconds, or one more than the last. A database that was restored from a backup,
or an offer that was made anew, goes on above what the channel has seen.

Rows are locked in the order of the key; whoever decides about a SKU holds its lock before (`repository.py`), the feed holds no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.inventory.domain.feed import ChannelKey, Limits, Urgency
from services.inventory.domain.shelves import Shelves
from services.inventory.feed_requests import asking
from shared.channels.port import StockUpdate
from shared.database import Connection, Database, columns

CLAIM_S = 45.0
"""How long nobody else sends what a replica has taken: three times what a call may last."""

CLOCK = "(extract(epoch FROM now()) * 1000)::bigint"
# What a buyer could be sold there that is not there any more goes first.
_URGENCY = f"""CASE WHEN o.refused_code <> '' THEN {Urgency.REFUSED} WHEN {{new}} = 0 THEN {Urgency.RAN_OUT}
    WHEN {{new}} < greatest(coalesce(o.acked_quantity, 0), coalesce(o.sent_quantity, 0)) THEN {Urgency.OVERSTATED}
    ELSE {Urgency.USUAL} END"""
# The newest quantity: a new version, and its time counts from when the channel began to be behind.
_BECOME = f"""quantity = {{new}}, version = greatest(o.version + 1, {CLOCK}), urgency = {_URGENCY},
    waiting_since = CASE WHEN o.acked_version = o.version THEN now() ELSE o.waiting_since END,
    next_at = CASE WHEN o.refused_code <> '' THEN o.next_at ELSE now() END"""


def become(new: str) -> str:
    """The SET clause that lets the offer `o` show `new`, an SQL expression."""
    return _BECOME.format(new=new)


_NOTE = f"""
INSERT INTO channel_offer AS o (store_id, channel, sku, wanted, quantity, version, urgency)
SELECT h.store_id, h.channel, t.sku, t.available, q.quantity, {CLOCK},
    CASE q.quantity WHEN 0 THEN {Urgency.RAN_OUT} ELSE {Urgency.USUAL} END
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS t(store_id, channel, sku, available)
JOIN channel_health h ON h.store_id = t.store_id AND h.channel = t.channel AND h.connected
CROSS JOIN LATERAL (SELECT CASE h.state WHEN 'fenced' THEN 0 ELSE t.available END AS quantity) AS q
ORDER BY h.store_id, h.channel, t.sku COLLATE "C"
ON CONFLICT (store_id, channel, sku) DO UPDATE SET wanted = excluded.wanted, quantity = excluded.quantity,
    version = CASE WHEN o.quantity = excluded.quantity THEN o.version ELSE greatest(o.version + 1, excluded.version) END,
    urgency = CASE WHEN o.quantity = excluded.quantity THEN o.urgency ELSE {_URGENCY.format(new="excluded.quantity")} END,
    waiting_since = CASE WHEN o.quantity <> excluded.quantity AND o.acked_version = o.version THEN now() ELSE o.waiting_since END,
    next_at = CASE WHEN o.quantity = excluded.quantity OR o.refused_code <> '' THEN o.next_at ELSE now() END
WHERE o.wanted <> excluded.wanted OR o.quantity <> excluded.quantity
"""  # noqa: S608 (constants)


async def note_offers(shelves: Shelves, connection: Connection) -> None:
    """Let the connected channels of the stores show what was told of their SKUs; one statement, and none for a store without channels."""
    rows = [
        (store, share.channel, sku, share.available)
        for sku, told in sorted(shelves.told.items())
        if (named := shelves.channels.get(store := shelves.items[sku].store_id))
        for share in told.channels
        if share.channel in named
    ]
    if rows:
        await connection.execute(_NOTE, *columns(rows))


@dataclass(frozen=True, slots=True)
class Claimed:
    """An update that this process sends now. `claim` numbers the taking: what a later taker says wins."""

    sku: str
    quantity: int
    version: int
    claim: int

    @property
    def update(self) -> StockUpdate:
        return StockUpdate(sku=self.sku, quantity=self.quantity, version=self.version)


REFILLED = "least($burst, h.tokens + greatest(0, extract(epoch FROM clock_timestamp() - h.refilled_at)) * $rate)"
"""What the bucket holds now."""


def pay(rate: str, burst: str) -> str:
    """The SET and WHERE clauses by which a call takes a token of the bucket `h`; nothing is taken while the channel wants rest."""
    held = REFILLED.replace("$rate", rate).replace("$burst", burst)
    return f"""SET tokens = {held} - 1, refilled_at = greatest(h.refilled_at, clock_timestamp()),
        silent_since = coalesce(h.silent_since, now())
    WHERE h.store_id = $1 AND h.channel = $2 AND h.connected AND h.busy_until <= now() AND {held} >= 1"""


# The most urgent of what is due, paid for with one call of the channel's bucket: all replicas draw from that one row.
_CLAIM = f"""
WITH due AS (
    SELECT sku FROM channel_offer WHERE store_id = $1 AND channel = $2 AND acked_version < version
        AND next_at <= now() AND coalesce(claimed_until <= now(), true)
    ORDER BY urgency, waiting_since LIMIT $3 FOR UPDATE SKIP LOCKED
), paid AS (
    UPDATE channel_health h {pay("$4::float8", "$5::float8")} AND EXISTS (SELECT FROM due) RETURNING 1
), claimed AS (
    UPDATE channel_offer o SET claim = o.claim + 1, claimed_until = now() + make_interval(secs => $6),
        sent_quantity = o.quantity, sent_version = o.version
    FROM due, paid WHERE o.store_id = $1 AND o.channel = $2 AND o.sku = due.sku
    RETURNING o.sku, o.quantity, o.version, o.claim, o.urgency, o.waiting_since
)
SELECT (SELECT count(*) FROM due) AS due, now() AS at, c.* FROM (SELECT 1) AS one LEFT JOIN claimed c ON true
ORDER BY c.urgency, c.waiting_since
"""  # noqa: S608 (constants)


@dataclass(frozen=True, slots=True)
class Claim:
    """What was taken, when by the database's clock, and whether something was due that there was no call left for."""

    updates: Sequence[Claimed]
    at: datetime
    short_of_calls: bool


async def claim_updates(database: Database, key: ChannelKey, limits: Limits) -> Claim:
    """Take a batch of what the channel is to be told, if it may be called now."""
    rows = await database.fetch(
        _CLAIM, key.store_id, key.channel, limits.batch_size, limits.calls_per_s, limits.burst, CLAIM_S
    )
    updates = [
        Claimed(row["sku"], row["quantity"], row["version"], row["claim"]) for row in rows if row["sku"] is not None
    ]
    return Claim(updates, rows[0]["at"], short_of_calls=rows[0]["due"] > 0 and not updates)


_CALL = f"UPDATE channel_health h {pay('$3::float8', '$4::float8')} RETURNING 1"


async def take_call(database: Database, key: ChannelKey, limits: Limits) -> bool:
    """Take one call of the channel's bucket, if it has one and wants no rest."""
    return bool(await database.fetchval(_CALL, *key, limits.calls_per_s, limits.burst))


_RELEASE = """
WITH mine AS (
    SELECT o.sku FROM channel_offer o JOIN unnest($3::text[], $4::bigint[]) AS c(sku, claim) ON c.sku = o.sku AND c.claim = o.claim
    WHERE o.store_id = $1 AND o.channel = $2 ORDER BY o.sku FOR UPDATE OF o
)
UPDATE channel_offer o SET claimed_until = NULL FROM mine WHERE o.store_id = $1 AND o.channel = $2 AND o.sku = mine.sku
"""


async def release(database: Database, key: ChannelKey, claimed: Sequence[Claimed]) -> None:
    """Give back what was not told, or may not have been: it is sent again as it is then, in the same version if it is the same."""
    skus, claims = [one.sku for one in claimed], [one.claim for one in claimed]
    await database.execute(_RELEASE, key.store_id, key.channel, skus, claims)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the channel said of an update. `claim` 0: of a feed, whose claim is over."""

    sku: str
    version: int
    result: Literal["applied", "stale", "refused", "pending"]
    claim: int = 0
    code: str = ""
    detail: str = ""


# A version that the channel has beaten although we know of no newer one: we have lost something, go above it, and ask for a comparison.
_LOST = "s.result = 'stale' AND s.version = o.version AND s.version > o.acked_version"
_APPLIED = "s.result = 'applied' AND s.version >= o.acked_version AND s.version <= o.version"
_REFUSED = "s.result = 'refused' AND s.version > o.acked_version"
_SETTLE = f"""
WITH said AS (
    SELECT o.sku, s.version, s.claim, s.result, s.code, s.detail, o.waiting_since, o.urgency AS was,
        {_LOST} AS lost, {_APPLIED} AS applied, {_REFUSED} AS refused,
        CASE WHEN s.version = o.sent_version THEN o.sent_quantity ELSE o.acked_quantity END AS shown
    FROM channel_offer o
    JOIN unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[])
        AS s(sku, version, claim, result, code, detail) ON s.sku = o.sku
    WHERE o.store_id = $1 AND o.channel = $2 ORDER BY o.sku FOR UPDATE OF o
), settled AS (
    UPDATE channel_offer o SET
        acked_version = CASE WHEN s.applied THEN s.version ELSE o.acked_version END,
        acked_quantity = CASE WHEN s.applied THEN s.shown ELSE o.acked_quantity END,
        acked_at = CASE WHEN s.applied THEN now() ELSE o.acked_at END,
        version = CASE WHEN s.lost THEN greatest(o.version + 1, {CLOCK}) ELSE o.version END,
        waiting_since = CASE WHEN s.applied AND s.version < o.version THEN greatest(o.waiting_since, $9) ELSE o.waiting_since END,
        claimed_until = CASE WHEN s.claim = o.claim THEN NULL ELSE o.claimed_until END,
        refusals = CASE WHEN s.applied THEN 0 WHEN s.refused THEN o.refusals + 1 ELSE o.refusals END,
        refused_code = CASE WHEN s.applied THEN '' WHEN s.refused THEN s.code ELSE o.refused_code END,
        refused_detail = CASE WHEN s.applied THEN '' WHEN s.refused THEN s.detail ELSE o.refused_detail END,
        urgency = CASE WHEN s.refused THEN {Urgency.REFUSED}
            WHEN s.applied AND o.refused_code <> '' THEN {Urgency.USUAL} ELSE o.urgency END,
        next_at = CASE WHEN s.refused THEN now() + make_interval(secs => $10 * 2 ^ least(o.refusals, 6))
            WHEN s.result = 'pending' AND s.version = o.version THEN now() + make_interval(secs => $11) ELSE o.next_at END
    FROM said s WHERE o.store_id = $1 AND o.channel = $2 AND o.sku = s.sku
), compared AS (
    {asking("SELECT $1, $2, false, 'newer_version' WHERE 0 < (SELECT count(*) FROM said WHERE lost)")}
)
SELECT sku, result, applied, lost, refused, was, extract(epoch FROM clock_timestamp() - waiting_since)::float8 AS delay_s FROM said
"""  # noqa: S608 (constants)

REFUSED_AGAIN_AFTER_S = 60.0
"""The first pause of a SKU that the channel refuses; each is twice the last, the longest a little over an hour."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of outcomes: seconds from each change to its acknowledgement, and how many versions the channel had beaten."""

    delays_s: Sequence[float]
    lost: int
    refused: int


async def settle_updates(
    database: Database, key: ChannelKey, outcomes: Sequence[Outcome], *, sent_at: datetime, patience_s: float
) -> Settled:
    """Write down what the channel said. `patience_s` is how long a feed may take before its updates are sent again."""
    rows = [(o.sku, o.version, o.claim, o.result, o.code[:100], o.detail[:500]) for o in outcomes]
    if not rows:
        return Settled((), 0, 0)
    found = await database.fetch(
        _SETTLE, key.store_id, key.channel, *columns(rows), sent_at, REFUSED_AGAIN_AFTER_S, patience_s
    )
    return Settled(
        [row["delay_s"] for row in found if row["applied"] and row["was"] != Urgency.REFUSED],
        sum(row["lost"] for row in found),
        sum(row["refused"] for row in found),
    )
