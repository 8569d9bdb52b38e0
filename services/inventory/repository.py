"""Loading and saving the shelves: one statement a table, for all messages of a batch at once.

The protocol: whoever decides anything about a SKU holds the lock of its `stock_item` row, taken for all SKUs of the batch in
sorted order. That one lock guards the SKU's levels, every reservation of it, and the very set of orders that wait for it or
hold it, also those that another replica is about to add: so no waiting order is overlooked and no hold is found too late.
An order's SKUs never change, so they can be read before the lock; everything else is read after it.

Whether a warehouse exists is guarded by an advisory lock on its code, taken before all else by who sets one up (alone) and by
returns that name one (together): so no return is held for a warehouse that another replica has just set up.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from services.inventory.counts import read_counts, read_since, save_counts
from services.inventory.domain.count import Counts, Since
from services.inventory.domain.held import HeldReturns, HeldUnits
from services.inventory.domain.policy import Policy
from services.inventory.domain.reservation import Reservation, Status
from services.inventory.domain.shelves import Round, Shelves, parse_announce_key
from services.inventory.domain.stock import StockItem, StockLevel
from services.inventory.feed_offers import note_offers
from services.inventory.footprint import Footprint, footprint_of
from services.inventory.rows import read_channels, read_warehouses
from services.inventory.transfers import read_skus_of_transfers, read_transfers, save_transfers
from shared.contracts.values import Allocation
from shared.database import Connection, Row, Stale, columns
from shared.jsonable import dumps
from shared.messaging.message import Message

# How many waiting orders of one SKU a transaction looks at; a deadline goes on behind them.
WAITING_AT_ONCE = 200
# How many SKUs a transaction announces again.
ANNOUNCED_AT_ONCE = 500

Skus = Mapping[str, Sequence[str]]
"""The SKUs of orders."""


# ── Load ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def load_shelves(messages: Sequence[Message], connection: Connection) -> Shelves:
    """Lock the SKUs that the batch touches, then read all that is about them. Raises Stale when others were faster."""
    touched = footprint_of(messages)
    await _lock_codes(touched, connection)
    for part in await _read_held(touched, connection):
        touched.order(part.order_id)
        touched.free([part.sku])
    touched.free(await read_skus_of_transfers(touched.transfers, connection))
    rounds = {key: await _read_round(key, connection) for key in sorted(touched.rounds)}
    _lower(touched, await read_since(touched.counted, connection))  # once more behind the lock
    locked = await _lock_items(await _skus_to_lock(touched, rounds, connection), connection)
    since = await read_since(touched.counted, connection)
    _lower(touched, since)
    breakable = await _read_breakable(touched, connection)
    waiting, queues = _cut_lines(await _read_waiting(touched.freed, connection), touched.freed, locked.keys())
    orders = touched.orders | breakable.keys() | waiting
    reservations = await _read_reservations(orders, connection)
    _require_locked(breakable, reservations, locked.keys())
    await _read_levels(locked, connection)
    held = {part.key: part for part in await _read_held(touched, connection)}
    stores = touched.stores | {item.store_id for item in locked.values()}
    return Shelves(
        warehouses=await read_warehouses(connection),
        channels=await read_channels(connection, stores, locked.keys()),
        items=locked,
        reservations=reservations,
        queues=queues,
        rounds=rounds,
        held=HeldReturns(held, dict(held)),
        transfers=await read_transfers(touched.transfers, connection),
        counts=Counts(await read_counts(locked, connection) if touched.goods_move else {}, since),
    )


def _lower(touched: Footprint, since: Mapping[tuple[str, str, datetime], Since]) -> None:
    for (sku, warehouse, instant), quantity in touched.counted.items():
        touched.shorten_to((sku, warehouse), max(0, quantity + since[sku, warehouse, instant].moved))


_LOCK_CODES = """
SELECT CASE WHEN alone THEN pg_advisory_xact_lock(hashtextextended(code, 0))::text
    ELSE pg_advisory_xact_lock_shared(hashtextextended(code, 0))::text END
FROM unnest($1::text[], $2::bool[]) AS wanted(code, alone)
"""


async def _lock_codes(touched: Footprint, connection: Connection) -> None:
    alone = {code for _, code in touched.set_up}
    if codes := sorted(alone | touched.named):
        locks = [f"inventory.warehouse/{code}" for code in codes]
        await connection.fetch(_LOCK_CODES, locks, [code in alone for code in codes])


_HELD = """
SELECT return_id, order_id, store_id, sku, warehouse, quantity, held_at FROM held_return
WHERE return_id = ANY($1)
    OR (store_id, warehouse) IN (SELECT * FROM unnest($2::text[], $3::text[]))
"""


async def _read_held(touched: Footprint, connection: Connection) -> list[HeldUnits]:
    """What is held of the returns that are put away, and for the warehouses that come to be.

    Read before the SKUs are locked, to know them, and again after: another replica may have put it away meanwhile.
    """
    if not (touched.returns or touched.set_up):
        return []
    stores, codes = [store for store, _ in touched.set_up], [code for _, code in touched.set_up]
    return [HeldUnits(**row) for row in await connection.fetch(_HELD, list(touched.returns), stores, codes)]


async def _skus_to_lock(touched: Footprint, rounds: Mapping[str, Round], connection: Connection) -> list[str]:
    """The SKUs of all orders that may be decided: those named, those that may break, those that wait."""
    known = await _read_skus_of_orders(touched.orders, connection)
    for order in touched.ending & known.keys():
        touched.free(known[order])
    breakable = await _read_breakable(touched, connection)
    for skus in breakable.values():
        touched.free(skus)
    lines = await _read_waiting(touched.freed, connection)
    waiting = [order.skus for line in lines.values() for order in line]
    announced = [this.skus for this in rounds.values()]
    return sorted(touched.skus.union(*known.values(), *waiting, *announced))


def _require_locked(breakable: Skus, reservations: Mapping[str, Reservation], locked: Iterable[str]) -> None:
    """Between reading which SKUs to lock and locking them, another replica may have added an order with others."""
    held = frozenset(locked)
    if not all(held.issuperset(reservation.demand) for reservation in reservations.values()):
        raise Stale("another replica has reserved for one of these orders")
    if not all(held.issuperset(skus) for skus in breakable.values()):
        raise Stale("another replica has reserved what is being counted")


_SKUS_OF_ORDERS = "SELECT order_id, skus FROM reservation WHERE order_id = ANY($1)"


async def _read_skus_of_orders(orders: set[str], connection: Connection) -> Skus:
    if not orders:
        return {}
    return {row["order_id"]: row["skus"] for row in await connection.fetch(_SKUS_OF_ORDERS, list(orders))}


# A row that is not there cannot be locked, so it is made first, in the same order.
_MAKE_ITEMS = """
INSERT INTO stock_item (sku)
SELECT sku FROM unnest($1::text[]) AS wanted(sku)
WHERE NOT EXISTS (SELECT FROM stock_item i WHERE i.sku = wanted.sku) ORDER BY sku
ON CONFLICT DO NOTHING
"""
_LOCK_ITEMS = "SELECT sku, store_id, version FROM stock_item WHERE sku = ANY($1) ORDER BY sku FOR UPDATE"


async def _lock_items(skus: Sequence[str], connection: Connection) -> dict[str, StockItem]:
    if not skus:
        return {}
    await connection.execute(_MAKE_ITEMS, skus)
    rows = await connection.fetch(_LOCK_ITEMS, skus)
    return {row["sku"]: StockItem(row["sku"], row["store_id"], row["version"]) for row in rows}


# Not in the locking statement: a statement that had to wait for a lock sees the rows of other tables as they were before.
_LEVELS = "SELECT sku, warehouse, on_hand, reserved FROM stock_level WHERE sku = ANY($1)"


async def _read_levels(items: Mapping[str, StockItem], connection: Connection) -> None:
    if items:
        for row in await connection.fetch(_LEVELS, list(items)):
            level = StockLevel(row["on_hand"], row["reserved"], stored=True)
            items[row["sku"]].levels[row["warehouse"]] = level


_RESERVATIONS = """
SELECT order_id, store_id, status, demand, country, refusable, confirmed, allocations, expires_at, restocked, taken_at
FROM reservation WHERE order_id = ANY($1)
"""


async def _read_reservations(orders: set[str], connection: Connection) -> dict[str, Reservation]:
    if not orders:
        return {}
    return {row["order_id"]: _to_reservation(row) for row in await connection.fetch(_RESERVATIONS, list(orders))}


def _to_reservation(row: Row) -> Reservation:
    status = Status(row["status"])
    return Reservation(
        order_id=row["order_id"],
        store_id=row["store_id"],
        status=status,
        demand=row["demand"],
        country=row["country"],
        refusable=row["refusable"],
        confirmed=row["confirmed"],
        allocations=tuple(Allocation(**part) for part in row["allocations"]),
        expires_at=row["expires_at"],
        restocked=row["restocked"],
        taken_at=row["taken_at"],
        stored_as=status,
    )


# The newest holds of each level that a batch may shorten below what is reserved, as many as could have to break for it:
# those of the batch's own orders are loaded anyway, and may end before it comes to that.
_BREAKABLE = """
SELECT held.order_id, held.skus
FROM (
    SELECT l.sku, l.warehouse,
        l.reserved - (least(coalesce(k.lowest_count, l.on_hand), l.on_hand) - k.decrease) AS units
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS k(sku, warehouse, lowest_count, decrease)
    JOIN stock_level l USING (sku, warehouse)
) short
CROSS JOIN LATERAL (
    SELECT r.order_id, r.skus, sum(a.quantity) OVER (ORDER BY r.rank DESC) - a.quantity AS held_by_newer
    FROM reservation r
    CROSS JOIN jsonb_to_recordset(r.allocations) AS a(sku text, warehouse text, quantity bigint)
    WHERE short.units > 0 AND r.status IN ('held', 'committed') AND r.skus @> ARRAY[short.sku]
        AND a.sku = short.sku AND a.warehouse = short.warehouse AND r.order_id <> ALL($5)
) held
WHERE held.held_by_newer < short.units
"""


async def _read_breakable(touched: Footprint, connection: Connection) -> Skus:
    if not touched.shortened:
        return {}
    rows = [
        (sku, warehouse, level.lowest_count, level.decrease) for (sku, warehouse), level in touched.shortened.items()
    ]
    found = await connection.fetch(_BREAKABLE, *columns(rows), list(touched.orders))
    return {row["order_id"]: row["skus"] for row in found}


# One more than a transaction looks at tells whether the line goes on.
_WAITING = """
SELECT freed.sku, line.order_id, line.rank, line.skus
FROM unnest($1::text[], $2::text[]) AS freed(sku, after)
CROSS JOIN LATERAL (
    SELECT order_id, rank, skus FROM reservation r
    WHERE r.status = 'waiting' AND r.skus @> ARRAY[freed.sku] AND r.rank > freed.after
    ORDER BY r.rank LIMIT $3
) line
ORDER BY freed.sku, line.rank
"""


class _Waiting(NamedTuple):
    """An order in the line of a SKU."""

    order_id: str
    rank: str
    skus: Sequence[str]


async def _read_waiting(freed: Mapping[str, str], connection: Connection) -> dict[str, list[_Waiting]]:
    """Who waits for each SKU, oldest first."""
    lines: dict[str, list[_Waiting]] = {sku: [] for sku in freed}
    if freed:
        skus, after = columns(list(freed.items()))
        for row in await connection.fetch(_WAITING, skus, after, WAITING_AT_ONCE + 1):
            lines[row["sku"]].append(_Waiting(row["order_id"], row["rank"], row["skus"]))
    return lines


def _cut_lines(
    lines: Mapping[str, Sequence[_Waiting]], freed: Mapping[str, str], locked: Iterable[str]
) -> tuple[set[str], dict[str, str | None]]:
    """The waiting orders that this batch serves, and for each SKU behind which rank others wait (None: nobody).

    A line is cut at its length limit, and before an order that joined it with a SKU that is not locked.
    """
    held = frozenset(locked)
    served: set[str] = set()
    queues: dict[str, str | None] = {}
    for sku, line in lines.items():
        queues[sku] = None
        last = freed[sku]
        for place, waiting in enumerate(line):
            if place == WAITING_AT_ONCE or not held.issuperset(waiting.skus):
                queues[sku] = last
                break
            served.add(waiting.order_id)
            last = waiting.rank
    return served, queues


_ROUND = "SELECT sku FROM stock_item WHERE store_id = $1 AND sku > $2 ORDER BY sku LIMIT $3"


async def _read_round(key: str, connection: Connection) -> Round:
    store_id, after = parse_announce_key(key)
    rows = await connection.fetch(_ROUND, store_id, after, ANNOUNCED_AT_ONCE + 1)
    skus = tuple(row["sku"] for row in rows)
    return Round(skus[:ANNOUNCED_AT_ONCE], more=len(skus) > ANNOUNCED_AT_ONCE)


# ── Save ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def save_shelves(shelves: Shelves, connection: Connection) -> None:
    """Write what changed. Counters change by exactly what the ledger says."""
    await _save_warehouses(shelves, connection)
    await _save_items(shelves, connection)
    await _save_levels(shelves, connection)
    await _save_reservations(shelves.reservations.values(), connection)
    await _add_movements(shelves, connection)
    await _add_adjustments(shelves, connection)
    await _save_channels(shelves, connection)
    await _save_held(shelves.held, connection)
    await save_counts(shelves.counts, connection)
    await save_transfers(shelves.transfers, connection)
    await note_offers(shelves, connection)


_PUT_WAREHOUSES = """
INSERT INTO warehouse (code, store_id, kind, country, name)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (code) DO UPDATE SET name = excluded.name
WHERE (warehouse.store_id, warehouse.kind, warehouse.country) = (excluded.store_id, excluded.kind, excluded.country)
RETURNING 1
"""


async def _save_warehouses(shelves: Shelves, connection: Connection) -> None:
    if not shelves.put_warehouses:
        return
    rows = [(w.code, w.store_id, w.kind, w.country, w.name) for _, w in sorted(shelves.put_warehouses.items())]
    if len(await connection.fetch(_PUT_WAREHOUSES, *columns(rows))) != len(rows):
        raise Stale("another replica has just made a warehouse of that code")


_SAVE_ITEMS = """
UPDATE stock_item i SET store_id = s.store_id, version = s.version
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s(sku, store_id, version) WHERE i.sku = s.sku
"""


async def _save_items(shelves: Shelves, connection: Connection) -> None:
    skus = shelves.announced | {entry.sku for entry in shelves.ledger}
    if skus:
        rows = [(sku, shelves.items[sku].store_id, shelves.items[sku].version) for sku in sorted(skus)]
        await connection.execute(_SAVE_ITEMS, *columns(rows))


_ADD_LEVELS = """
INSERT INTO stock_level (sku, warehouse, on_hand, reserved)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
"""
# Added to what is there, so that the ledger stays the truth even if a lock were forgotten; the CHECK says no to the rest.
_MOVE_LEVELS = """
UPDATE stock_level l SET on_hand = l.on_hand + m.on_hand, reserved = l.reserved + m.reserved
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS m(sku, warehouse, on_hand, reserved)
WHERE l.sku = m.sku AND l.warehouse = m.warehouse
"""


async def _save_levels(shelves: Shelves, connection: Connection) -> None:
    moved: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in shelves.ledger:
        on_hand, reserved = moved.get((entry.sku, entry.warehouse), (0, 0))
        moved[entry.sku, entry.warehouse] = on_hand + entry.on_hand, reserved + entry.reserved
    new: list[tuple[str, str, int, int]] = []
    known: list[tuple[str, str, int, int]] = []
    for (sku, warehouse), change in sorted(moved.items()):
        stored = shelves.items[sku].levels[warehouse].stored
        if not stored:
            new.append((sku, warehouse, *change))
        elif change != (0, 0):
            known.append((sku, warehouse, *change))
    if new:
        await connection.execute(_ADD_LEVELS, *columns(new))
    if known:
        await connection.execute(_MOVE_LEVELS, *columns(known))


_ADD_RESERVATIONS = """
INSERT INTO reservation (
    order_id, store_id, status, country, refusable, confirmed, allocations, expires_at, restocked, demand, rank, taken_at, skus
)
SELECT order_id, store_id, status, country, refusable, confirmed, allocations, expires_at, restocked, demand, rank, taken_at,
    ARRAY(SELECT jsonb_object_keys(demand))
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::boolean[], $7::text[]::jsonb[], $8::timestamptz[],
    $9::text[]::jsonb[], $10::text[]::jsonb[], $11::text[], $12::timestamptz[]
) AS n(order_id, store_id, status, country, refusable, confirmed, allocations, expires_at, restocked, demand, rank, taken_at)
"""
_CHANGE_RESERVATIONS = """
UPDATE reservation r SET status = n.status, confirmed = n.confirmed, allocations = n.allocations, expires_at = n.expires_at,
    restocked = n.restocked, updated_at = now()
FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[]::jsonb[], $5::timestamptz[], $6::text[]::jsonb[])
    AS n(order_id, status, confirmed, allocations, expires_at, restocked)
WHERE r.order_id = n.order_id
"""


async def _save_reservations(reservations: Iterable[Reservation], connection: Connection) -> None:
    changed = sorted((r for r in reservations if r.changed), key=lambda r: r.order_id)
    new = [
        (
            r.order_id,
            r.store_id,
            r.status,
            r.country,
            r.refusable,
            r.confirmed,
            _json(r.allocations),
            r.expires_at,
            _json(r.restocked),
            _json(r.demand),
            r.rank,
            r.taken_at,
        )
        for r in changed
        if r.stored_as is None
    ]
    known = [
        (r.order_id, r.status, r.confirmed, _json(r.allocations), r.expires_at, _json(r.restocked))
        for r in changed
        if r.stored_as is not None
    ]
    if new:
        await connection.execute(_ADD_RESERVATIONS, *columns(new))
    if known:
        await connection.execute(_CHANGE_RESERVATIONS, *columns(known))


_ADD_MOVEMENTS = """
INSERT INTO movement (
    sku, warehouse, kind, on_hand, reserved, cause, store_id, message_id, at, occurred_at, in_transit, reason
)
SELECT sku, warehouse, kind, on_hand, reserved, cause, store_id, message_id, at, occurred_at, in_transit, reason FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::timestamptz[],
    $10::timestamptz[], $11::bigint[], $12::text[]
) WITH ORDINALITY
    AS m(sku, warehouse, kind, on_hand, reserved, cause, store_id, message_id, at, occurred_at, in_transit, reason, nth)
ORDER BY nth
"""


async def _add_movements(shelves: Shelves, connection: Connection) -> None:
    if shelves.ledger:
        rows = [
            (
                m.sku,
                m.warehouse,
                m.kind,
                m.on_hand,
                m.reserved,
                m.cause,
                m.store_id,
                m.message_id,
                m.at,
                m.occurred_at,
                m.in_transit,
                m.reason,
            )
            for m in shelves.ledger
        ]
        await connection.execute(_ADD_MOVEMENTS, *columns(rows))


_ADD_ADJUSTMENTS = """
INSERT INTO adjustment (id, kind, warehouse, reason, lines, store_id, actor, at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::timestamptz[]
)
"""


async def _add_adjustments(shelves: Shelves, connection: Connection) -> None:
    if shelves.adjustments:
        rows = [(a.id, a.kind, a.warehouse, a.reason, a.lines, a.store_id, a.actor, a.at) for a in shelves.adjustments]
        await connection.execute(_ADD_ADJUSTMENTS, *columns(rows))


_PUT_CHANNELS = """
INSERT INTO channel (store_id, name, country, units_per_s, buffer, cap, allotment, closed)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bool[])
ON CONFLICT (store_id, name) DO UPDATE SET country = excluded.country, units_per_s = excluded.units_per_s,
    buffer = excluded.buffer, cap = excluded.cap, allotment = excluded.allotment, closed = excluded.closed
"""
# Whoever changes policies of a channel holds its row: they come and go in no order of their own.
_LOCK_CHANNELS = """
SELECT FROM channel WHERE (store_id, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY store_id, name FOR NO KEY UPDATE
"""
_CLEAR_POLICIES = """
DELETE FROM channel_policy p USING unnest($1::text[], $2::text[]) AS c(store_id, channel)
WHERE p.store_id = c.store_id AND p.channel = c.channel
"""
_FORGET_POLICIES = """
DELETE FROM channel_policy p USING unnest($1::text[], $2::text[], $3::text[]) AS c(store_id, channel, sku)
WHERE p.store_id = c.store_id AND p.channel = c.channel AND p.sku = c.sku
"""
_PUT_POLICIES = """
INSERT INTO channel_policy (store_id, channel, sku, buffer, cap, allotment, closed)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[])
ON CONFLICT (store_id, channel, sku) DO UPDATE
SET buffer = excluded.buffer, cap = excluded.cap, allotment = excluded.allotment, closed = excluded.closed
"""


async def _save_channels(shelves: Shelves, connection: Connection) -> None:
    channels = sorted(shelves.put_channels.items())
    if channels:
        rows = [(*key, one.country, one.units_per_s, *_policy_row(one.policy)) for key, one in channels]
        await connection.execute(_PUT_CHANNELS, *columns(rows))
    policies = sorted(shelves.put_policies.items())
    changed = shelves.cleared | {(store, channel) for (store, channel, _), _ in policies}
    if changed:
        await connection.execute(_LOCK_CHANNELS, *columns(sorted(changed)))
    if shelves.cleared:
        await connection.execute(_CLEAR_POLICIES, *columns(sorted(shelves.cleared)))
    if gone := [key for key, policy in policies if policy is None]:
        await connection.execute(_FORGET_POLICIES, *columns(gone))
    if put := [(*key, *_policy_row(policy)) for key, policy in policies if policy is not None]:
        await connection.execute(_PUT_POLICIES, *columns(put))


def _policy_row(policy: Policy) -> tuple[int | None, int | None, int, bool]:
    return policy.buffer, policy.cap, policy.allotment, policy.closed


_FORGET_HELD = """
DELETE FROM held_return h USING unnest($1::text[], $2::text[], $3::text[]) AS gone(return_id, sku, warehouse)
WHERE (h.return_id, h.sku, h.warehouse) = (gone.return_id, gone.sku, gone.warehouse)
"""
_KEEP_HELD = """
INSERT INTO held_return (return_id, sku, warehouse, order_id, store_id, quantity, held_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[])
"""


async def _save_held(held: HeldReturns, connection: Connection) -> None:
    changed = {key: part for key, part in sorted(held.units.items()) if held.stored.get(key) != part}
    gone = held.stored.keys() - (held.units.keys() - changed.keys())
    if gone:
        await connection.execute(_FORGET_HELD, *columns(sorted(gone)))
    if changed:
        rows = [
            (part.return_id, part.sku, part.warehouse, part.order_id, part.store_id, part.quantity, part.held_at)
            for part in changed.values()
        ]
        await connection.execute(_KEEP_HELD, *columns(rows))


def _json(value: Any) -> str:
    return dumps(value).decode()
