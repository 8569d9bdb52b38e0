"""What a batch must know of channels, the refusals that it leaves, and what it counts of other warehouses."""

from collections.abc import Mapping, Sequence

from services.orders.domain.book import ChannelRefusal, OrderBook
from services.orders.domain.fulfilled import FulfilledThere
from services.orders.usecases.take_channel_orders import TakeChannelOrders
from shared.contracts.logistics import ShipmentBooked, ShipmentDispatched
from shared.database import Connection, columns
from shared.jsonable import dumps
from shared.messaging.codec import decode_data
from shared.messaging.message import Message

RETRY_S = 60.0


async def load_bookings(messages: Sequence[Message], book: OrderBook, connection: Connection) -> None:
    """How the shipments that have left were booked, where their orders' channels are connected.

    A booking and its hand-over are of one topic: it was heard before, or comes in the same batch.
    """
    left = {m.key for m in messages if isinstance(m.body, ShipmentDispatched)}
    wanted = sorted(
        order_id for order_id in left if order_id in book.orders and book.is_connected(book.orders[order_id])
    )
    if not wanted:
        return
    kind = ShipmentBooked.event_type
    rows = await connection.fetch(
        "SELECT payload FROM timeline_event WHERE order_id = ANY($1) AND type = $2", wanted, kind
    )
    heard = [decode_data(kind, row["payload"]) for row in rows]
    for booking in [*heard, *(message.body for message in messages)]:
        if isinstance(booking, ShipmentBooked):
            book.bookings[booking.shipment_id] = booking


_REFUSE = """
INSERT INTO channel_refusal AS r (store_id, channel, external_id, code, detail, cursor, since, retry_at)
SELECT n.*, now(), now() + make_interval(secs => $7)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) AS n
ON CONFLICT (store_id, channel, external_id) DO UPDATE SET code = excluded.code, detail = excluded.detail,
    cursor = CASE WHEN excluded.cursor = '' THEN r.cursor ELSE excluded.cursor END, retry_at = excluded.retry_at
"""
_TAKEN = """
DELETE FROM channel_refusal r USING unnest($1::text[], $2::text[], $3::text[]) AS n(store_id, channel, external_id)
WHERE r.store_id = n.store_id AND r.channel = n.channel AND r.external_id = n.external_id
"""


# Whoever tells the same again changes nothing, nor does an older word that comes late. `xmax` is 0 where the row is new.
_COUNT = """
INSERT INTO channel_fulfilled AS f (store_id, channel, external_id, state, placed_at, updated_at, counted_at, currency, goods,
    shipping, taxes, fee, lines)
SELECT store_id, channel, external_id, state, placed_at, updated_at, now(), currency, goods, shipping, taxes, fee, lines::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[], $12::text[])
AS n(store_id, channel, external_id, state, placed_at, updated_at, currency, goods, shipping, taxes, fee, lines)
ON CONFLICT (store_id, channel, external_id) DO UPDATE SET state = excluded.state, placed_at = excluded.placed_at,
    updated_at = excluded.updated_at, currency = excluded.currency, goods = excluded.goods, shipping = excluded.shipping,
    taxes = excluded.taxes, fee = excluded.fee, lines = excluded.lines
WHERE f.updated_at < excluded.updated_at
RETURNING channel, xmax = 0 AS is_new
"""


async def save_fulfilled_there(
    orders: Mapping[tuple[str, str, str], FulfilledThere], connection: Connection
) -> list[str]:
    """Count what channels ship themselves, each order once. Returns the channels of those that were not known."""
    rows = [
        (
            *key, order.state, order.placed_at, order.updated_at, order.shipping.currency, order.goods,
            order.shipping.amount, order.taxes, order.fee.amount, _lines_json(order),
        )
        for key, order in sorted(orders.items(), key=lambda item: item[0])
    ]  # fmt: skip
    saved = await connection.fetch(_COUNT, *columns(rows))
    return [row["channel"] for row in saved if row["is_new"]]


def _lines_json(order: FulfilledThere) -> str:
    # A list among an array's elements would be taken for another dimension of the array.
    return dumps(order.lines).decode()


async def save_refusals(refusals: Sequence[ChannelRefusal], connection: Connection) -> None:
    """Keep what was refused, forget what was taken in at last. The last word of a batch about an order counts."""
    last = {(r.store_id, r.channel, r.external_id): r for r in refusals}
    refused = [
        (*key, r.code, r.detail, r.cursor) for key, r in sorted(last.items(), key=lambda item: item[0]) if r.code
    ]
    taken = sorted(key for key, r in last.items() if not r.code)
    if refused:
        await connection.execute(_REFUSE, *columns(refused), RETRY_S)
    if taken:
        await connection.execute(_TAKEN, *columns(taken))


async def keep_undecidable(command: TakeChannelOrders, external_id: str, connection: Connection) -> None:
    """An order whose import raised: that is a bug of ours, and no reason to lose it or to read no further."""
    refusal = ChannelRefusal(
        store_id=command.store_id,
        channel=command.channel,
        external_id=external_id,
        code="order.undecidable",
        detail="its import failed; the log says why",
        cursor=command.cursor,
    )
    await save_refusals([refusal], connection)
