"""Loading, saving and showing transfers. A transfer is guarded by the locks of its SKUs, which never change."""

from collections.abc import Collection

from services.inventory.domain.transfer import Transfer, TransferLine, Transfers, TransferStatus
from services.inventory.rows import Source
from shared.database import Connection, Row, columns


async def read_skus_of_transfers(transfers: Collection[str], connection: Connection) -> list[str]:
    """What must be locked before the transfers are read."""
    if not transfers:
        return []
    rows = await connection.fetch("SELECT sku FROM transfer_line WHERE transfer_id = ANY($1)", list(transfers))
    return [row["sku"] for row in rows]


_TRANSFERS = """
SELECT t.id, t.store_id, t.source, t.destination, t.status, t.reason, t.shipped_at, t.received_at, t.actor,
    l.sku, l.shipped, l.arrived, l.damaged, l.short, l.over
FROM transfer t JOIN transfer_line l ON l.transfer_id = t.id
WHERE t.id = ANY($1) ORDER BY t.id, l.sku
"""


async def read_transfers(transfers: Collection[str], source: Source) -> Transfers:
    """These transfers with their lines; those that are not there are left out."""
    found: dict[str, Transfer] = {}
    for row in await source.fetch(_TRANSFERS, list(transfers)) if transfers else ():
        if row["id"] not in found:
            found[row["id"]] = _to_transfer(row)
        found[row["id"]].lines[row["sku"]] = TransferLine(
            sku=row["sku"],
            shipped=row["shipped"],
            arrived=row["arrived"],
            damaged=row["damaged"],
            short=row["short"],
            over=row["over"],
        )
    return Transfers(found)


def _to_transfer(row: Row) -> Transfer:
    return Transfer(
        id=row["id"],
        store_id=row["store_id"],
        source=row["source"],
        destination=row["destination"],
        reason=row["reason"],
        shipped_at=row["shipped_at"],
        actor=row["actor"],
        lines={},
        status=TransferStatus(row["status"]),
        received_at=row["received_at"],
        stored=True,
    )


_ADD_TRANSFERS = """
INSERT INTO transfer (id, store_id, source, destination, status, reason, shipped_at, received_at, actor)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[]
)
"""
_ADD_LINES = """
INSERT INTO transfer_line (transfer_id, sku, shipped, arrived, damaged, short, over)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
"""
_CHANGE_TRANSFERS = """
UPDATE transfer t SET status = n.status, received_at = n.received_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS n(id, status, received_at) WHERE t.id = n.id
"""
_CHANGE_LINES = """
UPDATE transfer_line l SET arrived = n.arrived, damaged = n.damaged, short = n.short, over = n.over
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS n(transfer_id, sku, arrived, damaged, short, over)
WHERE l.transfer_id = n.transfer_id AND l.sku = n.sku
"""


async def save_transfers(transfers: Transfers, connection: Connection) -> None:
    """Keep those that were shipped or received."""
    changed = [transfer for _, transfer in sorted(transfers.by_id.items()) if transfer.changed]
    if new := [transfer for transfer in changed if not transfer.stored]:
        rows = [
            (t.id, t.store_id, t.source, t.destination, t.status, t.reason, t.shipped_at, t.received_at, t.actor)
            for t in new
        ]
        await connection.execute(_ADD_TRANSFERS, *columns(rows))
        lines = [(t.id, n.sku, n.shipped, n.arrived, n.damaged, n.short, n.over) for t in new for n in t.lines.values()]
        await connection.execute(_ADD_LINES, *columns(lines))
    if known := [transfer for transfer in changed if transfer.stored]:
        await connection.execute(_CHANGE_TRANSFERS, *columns([(t.id, t.status, t.received_at) for t in known]))
        lines = [(t.id, n.sku, n.arrived, n.damaged, n.short, n.over) for t in known for n in t.lines.values()]
        await connection.execute(_CHANGE_LINES, *columns(lines))
