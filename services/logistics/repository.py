"""Loading and saving what a batch touches: one statement a table, and only the tables that the batch needs."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.logistics import books
from services.logistics.domain import calls
from services.logistics.domain.consignment import Consignment
from services.logistics.domain.desk import Desk, Place
from services.logistics.domain.parcels import Box, Scan
from services.logistics.rows import (
    box_from,
    consignment_from,
    document_from,
    json_text,
    product_from,
    return_from,
    stray_from,
)
from services.logistics.settings import seller
from services.logistics.tables import CATALOG_LOCK
from services.logistics.usecases.answer_again import WHO
from services.logistics.usecases.erase_recipient import EraseRecipient
from services.logistics.usecases.recheck_papers import RECHECK, recheck_place
from services.logistics.usecases.record_scan import STRAY, RecordScan
from services.logistics.usecases.retry_booking import RetryBooking
from services.logistics.usecases.supply_document import SupplyDocument
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.contracts.orders import (
    AnswerAwaited,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
)
from shared.contracts.support import ReturnApproved
from shared.database import Connection, Stale, columns
from shared.effects import Answered, Due
from shared.messaging.message import Message

_HELD_AT_ONCE = 1000  # held orders that a batch judges again for changed products, all of them together


@dataclass(slots=True)
class _Wanted:
    """What the messages of a batch are about."""

    orders: set[str] = field(default_factory=set[str])
    skus: set[str] = field(default_factory=set[str])
    judged: set[str] = field(default_factory=set[str])  # orders whose papers are judged, so that products are needed
    rechecks: dict[str, str] = field(default_factory=dict[str, str])  # SKU to the order after which to look
    returns: set[str] = field(default_factory=set[str])
    returns_of: set[str] = field(default_factory=set[str])
    scans: list[Scan] = field(default_factory=list[Scan])
    strays: set[str] = field(default_factory=set[str])
    judging: bool = False
    changing: bool = False

    @classmethod
    def by(cls, messages: Sequence[Message]) -> "_Wanted":
        wanted = cls()
        for message in messages:
            wanted._add(message.body)
        return wanted

    def _add(self, body: Any) -> None:
        match body:
            case OrderPlaced():
                self.judging = True
                self.orders.add(body.order_id)  # documents cannot be here before it, a catalog copy can
                self.skus.update(line.sku for line in body.lines)
            case OrderConfirmed():
                self._judge(body.order_id)
                self.returns_of.add(body.order_id)
            case AnswerAwaited() if WHO in body.whom:
                self._judge(body.order_id)
                self.returns_of.add(body.order_id)
                self.skus.update(line.sku for line in body.placed.lines)
            case OrderCancellationRequested() | OrderRejected() | OrderCancelled() | RetryBooking() | EraseRecipient():
                self.orders.add(body.order_id)
            case ProductPublished():
                self.skus.add(body.sku)
                self.rechecks[body.sku] = ""
                self.changing = True
            case ProductWithdrawn():
                self.skus.add(body.sku)
            case ReturnApproved():
                self.orders.add(body.order_id)
                self.returns.add(body.return_id)
                self.skus.update(line.sku for line in body.lines)
            case SupplyDocument():
                self._add_document(body)
            case RecordScan():
                self.scans.append(body.scan)
            case Due(kind, key):
                self._add_deadline(kind, key)
            case Answered():
                self._add_answer(body)
            case _:
                return

    def _judge(self, order_id: str) -> None:
        self.orders.add(order_id)
        self.judged.add(order_id)
        self.judging = True

    def _add_document(self, command: SupplyDocument) -> None:
        if command.order_id:
            self._judge(command.order_id)
        else:
            self.rechecks[command.sku] = ""
            self.changing = True

    def _add_deadline(self, kind: str, key: str) -> None:
        if kind == RECHECK:
            sku, last = recheck_place(key)
            self.rechecks[sku] = min(last, self.rechecks.get(sku, last))  # of two chains the one that is behind
            self.judging = True
        elif kind == STRAY:
            self.strays.add(key)

    def _add_answer(self, answered: Answered) -> None:
        self.orders.add(answered.key)
        if answered.kind in (calls.RETURN_LABEL, calls.FIND_RETURN_LABEL):
            self.returns.add(answered.request["subject"])
        elif answered.kind == calls.RECIPIENT:
            self.judged.add(answered.key)  # packing and papers need the products, too


# ── Loading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def load_desk(messages: Sequence[Message], connection: Connection) -> Desk:
    """The working set of the messages, its rows locked."""
    wanted = _Wanted.by(messages)
    desk = Desk(rulebook=books.rulebook(), carriers=books.carrier_book(), seller=seller())
    if wanted.judging or wanted.changing:
        await _lock_catalog(desk, connection, alone=wanted.changing)
    if wanted.rechecks:
        await _find_held(desk, wanted, connection)
    if wanted.strays:
        rows = await connection.fetch("SELECT * FROM stray_scan WHERE webhook_id = ANY($1)", sorted(wanted.strays))
        desk.strays = {row["webhook_id"]: stray_from(row) for row in rows}
        wanted.scans.extend(stray.scan for stray in desk.strays.values())
    if wanted.scans:
        await _find_places(desk, wanted, connection)
    if wanted.orders:
        await _load_orders(desk, wanted, connection)
    if wanted.returns or wanted.returns_of:
        rows = await connection.fetch(_RETURNS, sorted(wanted.returns), sorted(wanted.returns_of))
        desk.returns = {row["return_id"]: return_from(row) for row in rows}
    if wanted.judging or wanted.changing:
        await _load_documents(desk, wanted, connection)
    if wanted.skus:
        rows = await connection.fetch("SELECT * FROM product WHERE sku = ANY($1)", sorted(wanted.skus))
        desk.products = {row["sku"]: product_from(row) for row in rows}
    return desk


async def _lock_catalog(desk: Desk, connection: Connection, *, alone: bool) -> None:
    function = "pg_advisory_xact_lock" if alone else "pg_advisory_xact_lock_shared"
    await connection.execute(f"SELECT {function}($1)", CATALOG_LOCK)
    desk.rulebook_stored = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM rulebook WHERE version = $1)", desk.rulebook.version
    )


_HELD = """
SELECT wanted.sku, held.order_id
FROM unnest($1::text[], $2::text[]) AS wanted(sku, last)
CROSS JOIN LATERAL (
    SELECT order_id FROM held_line WHERE sku = wanted.sku AND order_id > wanted.last ORDER BY order_id LIMIT $3
) AS held
ORDER BY wanted.sku, held.order_id
"""


async def _find_held(desk: Desk, wanted: _Wanted, connection: Connection) -> None:
    """Which held orders are judged again in this batch, and where there are more of them."""
    chunk = max(10, _HELD_AT_ONCE // len(wanted.rechecks))
    rows = await connection.fetch(_HELD, list(wanted.rechecks), list(wanted.rechecks.values()), chunk + 1)
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row["sku"]].append(row["order_id"])
    for sku, orders in found.items():
        if len(orders) > chunk:
            desk.more[sku] = orders[chunk - 1]
        wanted.orders.update(orders[:chunk])
        wanted.judged.update(orders[:chunk])


_PLACES = """
SELECT parcel_id AS name, order_id, parcel_id, '' AS return_id, labelled_at AS since FROM parcel WHERE parcel_id = ANY($1)
UNION ALL
SELECT tracking_number, order_id, parcel_id, '', labelled_at FROM parcel WHERE tracking_number = ANY($1)
UNION ALL
SELECT return_id, order_id, '', return_id, NULL FROM return_parcel WHERE return_id = ANY($1)
UNION ALL
SELECT tracking_number, order_id, '', return_id, NULL FROM return_parcel WHERE tracking_number = ANY($1)
ORDER BY since NULLS FIRST
"""


async def _find_places(desk: Desk, wanted: _Wanted, connection: Connection) -> None:
    """Whose the scans are. Of two parcels that had the same number the later one counts: numbers come again after a year."""
    names = sorted({name for scan in wanted.scans for name in (scan.reference, scan.tracking_number) if name})
    for row in await connection.fetch(_PLACES, names):
        place = Place(row["order_id"], row["parcel_id"], row["return_id"])
        desk.places[row["name"]] = place
        wanted.orders.add(place.order_id)
        if place.return_id:
            wanted.returns.add(place.return_id)


async def _load_orders(desk: Desk, wanted: _Wanted, connection: Connection) -> None:
    orders = sorted(wanted.orders)
    rows = await connection.fetch(
        "SELECT * FROM consignment WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE", orders
    )
    consignments = {row["order_id"]: consignment_from(row) for row in rows}
    if any(row["round"] for row in rows):  # none has parcels before booking began
        boxes = await connection.fetch("SELECT * FROM parcel WHERE order_id = ANY($1) ORDER BY parcel_id", orders)
        for row in boxes:
            consignments[row["order_id"]].boxes.append(box_from(row))
    desk.seat(consignments.values())
    wanted.skus.update(
        sku for order_id in wanted.judged if order_id in consignments for sku in consignments[order_id].facts.skus
    )


_RETURNS = "SELECT * FROM return_parcel WHERE return_id = ANY($1) OR order_id = ANY($2) ORDER BY return_id FOR UPDATE"
_DOCUMENTS = """
SELECT * FROM document WHERE order_id = ANY($1) AND order_id <> ''
UNION ALL
SELECT * FROM document WHERE sku = ANY($2) AND sku <> ''
"""


async def _load_documents(desk: Desk, wanted: _Wanted, connection: Connection) -> None:
    for row in await connection.fetch(_DOCUMENTS, sorted(wanted.orders), sorted(wanted.skus)):
        document = document_from(row)
        if document.order_id:
            desk.order_documents.setdefault(document.order_id, []).append(document)
        else:
            desk.sku_documents.setdefault((document.store_id, document.sku), []).append(document)


# ── Saving ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def save_desk(desk: Desk, connection: Connection) -> None:
    """Write what changed, in the order of tables.py."""
    new = [desk.consignments[order_id] for order_id in sorted(desk.new)]
    changed = [desk.consignments[order_id] for order_id in sorted(desk.touched - desk.new)]
    if new:
        await _insert(new, connection)
    if changed:
        await connection.execute(_UPDATE, *columns(_progress(each) for each in changed))
    if new or changed:
        await _save_held(new, changed, connection)
        if boxes := [(each.order_id, box) for each in (*new, *changed) for box in each.boxes]:
            await connection.execute(_PARCELS, *columns(_parcel(order_id, box) for order_id, box in boxes))
    if desk.touched_returns:
        returns = [desk.returns[return_id] for return_id in sorted(desk.touched_returns)]
        await connection.execute(_SAVE_RETURNS, *columns(_return(each) for each in returns))
    await _save_people(desk, connection)
    await _save_papers(desk, connection)
    await _save_scans(desk, connection)
    if desk.new_products:
        products = [desk.products[sku] for sku in sorted(desk.new_products)]
        await connection.execute(_PRODUCTS, *columns(_product(each) for each in products))
    if not desk.rulebook_stored:
        await connection.execute(_RULEBOOK, desk.rulebook.version, books.rulebook_data())


_INSERT = """
INSERT INTO consignment (order_id, store_id, destination, facts, placed_at, state, papers_status, papers, allocations, trouble,
                         round, booked_at, dispatched_at, delivered_at, changed_at)
SELECT order_id, store_id, destination, facts::jsonb, placed_at, state, papers_status, papers::jsonb, allocations::jsonb,
       trouble::jsonb, round, booked_at, dispatched_at, delivered_at, now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::timestamptz[],
            $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::timestamptz[])
    AS given(order_id, state, papers_status, papers, allocations, trouble, round, booked_at, dispatched_at, delivered_at,
             store_id, destination, facts, placed_at)
ON CONFLICT (order_id) DO NOTHING
RETURNING 1
"""

_UPDATE = """
UPDATE consignment SET
    state = given.state, papers_status = given.papers_status, papers = given.papers::jsonb,
    allocations = given.allocations::jsonb, trouble = given.trouble::jsonb, round = given.round,
    booked_at = given.booked_at, dispatched_at = given.dispatched_at, delivered_at = given.delivered_at, changed_at = now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::timestamptz[],
            $9::timestamptz[], $10::timestamptz[])
    AS given(order_id, state, papers_status, papers, allocations, trouble, round, booked_at, dispatched_at, delivered_at)
WHERE consignment.order_id = given.order_id
"""


async def _insert(consignments: Sequence[Consignment], connection: Connection) -> None:
    rows = (
        (
            *_progress(each),
            each.facts.store_id,
            each.facts.destination.country,
            json_text(each.facts),
            each.facts.placed_at,
        )
        for each in consignments
    )
    if len(await connection.fetch(_INSERT, *columns(rows))) < len(consignments):
        raise Stale("another replica has just taken in one of these orders")


def _progress(consignment: Consignment) -> tuple[Any, ...]:
    papers = consignment.papers
    return (
        consignment.order_id,
        consignment.state,
        papers.status if papers else "",
        json_text(papers),
        json_text(consignment.allocations),
        None if consignment.trouble is None else json_text(consignment.trouble),
        consignment.round_,
        consignment.booked_at,
        consignment.dispatched_at,
        consignment.delivered_at,
    )


async def _save_held(new: Sequence[Consignment], changed: Sequence[Consignment], connection: Connection) -> None:
    released = [each.order_id for each in changed if not each.held]
    held = [(sku, each.order_id) for each in (*new, *changed) if each.held for sku in each.facts.skus]
    if released:
        await connection.execute("DELETE FROM held_line WHERE order_id = ANY($1)", released)
    if held:
        await connection.execute(
            "INSERT INTO held_line SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
            *columns(sorted(held)),
        )


_PARCELS = """
INSERT INTO parcel (parcel_id, order_id, warehouse, country, items, gross_grams, carrier, service, mode, cost_amount,
                    cost_currency, label, attempt, tracking_number, labelled_at, labelled_on, status, scanned_at, taken)
SELECT parcel_id, order_id, warehouse, country, items::jsonb, gross_grams, carrier, service, mode, cost_amount, cost_currency,
       label, attempt, tracking_number, labelled_at, labelled_on, status, scanned_at, taken
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
            $10::bigint[], $11::text[], $12::text[], $13::int[], $14::text[], $15::timestamptz[], $16::date[], $17::text[],
            $18::timestamptz[], $19::bool[])
    AS given(parcel_id, order_id, warehouse, country, items, gross_grams, carrier, service, mode, cost_amount, cost_currency,
             label, attempt, tracking_number, labelled_at, labelled_on, status, scanned_at, taken)
ON CONFLICT (parcel_id) DO UPDATE SET
    label = excluded.label, attempt = excluded.attempt, tracking_number = excluded.tracking_number,
    labelled_at = excluded.labelled_at, labelled_on = excluded.labelled_on, status = excluded.status,
    scanned_at = excluded.scanned_at, taken = excluded.taken
"""


def _parcel(order_id: str, box: Box) -> tuple[Any, ...]:
    return (
        box.parcel_id,
        order_id,
        box.warehouse,
        box.country,
        json_text(box.items),
        box.gross_grams,
        box.carrier,
        box.service,
        box.mode,
        box.cost.amount,
        box.cost.currency,
        box.label,
        box.attempt,
        box.tracking_number,
        box.labelled_at,
        box.labelled_at.date() if box.labelled_at else None,
        box.way.status,
        box.way.scanned_at,
        box.way.taken,
    )


_SAVE_RETURNS = """
INSERT INTO return_parcel (return_id, order_id, lines, warehouse, country, grams, state, carrier, tracking_number, status, scanned_at)
SELECT return_id, order_id, lines::jsonb, warehouse, country, grams, state, carrier, tracking_number, status, scanned_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
            $10::text[], $11::timestamptz[])
    AS given(return_id, order_id, lines, warehouse, country, grams, state, carrier, tracking_number, status, scanned_at)
ON CONFLICT (return_id) DO UPDATE SET
    warehouse = excluded.warehouse, country = excluded.country, grams = excluded.grams, state = excluded.state,
    carrier = excluded.carrier, tracking_number = excluded.tracking_number, status = excluded.status,
    scanned_at = excluded.scanned_at
"""


def _return(parcel: Any) -> tuple[Any, ...]:
    return (
        parcel.return_id,
        parcel.order_id,
        json_text(parcel.lines),
        parcel.warehouse,
        parcel.country,
        parcel.grams,
        parcel.state,
        parcel.carrier,
        parcel.tracking_number,
        parcel.way.status,
        parcel.way.scanned_at,
    )


_RECIPIENTS = """
INSERT INTO recipient (order_id, name, email, phone, address)
SELECT order_id, name, email, phone, address::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS given(order_id, name, email, phone, address)
ON CONFLICT (order_id) DO UPDATE SET
    name = excluded.name, email = excluded.email, phone = excluded.phone, address = excluded.address
"""


async def _save_people(desk: Desk, connection: Connection) -> None:
    if desk.recipients:
        people = [desk.recipients[order_id] for order_id in sorted(desk.recipients)]
        rows = ((each.order_id, each.name, each.email, each.phone, json_text(each.address)) for each in people)
        await connection.execute(_RECIPIENTS, *columns(rows))
    if desk.erased:
        orders = sorted(desk.erased)
        await connection.execute("DELETE FROM recipient WHERE order_id = ANY($1)", orders)
        await connection.execute("UPDATE document SET identifiers = '{}' WHERE order_id = ANY($1)", orders)


_SAVE_DOCUMENTS = """
INSERT INTO document (document_id, store_id, type, order_id, sku, number, issued_on, declared_amount, declared_currency,
                      identifiers, supplied_at)
SELECT document_id, store_id, type, order_id, sku, number, issued_on, declared_amount, declared_currency, identifiers::jsonb,
       supplied_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[], $8::bigint[], $9::text[],
            $10::text[], $11::timestamptz[])
    AS given(document_id, store_id, type, order_id, sku, number, issued_on, declared_amount, declared_currency, identifiers,
             supplied_at)
"""
_FILES = "INSERT INTO document_file SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])"
_PAPERS = """
INSERT INTO paper (document_id, order_id, kind, number, data, frozen_at)
SELECT document_id, order_id, kind, number, data::jsonb, frozen_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS given(document_id, order_id, kind, number, data, frozen_at)
ON CONFLICT (document_id) DO NOTHING
"""


async def _save_papers(desk: Desk, connection: Connection) -> None:
    if desk.new_documents:
        rows = (
            (
                each.document_id,
                each.store_id,
                each.type,
                each.order_id,
                each.sku,
                each.number,
                each.issued_on,
                None if each.declared_value is None else each.declared_value.amount,
                None if each.declared_value is None else each.declared_value.currency,
                json_text(each.identifiers),
                each.supplied_at,
            )
            for each in desk.new_documents
        )
        await connection.execute(_SAVE_DOCUMENTS, *columns(rows))
    if desk.uploads:
        files = ((each.document_id, each.name, each.media_type, each.content) for each in desk.uploads)
        await connection.execute(_FILES, *columns(files))
    if desk.papers:
        # What is frozen stays: booking again with another address makes no other invoice.
        papers = (
            (each.document_id, each.order_id, each.kind, each.number, json_text(each.data), each.frozen_at)
            for each in sorted(desk.papers, key=lambda paper: paper.document_id)
        )
        await connection.execute(_PAPERS, *columns(papers))


_SCANS = """
INSERT INTO parcel_scan (webhook_id, order_id, parcel_id, return_id, carrier, tracking_number, word, status, scanned_at, country)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::timestamptz[], $10::text[])
ON CONFLICT (webhook_id) DO NOTHING
"""
_STRAYS = """
INSERT INTO stray_scan (webhook_id, scan, since)
SELECT webhook_id, scan::jsonb, since FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS given(webhook_id, scan, since)
ON CONFLICT (webhook_id) DO NOTHING
"""


async def _save_scans(desk: Desk, connection: Connection) -> None:
    if desk.scans:
        await connection.execute(_SCANS, *columns(_scan(place, scan) for place, scan in desk.scans))
    if desk.new_strays:
        strays = [desk.strays[webhook_id] for webhook_id in sorted(desk.new_strays)]
        await connection.execute(
            _STRAYS, *columns((each.scan.webhook_id, json_text(each.scan), each.since) for each in strays)
        )
    if desk.found_strays:
        await connection.execute("DELETE FROM stray_scan WHERE webhook_id = ANY($1)", sorted(desk.found_strays))


def _scan(place: Place, scan: Scan) -> tuple[Any, ...]:
    return (
        scan.webhook_id,
        place.order_id,
        place.parcel_id,
        place.return_id,
        scan.carrier,
        scan.tracking_number,
        scan.word,
        scan.status,
        scan.scanned_at,
        scan.country,
    )


_PRODUCTS = """
INSERT INTO product (sku, version, titles, category, hs_code, origin_country, weight_grams, flags, claims_preference, withdrawn,
                     store_id)
SELECT sku, version, titles::jsonb, category, hs_code, origin_country, weight_grams, flags::jsonb, claims_preference, withdrawn,
       store_id
FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[], $9::bool[], $10::bool[],
            $11::text[])
    AS given(sku, version, titles, category, hs_code, origin_country, weight_grams, flags, claims_preference, withdrawn, store_id)
ON CONFLICT (sku) DO UPDATE SET
    version = excluded.version, titles = excluded.titles, category = excluded.category, hs_code = excluded.hs_code,
    origin_country = excluded.origin_country, weight_grams = excluded.weight_grams, flags = excluded.flags,
    claims_preference = excluded.claims_preference, withdrawn = excluded.withdrawn,
    store_id = excluded.store_id
WHERE product.version < excluded.version
"""
_RULEBOOK = "INSERT INTO rulebook (version, content, first_used_at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING"


def _product(product: Any) -> tuple[Any, ...]:
    return (
        product.sku,
        product.version,
        json_text(product.titles),
        product.category,
        product.hs_code,
        product.origin_country,
        product.weight_grams,
        json_text(product.flags),
        product.claims_preference,
        product.withdrawn,
        product.store_id,
    )
