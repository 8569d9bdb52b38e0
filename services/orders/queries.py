"""Reads for the API: SQL to views, past the domain. A page costs as many statements as one order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.orders.domain.facts import Cancellation, Facts
from services.orders.domain.holds import stock_choices
from services.orders.domain.standing import Status
from services.orders.domain.timeline import Happening, in_causal_order, summary, worth_telling
from services.orders.rows import facts_from_json, reasons_from_json
from services.orders.schemas import (
    AddressOut,
    CancellationOut,
    DestinationOut,
    FulfilmentStatus,
    HappeningOut,
    HoldCode,
    HoldOut,
    LineOut,
    OrderOut,
    OrderRecipientOut,
    PaymentOut,
    PaymentStatus,
    ReasonOut,
    RecipientOut,
    RecipientsOut,
    SilenceOut,
    TimelineOut,
    TotalsOut,
)
from shared.contracts.values import Incoterm, PaymentMethod, PaymentMode, Reason, ServiceLevel
from shared.database import Database, Row
from shared.errors import not_found
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list is narrowed to; None is no wish."""

    status: str | None = None
    market: str | None = None
    channel: str | None = None
    hold: str | None = None
    created_gte: datetime | None = None
    created_lt: datetime | None = None
    number: str | None = None
    external_id: str | None = None


async def order(database: Database, store_id: str, order_id: str) -> OrderOut:
    """One order of the store. Raises Refused `order.not_found`."""
    rows = await database.fetch("SELECT * FROM orders WHERE id = $1 AND store_id = $2", order_id, store_id)
    if not rows:
        raise not_found("order", order_id)
    return (await _views(database, rows))[0]


async def orders_by_id(database: Database, order_ids: Sequence[str]) -> dict[str, OrderOut]:
    """Orders whose ids are known to be the caller's, all in one go."""
    rows = await database.fetch("SELECT * FROM orders WHERE id = ANY($1)", list(order_ids))
    return {view.id: view for view in await _views(database, rows)}


async def settled(database: Database, order_ids: Sequence[str]) -> list[str]:
    """Those of the orders that are confirmed, held or refused by now."""
    rows = await database.fetch(
        "SELECT id FROM orders WHERE id = ANY($1) AND (status <> 'placed' OR held)", list(order_ids)
    )
    return [row["id"] for row in rows]


# A statement for each combination of filters: one for all of them would be planned for none.
_CONDITIONS = {
    "status": "o.status = {}",
    "market": "o.market = {}",
    "channel": "o.channel = {}",
    "hold": "o.id IN (SELECT h.order_id FROM order_hold h WHERE h.store_id = o.store_id AND h.code = {})",
    "created_gte": "o.created_at >= {}",
    "created_lt": "o.created_at < {}",
    "number": "o.number = {}",
    "external_id": "o.external_id = {} AND o.external_id <> ''",
}


async def orders(
    database: Database, store_id: str, wanted: Filter, after: tuple[datetime, str] | None, limit: int
) -> list[OrderOut]:
    """The store's orders, the newest first; one more than `limit` where there are more."""
    conditions, values = ["o.store_id = $1"], list[Any]([store_id])
    for name, condition in _CONDITIONS.items():
        if (value := getattr(wanted, name)) is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    if after is not None:
        values += after
        conditions.append(f"(o.created_at, o.id) < (${len(values) - 1}, ${len(values)})")
    values.append(limit + 1)
    where = " AND ".join(conditions)
    rows = await database.fetch(
        f"SELECT o.* FROM orders o WHERE {where} ORDER BY o.created_at DESC, o.id DESC LIMIT ${len(values)}",  # noqa: S608 (ours)
        *values,
    )
    return await _views(database, rows)


async def timeline(database: Database, store_id: str, order_id: str) -> TimelineOut:
    """Everything that was heard about the order, causes before effects. Raises Refused `order.not_found`."""
    rows = await database.fetch(
        "SELECT e.* FROM orders o LEFT JOIN timeline_event e ON e.order_id = o.id WHERE o.id = $1 AND o.store_id = $2",
        order_id,
        store_id,
    )
    if not rows:
        raise not_found("order", order_id)
    happenings = in_causal_order(_happening(row) for row in rows if row["event_id"] is not None)
    return TimelineOut(order_id=order_id, data=[_told(happening) for happening in happenings])


async def recipients(database: Database, order_ids: Sequence[str], store_id: str | None) -> RecipientsOut:
    """Names and addresses by order; only the store's where one is given."""
    rows = await database.fetch(
        "SELECT * FROM recipient WHERE order_id = ANY($1) AND ($2::text IS NULL OR store_id = $2) ORDER BY order_id",
        list(order_ids),
        store_id,
    )
    known = {row["order_id"] for row in rows}
    return RecipientsOut(
        data=[OrderRecipientOut(order_id=row["order_id"], **_recipient(row).model_dump()) for row in rows],
        missing=sorted(set(order_ids) - known),
    )


# ── Rows to views ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _views(database: Database, rows: Sequence[Row]) -> list[OrderOut]:
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    held = [row["id"] for row in rows if row["held"]]
    async with database.acquire() as connection:
        lines = await connection.fetch("SELECT * FROM order_line WHERE order_id = ANY($1) ORDER BY order_id, line", ids)
        people = await connection.fetch("SELECT * FROM recipient WHERE order_id = ANY($1)", ids)
        holds = (
            await connection.fetch("SELECT * FROM order_hold WHERE order_id = ANY($1) ORDER BY since, code", held)
            if held
            else []
        )
    person_of = {row["order_id"]: row for row in people}
    lines_of, holds_of = _by_order(lines), _by_order(holds)
    return [_view(row, lines_of[row["id"]], holds_of[row["id"]], person_of.get(row["id"])) for row in rows]


def _by_order(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["order_id"]].append(row)
    return found


def _view(row: Row, lines: Sequence[Row], holds: Sequence[Row], person: Row | None) -> OrderOut:
    facts = facts_from_json(row["facts"])
    return OrderOut(
        id=row["id"],
        number=row["number"],
        status=Status(row["status"]),
        payment_status=PaymentStatus(row["payment_status"]),
        fulfilment_status=FulfilmentStatus(row["fulfilment_status"]),
        holds=[_hold(hold, facts) for hold in holds],
        reasons=[_reason(reason) for reason in reasons_from_json(row["reasons"])],
        cancellation=_cancellation(facts),
        silence=_silence(facts, row),
        market=row["market"],
        channel=row["channel"],
        external_id=row["external_id"] or None,
        customer_id=(person["customer_id"] or None) if person else None,
        placed_at=row["placed_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
        lines=[_line(line) for line in lines],
        totals=_totals(row),
        channel_fee=None if row["channel_fee"] is None else Money(row["channel_fee"], row["currency"]),
        destination=DestinationOut(country=row["country"], region=row["region"], postal_area=row["postal_area"]),
        recipient=_recipient(person) if person and _is_somebody(person) else None,
        payment=PaymentOut(
            mode=PaymentMode(row["payment_mode"]),
            method=PaymentMethod(row["payment_method"]),
            action_url=facts.action_url or None,
            doubt=_reason(facts.doubt) if facts.doubt else None,
        ),
        incoterm=Incoterm(row["incoterm"]),
        service=ServiceLevel(row["service"]),
        quote_id=row["quote_id"] or None,
    )


def _hold(row: Row, facts: Facts) -> HoldOut:
    reasons = reasons_from_json(row["reasons"])
    clears_with = list(dict.fromkeys(reason.clears_with for reason in reasons if reason.clears_with))
    short = row["code"] == HoldCode.STOCK
    told = {
        "code": row["code"],
        "reasons": [_reason(reason) for reason in reasons],
        "since": row["since"],
        "clears_with": clears_with,
        "choices": stock_choices(facts) if short else (),
        "wait_until": facts.stock_wait_until if short else None,
    }
    return HoldOut.model_validate(told)


def _reason(reason: Reason) -> ReasonOut:
    return ReasonOut.model_validate(reason)


def _cancellation(facts: Facts) -> CancellationOut | None:
    if not facts.cancel_by:
        return None
    answer = facts.cancellation if facts.cancellation is not Cancellation.NONE else Cancellation.GRANTED
    refusal = facts.cancel_refusal
    return CancellationOut.model_validate(
        {
            "status": answer.value,
            "reason": facts.cancel_reason,
            "requested_by": facts.cancel_by,
            "refusal": _reason(refusal) if refusal else None,
        }
    )


def _silence(facts: Facts, row: Row) -> SilenceOut | None:
    if not facts.asked:
        return None
    return SilenceOut(matter=row["awaits"], whom=sorted(facts.asked), until=row["patient_until"])


def _line(row: Row) -> LineOut:
    return LineOut(
        line=row["line"],
        sku=row["sku"],
        quantity=row["quantity"],
        unit_price=Money(row["unit_price"], row["currency"]),
        total=Money(row["total"], row["currency"]),
    )


def _totals(row: Row) -> TotalsOut:
    names = ("goods", "shipping", "duties", "taxes", "fees", "total")
    return TotalsOut(**{name: Money(row[name], row["currency"]) for name in names})


_PERSON = ("name", "email", "phone", "line1", "line2", "city", "region", "postcode", "country")


def _is_somebody(row: Row) -> bool:
    return any(row[name] for name in _PERSON)


def _recipient(row: Row) -> RecipientOut:
    address: Mapping[str, Any] = {name: row[name] for name in AddressOut.model_fields}
    return RecipientOut(name=row["name"], email=row["email"], phone=row["phone"], address=AddressOut(**address))


def _happening(row: Row) -> Happening:
    return Happening(
        event_id=row["event_id"],
        order_id=row["order_id"],
        type=row["type"],
        topic=row["topic"],
        sequence=row["sequence"],
        cause=row["cause"],
        at=row["at"],
        payload=row["payload"],
    )


def _told(happening: Happening) -> HappeningOut:
    data = worth_telling(orjson.loads(happening.payload))
    return HappeningOut(
        id=happening.event_id,
        type=happening.type,
        service=happening.service,
        at=happening.at,
        summary=summary(happening.type, data),
        cause=happening.cause or None,
        data=data,
    )
