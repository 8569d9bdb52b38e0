"""Loading and saving what a batch touches: one statement a table, keys sorted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from services.risk.domain.casework import Casework, history_key
from services.risk.domain.order_file import Assessment, OrderFile, present_signals
from services.risk.domain.review import Review
from services.risk.domain.rule_set import RuleSet
from services.risk.domain.velocity import History, Place, Tally, places_for, second_of
from services.risk.rows import compiled, to_file, to_history, to_review
from services.risk.rules import shipped_rule_set
from services.risk.usecases.activate_rule_set import ActivateRuleSet
from services.risk.usecases.assess_order import event_time
from services.risk.usecases.decide_review import DecideReview
from shared.contracts.orders import AnswerAwaited, OrderCancelled, OrderPlaced, OrderRejected
from shared.contracts.payments import PaymentAuthorised, PaymentDeclined, RefundSucceeded
from shared.contracts.registry import Event
from shared.contracts.support import ReturnReceived, ReturnRequested
from shared.database import Connection, Stale, columns
from shared.effects import Due
from shared.jsonable import dumps
from shared.messaging.message import Message

_COUNTS_UNDER_ITS_KEYS = (PaymentDeclined, RefundSucceeded, ReturnRequested, ReturnReceived)
_ABOUT_AN_ORDER = (
    OrderPlaced,
    AnswerAwaited,
    OrderRejected,
    OrderCancelled,
    PaymentAuthorised,
    *_COUNTS_UNDER_ITS_KEYS,
)


async def load_casework(messages: Sequence[Message], connection: Connection) -> Casework:
    """Everything that these messages may touch, locked, and the rule set of each store as it is now."""
    casework = Casework(shipped_rule_set())
    stores = {
        message.body.order_id: message.moment.store_id
        for message in messages
        if isinstance(message.body, _ABOUT_AN_ORDER)
    }
    casework.files = await _load_files(stores, connection)
    await _load_reviews(messages, casework, connection)
    needed = _needed_histories(messages, casework.files)
    casework.histories = await _load_histories(needed, connection)
    await _load_rule_sets(messages, casework, connection)
    return casework


async def save_casework(casework: Casework, connection: Connection) -> None:
    """What changed. Raises Stale when another replica was faster at one of the rows."""
    await _save_files([file for file in casework.files.values() if file.changed], connection)
    await _save_reviews([review for review in casework.reviews.values() if review.changed], connection)
    changed = sorted(
        (history for history in casework.histories.values() if history.changed), key=lambda history: history.key
    )
    await _save_histories(changed, connection)
    await _save_nodes(changed, connection)
    await _save_rule_sets(casework, connection)


# ── Order files ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _load_files(stores: Mapping[str, str], connection: Connection) -> dict[str, OrderFile]:
    """The files of these orders, new ones for those that have none."""
    files = {order_id: OrderFile(order_id, store_id) for order_id, store_id in stores.items()}
    if files:
        rows = await connection.fetch(
            "SELECT * FROM order_file WHERE order_id = ANY($1) ORDER BY order_id FOR UPDATE", sorted(files)
        )
        files.update({row["order_id"]: to_file(row) for row in rows})
    return files


_SAVE_FILES = """
INSERT INTO order_file AS f (
    order_id, store_id, version, stage, market, channel, placed_second, own_counts, signals, seen_card, counted, waiting,
    assessment_id, rule_set, decision, verdict, score, findings, operands, as_of, assessed_at
)
SELECT order_id, store_id, version, stage, market, channel, placed_second, own_counts::jsonb, signals, seen_card, counted::jsonb,
    waiting::jsonb, assessment_id, rule_set, decision, verdict, score, findings::jsonb, operands, as_of, assessed_at
FROM unnest(
    $1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::jsonb[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::int[], $18::text[], $19::jsonb[],
    $20::timestamptz[], $21::timestamptz[]
) AS given(
    order_id, store_id, version, stage, market, channel, placed_second, own_counts, signals, seen_card, counted, waiting,
    assessment_id, rule_set, decision, verdict, score, findings, operands, as_of, assessed_at
)
ON CONFLICT (order_id) DO UPDATE SET
    version = excluded.version, stage = excluded.stage, market = excluded.market, channel = excluded.channel,
    placed_second = excluded.placed_second, own_counts = excluded.own_counts, signals = excluded.signals,
    seen_card = excluded.seen_card, counted = excluded.counted, waiting = excluded.waiting,
    assessment_id = excluded.assessment_id, rule_set = excluded.rule_set, decision = excluded.decision,
    verdict = excluded.verdict, score = excluded.score, findings = excluded.findings, operands = excluded.operands,
    as_of = excluded.as_of, assessed_at = excluded.assessed_at
WHERE f.version = excluded.version - 1
RETURNING 1
"""


async def _save_files(files: Sequence[OrderFile], connection: Connection) -> None:
    rows = [_file_row(file) for file in sorted(files, key=lambda file: file.order_id)]
    await _upsert("order file", _SAVE_FILES, rows, connection)


def _file_row(file: OrderFile) -> tuple[Any, ...]:
    waiting = [[observation.second, observation.counts] for observation in file.waiting]
    head = (file.order_id, file.store_id, file.version + 1, file.stage.value, file.market, file.channel, file.second)
    body = (_json(file.own), file.signals, file.seen_card, _json(sorted(file.counted)), _json(waiting))
    return (*head, *body, *_assessment_columns(file.assessment))


def _assessment_columns(assessment: Assessment | None) -> tuple[Any, ...]:
    if assessment is None:
        return (None,) * 9
    verdict = assessment.verdict
    return (
        assessment.assessment_id,
        assessment.rule_set,
        assessment.decision.value,
        verdict.decision.value,
        verdict.score,
        _json([asdict(finding) for finding in verdict.findings]),
        dict(assessment.values),
        assessment.as_of,
        assessment.assessed_at,
    )


# ── Reviews ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _load_reviews(messages: Sequence[Message], casework: Casework, connection: Connection) -> None:
    """The reviews that are decided, fall due, or belong to an order that ends or whose card is another one."""
    review_ids: set[str] = set()
    order_ids: set[str] = set()
    for message in messages:
        match message.body:
            case DecideReview(review_id=review_id):
                review_ids.add(review_id)
            case Due(key=review_id):
                review_ids.add(review_id)
            case (
                OrderRejected(order_id=order_id) | OrderCancelled(order_id=order_id) | AnswerAwaited(order_id=order_id)
            ):
                order_ids.add(order_id)
            case PaymentAuthorised(order_id=order_id, card_matches=False):
                order_ids.add(order_id)
            case _:
                pass
    if review_ids or order_ids:
        rows = await connection.fetch(
            "SELECT * FROM review WHERE review_id = ANY($1) OR order_id = ANY($2) ORDER BY review_id FOR UPDATE",
            sorted(review_ids),
            sorted(order_ids),
        )
        casework.reviews = {row["review_id"]: to_review(row) for row in rows}


_SAVE_REVIEWS = """
INSERT INTO review AS r (
    review_id, order_id, store_id, version, cause, status, rule_set, score, reasons, opened_at, due_at, overdue,
    decided_by, decided_at, note
)
SELECT review_id, order_id, store_id, version, cause, status, rule_set, score, reasons::jsonb, opened_at, due_at, overdue,
    decided_by, decided_at, note
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::int[], $9::text[],
    $10::timestamptz[], $11::timestamptz[], $12::bool[], $13::text[], $14::timestamptz[], $15::text[]
) AS given(
    review_id, order_id, store_id, version, cause, status, rule_set, score, reasons, opened_at, due_at, overdue,
    decided_by, decided_at, note
)
ON CONFLICT (review_id) DO UPDATE SET
    version = excluded.version, status = excluded.status, overdue = excluded.overdue, decided_by = excluded.decided_by,
    decided_at = excluded.decided_at, note = excluded.note
WHERE r.version = excluded.version - 1
RETURNING 1
"""


async def _save_reviews(reviews: Sequence[Review], connection: Connection) -> None:
    rows = [_review_row(review) for review in sorted(reviews, key=lambda review: review.review_id)]
    await _upsert("review", _SAVE_REVIEWS, rows, connection)


def _review_row(review: Review) -> tuple[Any, ...]:
    return (
        review.review_id,
        review.order_id,
        review.store_id,
        review.version + 1,
        review.cause.value,
        review.status.value,
        review.rule_set,
        review.score,
        _json([asdict(reason) for reason in review.reasons]),
        review.opened_at,
        review.due_at,
        review.overdue,
        review.decided_by,
        review.decided_at,
        review.note,
    )


# ── Velocity ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Needed:
    """What of one order the batch needs: its keys, and the second that windows are read at."""

    store_id: str
    keys: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    seconds: set[int] = field(default_factory=set[int])


def _needed_histories(messages: Sequence[Message], files: Mapping[str, OrderFile]) -> dict[str, set[int]]:
    """Every history that the batch may count in, with the seconds at which windows of it are read.

    An order's keys come from its file, or from its `OrderPlaced` earlier in the same batch; which it is depends on the
    order of decisions, so both are taken.
    """
    by_order: dict[str, _Needed] = {}
    counted: set[str] = set()
    for message in messages:
        body = message.body
        if not isinstance(body, _ABOUT_AN_ORDER):
            continue
        file = files[body.order_id]
        needed = by_order.setdefault(body.order_id, _Needed(file.store_id))
        match body:
            case OrderPlaced() | AnswerAwaited():
                placed = body.placed if isinstance(body, AnswerAwaited) else body
                needed.keys |= {*file.keys, *present_signals(placed.signals).items()}
                needed.seconds.add(second_of(event_time(placed, message.moment)))
                counted.add(body.order_id)
            case PaymentAuthorised(card_fingerprint=card) if card and card not in (
                file.signals.get("card"),
                file.seen_card,
            ):
                needed.keys |= {*file.keys, ("card", card)}
                counted.add(body.order_id)
            case PaymentDeclined() | RefundSucceeded() | ReturnRequested() | ReturnReceived():
                needed.keys |= set(file.keys)
                counted.add(body.order_id)
            case _:
                pass
    histories: defaultdict[str, set[int]] = defaultdict(set)
    for order_id in counted:
        needed = by_order[order_id]
        for kind, value in needed.keys:
            histories[history_key(needed.store_id, kind, value)] |= needed.seconds
    return histories


async def _load_histories(needed: Mapping[str, set[int]], connection: Connection) -> dict[str, History]:
    """The histories, locked, new ones for keys that have none, each with the part of its tree that the batch needs."""
    histories = {key: History(key) for key in needed}
    if histories:
        rows = await connection.fetch(
            "SELECT * FROM velocity_key WHERE key = ANY($1) ORDER BY key FOR UPDATE", sorted(histories)
        )
        histories.update({row["key"]: to_history(row) for row in rows})
    places = {key: _places(history, needed[key]) for key, history in histories.items()}
    stored = await _load_nodes(places, connection)
    for key, history in histories.items():
        if history.folded:
            history.provide(places[key], stored[key])
        if history.wants_folding():
            history.fold()
            history.provide(places[key])
    return histories


def _places(history: History, seconds: Iterable[int]) -> set[Place]:
    if not (history.folded or history.wants_folding()):
        return set()
    read = {place for second in seconds for place in places_for(second)}
    return read | history.places_of_entries() if history.wants_folding() else read


async def _load_nodes(places: Mapping[str, set[Place]], connection: Connection) -> dict[str, dict[Place, Tally]]:
    wanted = [(key, level, place) for key, of_key in places.items() for level, place in of_key]
    found: defaultdict[str, dict[Place, Tally]] = defaultdict(dict)
    if wanted:
        rows = await connection.fetch(
            """
            SELECT n.key, n.level, n.place, n.tally FROM velocity_node n
            JOIN unnest($1::text[], $2::smallint[], $3::bigint[]) AS w(key, level, place) USING (key, level, place)
            """,
            *columns(wanted),
        )
        for row in rows:
            found[row["key"]][row["level"], row["place"]] = Tally(row["tally"])
    return found


_SAVE_HISTORIES = """
INSERT INTO velocity_key AS v (key, version, newest, folded, entries, sightings, touched_at)
SELECT *, now() FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bool[], $5::bytea[], $6::bytea[])
ON CONFLICT (key) DO UPDATE SET
    version = excluded.version, newest = excluded.newest, folded = excluded.folded, entries = excluded.entries,
    sightings = excluded.sightings, touched_at = excluded.touched_at
WHERE v.version = excluded.version - 1
RETURNING 1
"""

_SAVE_NODES = """
INSERT INTO velocity_node (key, level, place, tally)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::bytea[])
ON CONFLICT (key, level, place) DO UPDATE SET tally = excluded.tally
"""


async def _save_histories(histories: Sequence[History], connection: Connection) -> None:
    rows = [
        (
            history.key,
            history.version + 1,
            history.newest,
            history.folded,
            Tally.of(history.entries).packed,
            history.sightings.pack(),
        )
        for history in histories
    ]
    await _upsert("history", _SAVE_HISTORIES, rows, connection)


async def _save_nodes(histories: Sequence[History], connection: Connection) -> None:
    rows = [
        (history.key, level, place, history.nodes[level, place].packed)
        for history in histories
        for level, place in sorted(history.changed_nodes)
    ]
    if rows:
        await connection.execute(_SAVE_NODES, *columns(rows))


# ── Rule sets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_compiled: dict[str, RuleSet] = {}
"""By the hash of the content, so what is in it is never stale."""

_MOST_COMPILED = 256

_ACTIVE = """
SELECT s.store_id, a.rule_set FROM unnest($1::text[]) AS s(store_id)
CROSS JOIN LATERAL (
    SELECT rule_set FROM rule_set_activation WHERE store_id = s.store_id ORDER BY number DESC LIMIT 1
) AS a
UNION ALL SELECT '', id FROM rule_set WHERE id = $2
"""


async def _load_rule_sets(messages: Sequence[Message], casework: Casework, connection: Connection) -> None:
    """The active set of each store, read in the transaction that decides: no order is judged by two of them."""
    stores = {message.moment.store_id for message in messages if isinstance(message.body, Event | ActivateRuleSet)}
    if not stores:
        return
    active = {
        row["store_id"]: row["rule_set"] for row in await connection.fetch(_ACTIVE, sorted(stores), casework.shipped.id)
    }
    casework.shipped_is_stored = active.pop("", None) is not None
    if len(_compiled) > _MOST_COMPILED:
        _compiled.clear()
    await _compile({rule_set for rule_set in active.values() if rule_set not in _compiled}, connection)
    casework.rule_sets = {store_id: _compiled[rule_set] for store_id, rule_set in active.items()}


async def _compile(missing: set[str], connection: Connection) -> None:
    if not missing:
        return
    for row in await connection.fetch("SELECT id, document FROM rule_set WHERE id = ANY($1)", sorted(missing)):
        _compiled[row["id"]] = compiled(row["id"], row["document"])


async def _save_rule_sets(casework: Casework, connection: Connection) -> None:
    sets = {activation.rule_set.id: activation.rule_set for activation in casework.activations}
    if casework.decided and not casework.shipped_is_stored:
        sets[casework.shipped.id] = casework.shipped
    if sets:
        await connection.execute(
            "INSERT INTO rule_set (id, document, created_at) SELECT *, now() FROM unnest($1::text[], $2::jsonb[]) ON CONFLICT (id) DO NOTHING",
            sorted(sets),
            [dict(sets[rule_set_id].document) for rule_set_id in sorted(sets)],
        )
    if casework.activations:
        rows = [
            (activation.store_id, activation.rule_set.id, activation.activated_by)
            for activation in casework.activations
        ]
        await connection.execute(
            "INSERT INTO rule_set_activation (store_id, rule_set, activated_by, activated_at)"
            " SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[])",
            *columns(rows),
        )


async def _upsert(what: str, sql: str, rows: Sequence[tuple[Any, ...]], connection: Connection) -> None:
    if rows and len(await connection.fetch(sql, *columns(rows))) != len(rows):
        raise Stale(f"another replica has just written one of these rows: {what}")


def _json(value: Any) -> str:
    """A list travels as text: inside a jsonb[] the driver would take it for another dimension of the array."""
    return dumps(value).decode()
