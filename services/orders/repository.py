"""The working set to and from the tables: one statement a table and batch, mapping written out."""

from collections.abc import Container, Iterable, Sequence
from typing import Any

from services.orders.channel_repository import load_bookings, save_fulfilled_there, save_refusals
from services.orders.channel_settings import connected
from services.orders.domain.axes import fulfilment_status, payment_status
from services.orders.domain.book import Entry, OrderBook
from services.orders.domain.channel import CALLS, SHIP_BY, SHIP_BY_NEARS
from services.orders.domain.facts import RECORDERS
from services.orders.domain.holds import Hold
from services.orders.domain.offer import Offer
from services.orders.domain.order import SILENCE, STOCK_WAIT, Order
from services.orders.domain.standing import PaymentTerms, Status
from services.orders.domain.timeline import BETWEEN_SERVICES, Happening
from services.orders.rows import facts_from_json, facts_to_json, reasons_from_json
from services.orders.settings import patience
from services.orders.usecases.cancel_order import CancelOrder
from services.orders.usecases.decide_stock import DecideStock
from services.orders.usecases.import_orders import ImportOrders, imported_order_id
from services.orders.usecases.place_order import PlaceOrder
from services.orders.usecases.take_channel_orders import TakeChannelOrders
from services.orders.webhook_repository import load_webhooks, save_webhooks, webhook_patterns
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.contracts.orders import OrderPlaced
from shared.contracts.registry import TopicKind
from shared.contracts.topics import BY_NAME
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.database import Connection, Row, columns
from shared.effects import Answered, Due
from shared.jsonable import dumps
from shared.messaging.codec import decode_data
from shared.messaging.message import Message
from shared.money import Money


async def load_book(messages: Sequence[Message], connection: Connection) -> OrderBook:
    """Lock and read what the messages touch: orders, then offers."""
    book = OrderBook(patience=patience(), connected=connected())
    order_ids: set[str] = set()
    imported_ids: set[str] = set()
    silent_ids: set[str] = set()
    skus: set[str] = set()
    learns = False
    for message in messages:
        match message.body:
            case PlaceOrder(wishes=wishes):
                skus.update(wish.sku for wish in wishes)
            case ImportOrders(store_id=store_id, orders=orders):
                imported_ids.update(imported_order_id(store_id, order.channel, order.external_id) for order in orders)
                skus.update(wish.sku for order in orders for wish in order.wishes)
            case TakeChannelOrders(store_id=store_id, channel=channel, sold=sold, cancelled=cancelled):
                imported_ids.update(imported_order_id(store_id, channel, one.order.external_id) for one in sold)
                skus.update(wish.sku for one in sold for wish in one.order.wishes)
                order_ids.update(imported_order_id(store_id, channel, one.external_id) for one in cancelled)
            case Answered(kind=kind, key=order_id) if kind in CALLS:
                order_ids.add(order_id)
            case Due(kind, order_id) if kind in (SHIP_BY_NEARS, SHIP_BY, STOCK_WAIT):
                order_ids.add(order_id)
            case CancelOrder(order_id=order_id) | DecideStock(order_id=order_id):
                order_ids.add(order_id)
            case Due(kind, order_id) if kind == SILENCE:
                order_ids.add(order_id)
                silent_ids.add(order_id)
            case ProductPublished(sku=sku) | ProductWithdrawn(sku=sku):
                skus.add(sku)
                learns = True
            case body if type(body) in RECORDERS:
                order_ids.add(message.key)
            case _:
                pass  # told by the timeline alone, or a webhook's
        if (happening := _happening(message)) is not None:
            book.happenings.append(happening)
    await _load_orders(sorted(order_ids), book, connection)
    if book.connected:
        await load_bookings(messages, book, connection)
    await _load_announcements(sorted(silent_ids), book, connection)
    await _load_imported(sorted(imported_ids), book, connection)
    await _load_offers(sorted(skus), learns, book, connection)
    await load_webhooks(messages, book.webhooks, connection)
    return book


async def save_book(book: OrderBook, connection: Connection) -> None:
    """Write what changed."""
    new = [(book.orders[order_id], entry) for order_id, entry in sorted(book.entries.items(), key=lambda item: item[0])]
    known = [book.orders[order_id] for order_id in sorted(book.changed) if order_id not in book.entries]
    await _insert_orders(new, connection)
    await _insert_lines((entry for _, entry in new), connection)
    await _insert_recipients((entry for _, entry in new), connection)
    await _update_orders(known, connection)
    await _save_holds([*known, *(order for order, _ in new)], book.held_before, connection)
    await _insert_happenings(book.happenings, connection)
    await save_webhooks(book.webhooks, connection)
    if book.channel_refusals:
        await save_refusals(book.channel_refusals, connection)
    if book.fulfilled_there:
        book.counted_there = await save_fulfilled_there(book.fulfilled_there, connection)
    await _save_offers([book.offers[sku] for sku in sorted(book.learned)], connection)


def _happening(message: Message) -> Happening | None:
    topic = BY_NAME.get(message.topic)
    if topic is None or topic.kind is TopicKind.STATE:
        return None
    return Happening(
        event_id=message.moment.message_id,
        order_id=message.key,  # every stream topic is keyed by the order
        type=message.type,
        topic=message.topic,
        sequence=message.sequence,
        cause=message.causation_id,
        at=message.moment.occurred_at,
        payload=message.payload.decode(),
    )


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_SELECT_ORDERS = """
SELECT id, store_id, market, channel, external_id, refusable, currency, total, payment_mode, payment_method, payment_token,
    card_fingerprint, created_at, status, held, facts, reasons, awaits, patient_until, version
FROM orders WHERE id = ANY($1) ORDER BY id FOR UPDATE
"""


async def _load_orders(order_ids: list[str], book: OrderBook, connection: Connection) -> None:
    if not order_ids:
        return
    rows = await connection.fetch(_SELECT_ORDERS, order_ids)
    held = [row["id"] for row in rows if row["held"]]
    holds = await connection.fetch("SELECT * FROM order_hold WHERE order_id = ANY($1)", held) if held else []
    book.orders = {row["id"]: _order(row) for row in rows}
    book.before = {order_id: order.status for order_id, order in book.orders.items()}
    for row in holds:
        hold = Hold(reasons_from_json(row["reasons"]), row["since"])
        book.orders[row["order_id"]].holds[row["code"]] = hold
    book.held_before = {order_id: frozenset(book.orders[order_id].holds) for order_id in held}


def _order(row: Row) -> Order:
    return Order(
        id=row["id"],
        store_id=row["store_id"],
        market=row["market"],
        channel=row["channel"],
        external_id=row["external_id"],
        refusable=row["refusable"],
        total=Money(row["total"], row["currency"]),
        terms=PaymentTerms(
            mode=PaymentMode(row["payment_mode"]),
            method=PaymentMethod(row["payment_method"]),
            token=row["payment_token"],
            card_fingerprint=row["card_fingerprint"],
        ),
        created_at=row["created_at"],
        status=Status(row["status"]),
        facts=facts_from_json(row["facts"]),
        reasons=reasons_from_json(row["reasons"]),
        awaits=row["awaits"],
        patient_until=row["patient_until"],
        patience=patience(),
        version=row["version"],
    )


# The timeline keeps it for ever, but hears of it over Kafka; the outbox has it at once, and for days.
_ANNOUNCEMENTS = """
SELECT order_id, payload FROM timeline_event WHERE order_id = ANY($1) AND type = $2
UNION ALL
SELECT key, payload FROM outbox WHERE topic = $3 AND key = ANY($1) AND type = $2
"""


async def _load_announcements(order_ids: list[str], book: OrderBook, connection: Connection) -> None:
    """How the orders were announced whose patience ends: rare, and what a question to the silent must carry."""
    if not order_ids:
        return
    kind, topic = OrderPlaced.event_type, OrderPlaced.topic.name
    for row in await connection.fetch(_ANNOUNCEMENTS, order_ids, kind, topic):
        placed = decode_data(kind, row["payload"])
        if isinstance(placed, OrderPlaced):
            book.announced[row["order_id"]] = placed


async def _load_imported(order_ids: list[str], book: OrderBook, connection: Connection) -> None:
    if not order_ids:
        return
    rows = await connection.fetch("SELECT id, content_hash FROM orders WHERE id = ANY($1)", order_ids)
    book.imported = {row["id"]: row["content_hash"] for row in rows}


async def _load_offers(skus: list[str], learns: bool, book: OrderBook, connection: Connection) -> None:
    if not skus:
        return
    lock = " ORDER BY sku FOR UPDATE" if learns else ""
    rows = await connection.fetch(
        f"SELECT sku, store_id, version, withdrawn, prices FROM offer WHERE sku = ANY($1){lock}",  # noqa: S608 (two constants)
        skus,
    )
    book.offers = {row["sku"]: _offer(row) for row in rows}


def _offer(row: Row) -> Offer:
    prices = {
        market: tuple(Money(int(price["amount"]), price["currency"]) for price in found)
        for market, found in row["prices"].items()
    }
    return Offer(
        sku=row["sku"], store_id=row["store_id"], version=row["version"], prices=prices, withdrawn=row["withdrawn"]
    )


# ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_INSERT_ORDERS = """
INSERT INTO orders (
    id, store_id, number, market, channel, external_id, content_hash, placed_at, created_at, updated_at, version, status,
    payment_status, fulfilment_status, held, facts, reasons, awaits, patient_until, currency, goods, shipping, duties, taxes,
    fees, total, country, region, postal_area, payment_mode, payment_method, payment_token, card_fingerprint, refusable,
    incoterm, service, quote_id, channel_fee)
SELECT id, store_id, number, market, channel, external_id, content_hash, placed_at, created_at, now(), 1, status,
    payment_status, fulfilment_status, held, facts, reasons::jsonb, awaits, patient_until, currency, goods, shipping, duties,
    taxes, fees, total, country, region, postal_area, payment_mode, payment_method, payment_token, card_fingerprint, refusable,
    incoterm, service, quote_id, channel_fee
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
    $9::timestamptz[], $10::text[], $11::text[], $12::text[], $13::bool[], $14::jsonb[], $15::text[], $16::text[],
    $17::timestamptz[], $18::text[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[],
    $25::text[], $26::text[], $27::text[], $28::text[], $29::text[], $30::text[], $31::text[], $32::bool[], $33::text[],
    $34::text[], $35::text[], $36::bigint[])
AS n(id, store_id, number, market, channel, external_id, content_hash, placed_at, created_at, status, payment_status,
    fulfilment_status, held, facts, reasons, awaits, patient_until, currency, goods, shipping, duties, taxes, fees, total,
    country, region, postal_area, payment_mode, payment_method, payment_token, card_fingerprint, refusable, incoterm, service,
    quote_id, channel_fee)
"""


async def _insert_orders(new: Sequence[tuple[Order, Entry]], connection: Connection) -> None:
    if new:
        await connection.execute(_INSERT_ORDERS, *columns([_order_row(order, entry) for order, entry in new]))


def _order_row(order: Order, entry: Entry) -> tuple[Any, ...]:
    placed, totals, destination = entry.placed, entry.placed.totals, entry.placed.destination
    return (
        order.id, order.store_id, placed.number, order.market, order.channel, placed.external_id, entry.content_hash,
        placed.placed_at, order.created_at, order.status, payment_status(order.facts, order.total.amount),
        fulfilment_status(order.facts), bool(order.holds), facts_to_json(order.facts), _json(order.reasons), order.awaits,
        order.patient_until, order.total.currency, totals.goods.amount, totals.shipping.amount, totals.duties.amount,
        totals.taxes.amount, totals.fees.amount, totals.total.amount, destination.country, destination.region,
        destination.postal_area, order.terms.mode, order.terms.method, order.terms.token, order.terms.card_fingerprint,
        order.refusable, placed.incoterm, placed.service, placed.quote_id,
        entry.channel_fee.amount if entry.channel_fee else None,
    )  # fmt: skip


async def _insert_lines(entries: Iterable[Entry], connection: Connection) -> None:
    rows = [
        (e.placed.order_id, o.line, o.sku, o.quantity, o.unit_price.amount, o.total.amount, o.total.currency)
        for e in entries
        for o in e.placed.lines
    ]
    if rows:
        await connection.execute(
            "INSERT INTO order_line (order_id, line, sku, quantity, unit_price, total, currency) SELECT * FROM"
            " unnest($1::text[], $2::int[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])",
            *columns(rows),
        )


async def _insert_recipients(entries: Iterable[Entry], connection: Connection) -> None:
    rows = [
        (
            e.placed.order_id, e.placed.store_id, e.recipient.customer_id, e.recipient.name, e.recipient.email,
            e.recipient.phone, e.recipient.address.line1, e.recipient.address.line2, e.recipient.address.city,
            e.recipient.address.region, e.recipient.address.postcode, e.recipient.address.country,
        )
        for e in entries
    ]  # fmt: skip
    if rows:
        await connection.execute(
            "INSERT INTO recipient (order_id, store_id, customer_id, name, email, phone, line1, line2, city, region, postcode,"
            " country) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
            " $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])",
            *columns(rows),
        )


_UPDATE_ORDERS = """
UPDATE orders o SET status = n.status, payment_status = n.payment_status, fulfilment_status = n.fulfilment_status, held = n.held,
    facts = n.facts, reasons = n.reasons::jsonb, awaits = n.awaits, patient_until = n.patient_until, version = o.version + 1,
    updated_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::jsonb[], $7::text[], $8::text[], $9::timestamptz[])
    AS n(id, status, payment_status, fulfilment_status, held, facts, reasons, awaits, patient_until)
WHERE o.id = n.id
"""


async def _update_orders(changed: Sequence[Order], connection: Connection) -> None:
    if not changed:
        return
    rows = [
        (
            order.id, order.status, payment_status(order.facts, order.total.amount), fulfilment_status(order.facts),
            bool(order.holds), facts_to_json(order.facts), _json(order.reasons), order.awaits, order.patient_until,
        )
        for order in changed
    ]  # fmt: skip
    await connection.execute(_UPDATE_ORDERS, *columns(rows))


async def _save_holds(changed: Sequence[Order], held_before: Container[str], connection: Connection) -> None:
    """The open holds as they now are. Orders that nothing holds cost no statement."""
    touched = [order for order in changed if order.holds or order.id in held_before]
    if not touched:
        return
    rows = [
        (order.id, code, order.store_id, _json(hold.reasons), hold.since)
        for order in touched
        for code, hold in sorted(order.holds.items())
    ]
    await connection.execute(
        "DELETE FROM order_hold h WHERE h.order_id = ANY($1)"
        " AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS n(order_id, code)"
        " WHERE n.order_id = h.order_id AND n.code = h.code)",
        [order.id for order in touched],
        [row[0] for row in rows],
        [row[1] for row in rows],
    )
    if rows:
        await connection.execute(
            "INSERT INTO order_hold (order_id, code, store_id, reasons, since)"
            " SELECT h.order_id, h.code, h.store_id, h.reasons::jsonb, h.since"
            " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])"
            " AS h(order_id, code, store_id, reasons, since)"
            " ON CONFLICT (order_id, code) DO UPDATE SET reasons = excluded.reasons",
            *columns(rows),
        )


# What was heard, and with it in one statement what webhooks are to tell of it. A database without webhook endpoints pays a
# glance at their empty table: PostgreSQL does not even begin with the join.
_INSERT_HAPPENINGS = """
WITH heard AS (
    INSERT INTO timeline_event (order_id, event_id, type, topic, sequence, cause, at, payload) SELECT * FROM
    unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::text[])
    ON CONFLICT DO NOTHING RETURNING order_id, event_id, type
)
INSERT INTO webhook_delivery (id, endpoint_id, store_id, event_id, event_type, order_id, status, tries, attempts, next_at,
    last_error, created_at)
SELECT 'whd_' || left(right(h.event_id, 26), 10) || left(encode(sha256(convert_to(e.id || ' ' || h.event_id, 'UTF8')), 'hex'), 16),
    e.id, e.store_id, h.event_id, h.type, h.order_id, CASE e.state WHEN 'enabled' THEN 'pending' ELSE 'skipped' END, 0, 0, now(),
    '', now()
FROM heard h
JOIN unnest($9::text[], $10::text[]) AS p(type, patterns) ON p.type = h.type
JOIN orders o ON o.id = h.order_id
JOIN webhook_endpoint e ON e.store_id = o.store_id AND e.event_types && string_to_array(p.patterns, ' ')
WHERE EXISTS (SELECT FROM webhook_endpoint)
"""


async def _insert_happenings(happenings: Sequence[Happening], connection: Connection) -> None:
    if not happenings:
        return
    rows = [(h.order_id, h.event_id, h.type, h.topic, h.sequence, h.cause, h.at, h.payload) for h in happenings]
    # Types that only a newer service knows are told as well.
    told = {h.type for h in happenings} - BETWEEN_SERVICES
    await connection.execute(_INSERT_HAPPENINGS, *columns(rows), *webhook_patterns(told))


async def _save_offers(offers: Sequence[Offer], connection: Connection) -> None:
    if not offers:
        return
    rows = [(offer.sku, offer.store_id, offer.version, offer.withdrawn, dict(offer.prices)) for offer in offers]
    await connection.execute(
        "INSERT INTO offer AS o (sku, store_id, version, withdrawn, prices)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bool[], $5::jsonb[])"
        " ON CONFLICT (sku) DO UPDATE SET version = excluded.version, withdrawn = excluded.withdrawn, prices = excluded.prices"
        " WHERE o.version < excluded.version",
        *columns(rows),
    )


def _json(value: object) -> str:
    # A list among an array's elements would be taken for another dimension of the array.
    return dumps(value).decode()
