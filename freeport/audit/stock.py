"""Invariants of the stock: counters, ledger and holds tell the same story."""

from freeport.audit.books import Books, Row
from freeport.audit.check import Check, Finding

_LEVELS = "SELECT sku, warehouse, on_hand, reserved FROM stock_level"
_LEDGER = """
SELECT sku, warehouse, sum(on_hand)::bigint AS on_hand, sum(reserved)::bigint AS reserved
FROM movement GROUP BY sku, warehouse
"""
_HELD = """
SELECT a.sku, a.warehouse, sum(a.quantity)::bigint AS quantity
FROM reservation r CROSS JOIN LATERAL jsonb_to_recordset(r.allocations) AS a(sku text, warehouse text, quantity bigint)
WHERE r.status IN ('held', 'committed') GROUP BY a.sku, a.warehouse
"""
# Goods between warehouses: what each transfer's lines say, and what the ledger says of them.
_IN_TRANSIT = "SELECT transfer_id, sku, shipped - arrived - damaged - short AS in_transit, over FROM transfer_line"
_MOVED = """
SELECT cause AS transfer_id, sku, sum(in_transit)::bigint AS in_transit,
    coalesce(sum(on_hand) FILTER (WHERE kind = 'transfer_over'), 0)::bigint AS over
FROM movement WHERE kind IN ('transfer_out', 'transfer_in', 'transfer_damaged', 'transfer_short', 'transfer_over')
GROUP BY cause, sku
"""
# What an order needs against what its plan holds, or held until the goods left, by SKU.
_PLANS = """
SELECT r.order_id, r.status, d.sku, d.needed, coalesce(p.planned, 0) AS planned
FROM reservation r
CROSS JOIN LATERAL (SELECT key AS sku, value::bigint AS needed FROM jsonb_each_text(r.demand)) d
LEFT JOIN LATERAL (
    SELECT sum(a.quantity)::bigint AS planned FROM jsonb_to_recordset(r.allocations) AS a(sku text, quantity bigint)
    WHERE a.sku = d.sku
) p ON true
WHERE r.status IN ('held', 'committed', 'consumed')
"""

Place = tuple[str, str]


async def within_bounds(books: Books) -> Finding:
    """0 ≤ reserved ≤ on hand, everywhere."""
    levels = await books.read("inventory", _LEVELS)
    return Finding().add(
        len(levels),
        (
            f"{row['sku']} in {row['warehouse']}: {row['reserved']} reserved of {row['on_hand']} on hand"
            for row in levels
            if not 0 <= row["reserved"] <= row["on_hand"]
        ),
    )


async def counters_are_the_ledger(books: Books) -> Finding:
    """On hand and reserved equal the folded ledger."""
    levels = _by_place(await books.read("inventory", _LEVELS))
    ledger = _by_place(await books.read("inventory", _LEDGER))
    finding = Finding()
    for counter in ("on_hand", "reserved"):
        finding.add(
            len(levels.keys() | ledger.keys()), _differences(counter, levels, "the ledger says", ledger, counter)
        )
    return finding


async def reserved_is_held(books: Books) -> Finding:
    """What is reserved equals what the orders' reservations hold."""
    levels = _by_place(await books.read("inventory", _LEVELS))
    held = _by_place(await books.read("inventory", _HELD))
    wrong = _differences("reserved", levels, "reservations hold", held, "quantity")
    return Finding().add(len(levels.keys() | held.keys()), wrong)


async def plans_are_whole(books: Books) -> Finding:
    """Every hold covers all that its order needs, and nothing more: all lines or none."""
    plans = await books.read("inventory", _PLANS)
    return Finding().add(
        len(plans),
        (
            f"{row['order_id']} ({row['status']}) needs {row['needed']} of {row['sku']} and holds {row['planned']}"
            for row in plans
            if row["needed"] != row["planned"]
        ),
    )


async def in_transit_is_the_ledger(books: Books) -> Finding:
    """What the transfers' lines have in transit, and came beyond what was shipped, equals the folded ledger."""
    lines = _by_transfer(await books.read("inventory", _IN_TRANSIT))
    ledger = _by_transfer(await books.read("inventory", _MOVED))
    return Finding().add(
        len(lines.keys() | ledger.keys()),
        (
            f"{transfer_id}, {sku}: in transit and over are {lines.get((transfer_id, sku), (0, 0))}, the ledger says"
            f" {ledger.get((transfer_id, sku), (0, 0))}"
            for transfer_id, sku in sorted(lines.keys() | ledger.keys())
            if lines.get((transfer_id, sku), (0, 0)) != ledger.get((transfer_id, sku), (0, 0))
        ),
    )


def _by_transfer(rows: list[Row]) -> dict[Place, tuple[int, int]]:
    return {(row["transfer_id"], row["sku"]): (row["in_transit"], row["over"]) for row in rows}


def _by_place(rows: list[Row]) -> dict[Place, Row]:
    return {(row["sku"], row["warehouse"]): row for row in rows}


def _differences(
    counter: str, levels: dict[Place, Row], words: str, others: dict[Place, Row], column: str
) -> list[str]:
    """Where the counter of a place is not what the others say; what is missing on either side is 0."""
    nothing: Row = {counter: 0, column: 0}
    return [
        f"{sku} in {warehouse}: {counter} is {here}, {words} {there}"
        for sku, warehouse in sorted(levels.keys() | others.keys())
        if (here := levels.get((sku, warehouse), nothing)[counter])
        != (there := others.get((sku, warehouse), nothing)[column])
    ]


_NEEDS = ("inventory",)
CHECKS = (
    Check("stock.within_bounds", "0 ≤ reserved ≤ on hand, for every SKU and warehouse", _NEEDS, within_bounds),
    Check("stock.counters_are_the_ledger", "stock counters equal the folded ledger", _NEEDS, counters_are_the_ledger),
    Check("stock.reserved_is_held", "what is reserved is what orders hold", _NEEDS, reserved_is_held),
    Check("stock.plans_are_whole", "every hold covers its whole order", _NEEDS, plans_are_whole),
    Check(
        "stock.in_transit_is_the_ledger", "what is in transit is the folded ledger", _NEEDS, in_transit_is_the_ledger
    ),
)
