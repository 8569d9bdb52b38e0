"""Loading and saving counts: one statement a table, for all messages of a batch at once."""

from collections.abc import Collection, Mapping
from datetime import datetime

from services.inventory.domain.count import Count, Counts, Since
from shared.database import Connection, columns

# Goods that moved, and people who counted, after an instant. Kinds as in domain/count.py and the index.
_SINCE = """
SELECT k.sku, k.warehouse, k.instant, coalesce(m.moved, 0)::bigint AS moved, m.counted_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS k(sku, warehouse, instant)
CROSS JOIN LATERAL (
    SELECT sum(on_hand) FILTER (WHERE kind <> 'count') AS moved, max(occurred_at) FILTER (WHERE kind = 'count') AS counted_at
    FROM movement WHERE sku = k.sku AND warehouse = k.warehouse AND occurred_at > k.instant
        AND kind IN ('receipt', 'count', 'write_off', 'consumed', 'restocked', 'transfer_out', 'transfer_in', 'transfer_over')
) m
"""


async def read_since(
    counted: Collection[tuple[str, str, datetime]], connection: Connection
) -> dict[tuple[str, str, datetime], Since]:
    """What the ledger tells of each (SKU, warehouse) after the instant."""
    if not counted:
        return {}
    rows = await connection.fetch(_SINCE, *columns(sorted(counted)))
    return {(row["sku"], row["warehouse"], row["instant"]): Since(row["moved"], row["counted_at"]) for row in rows}


_COUNTS = """
SELECT sku, warehouse, source, version, as_of, quantity, on_hand, change, store_id, actor, counted_at
FROM stock_count WHERE sku = ANY($1)
"""


async def read_counts(skus: Mapping[str, object], connection: Connection) -> dict[tuple[str, str, str], Count]:
    """The newest count of each source, of SKUs that are locked."""
    rows = await connection.fetch(_COUNTS, list(skus))
    return {(row["sku"], row["warehouse"], row["source"]): Count(**row) for row in rows}


# A row that is not there is guarded by the SKU's lock; the version is the fence behind it.
_SAVE_COUNTS = """
INSERT INTO stock_count (sku, warehouse, source, version, as_of, quantity, on_hand, change, store_id, actor, counted_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
    $10::text[], $11::timestamptz[]
)
ON CONFLICT (sku, warehouse, source) DO UPDATE SET version = excluded.version, as_of = excluded.as_of, quantity = excluded.quantity,
    on_hand = excluded.on_hand, change = excluded.change, store_id = excluded.store_id, actor = excluded.actor,
    counted_at = excluded.counted_at
WHERE stock_count.version < excluded.version
"""


async def save_counts(counts: Counts, connection: Connection) -> None:
    """Keep what sources said newly."""
    if counts.taken:
        rows = [
            (
                c.sku,
                c.warehouse,
                c.source,
                c.version,
                c.as_of,
                c.quantity,
                c.on_hand,
                c.change,
                c.store_id,
                c.actor,
                c.counted_at,
            )
            for _, c in sorted(counts.taken.items())
        ]
        await connection.execute(_SAVE_COUNTS, *columns(rows))
