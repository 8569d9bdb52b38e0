"""The four kinds of batch that a desk settles: events, commands, deadlines, answers to calls."""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from shared.database import Connection, Stale
from shared.effects import Answered, Decision, Due, Moment
from shared.errors import Kind, Refusal
from shared.failpoints import Point
from shared.ids import derive_id
from shared.messaging import deadletters, positions
from shared.messaging.codec import Envelope, message_of
from shared.messaging.desk import Source, database_time
from shared.messaging.message import Message


@dataclass(slots=True)
class EventBatch:
    """Events as they came from Kafka, in the order of their arrival."""

    crash_points: ClassVar[tuple[Point, Point]] = (Point.EVENTS_UNCOMMITTED, Point.EVENTS_COMMITTED)

    envelopes: Sequence[Envelope]
    consumer: str
    seen: Callable[[positions.Sifted], None] = lambda _: None
    _drain: bool = True
    _sifted: positions.Sifted = field(default_factory=positions.Sifted)

    def __len__(self) -> int:
        return len(self.envelopes)

    async def open(self, connection: Connection) -> Sequence[Message]:
        self._sifted = await positions.sift(self.envelopes, self.consumer, connection, drain=self._drain)
        return [message_of(envelope, self._sifted.decided_at) for envelope in self._sifted.fresh]

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        await positions.advance(self._sifted, self.consumer, connection)

    def committed(self) -> None:
        self.seen(self._sifted)

    def halves(self) -> tuple[Source, Source]:
        middle = len(self.envelopes) // 2
        first, second = self.envelopes[:middle], self.envelopes[middle:]
        return EventBatch(first, self.consumer, self.seen), EventBatch(second, self.consumer, self.seen)

    def narrow(self) -> None:
        # The culprit may be one that was parked behind this one and would be released by it.
        self._drain = False

    def describe(self) -> dict[str, str]:
        first = self.envelopes[0]
        return {
            "topic": first.topic,
            "key": first.key,
            "sequence": str(first.sequence),
            "event_id": first.attributes.get("ce_id", ""),
        }

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        await deadletters.bury_event(self.envelopes[0], self.consumer, deadletters.reason(error), attempts, connection)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as it is stored and sent: status, headers, body bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    replayed: bool = False


@dataclass(slots=True)
class Pending:
    """A command that waits for its transaction. Its future gets the answer, or the error that makes it undecidable."""

    command: Any
    moment: Moment
    render: Callable[[Decision], Answer]
    future: "Future[Answer]"
    scope: str = ""
    key: str = ""
    fingerprint: bytes = b""


MISMATCH = Refusal(
    code="idempotency.mismatch",
    detail="this Idempotency-Key was used for another request",
    kind=Kind.INVALID,
    clears_with="a new Idempotency-Key",
)


@dataclass(slots=True)
class CommandBatch:
    """Commands of many HTTP callers. Twins of one idempotency key are decided once and answered alike."""

    crash_points: ClassVar[tuple[Point, Point]] = (Point.COMMANDS_UNCOMMITTED, Point.COMMANDS_COMMITTED)

    pending: Sequence[Pending]
    _fresh: list[Pending] = field(default_factory=list[Pending])
    _answers: list[tuple[Pending, Answer]] = field(default_factory=list[tuple[Pending, Answer]])

    def __len__(self) -> int:
        return len(self.pending)

    async def open(self, connection: Connection) -> Sequence[Message]:
        waiting = [pending for pending in self.pending if not pending.future.done()]
        stored, decided_at = await self._stored(waiting, connection)
        self._answers = []
        leaders: dict[tuple[str, str], Pending] = {}
        for pending in waiting:
            known = stored.get((pending.scope, pending.key)) if pending.key else None
            if known is not None:
                self._answers.append((pending, _replay(pending, known)))
            elif pending.key:
                leaders.setdefault((pending.scope, pending.key), pending)
        self._fresh = [p for p in waiting if not p.key or leaders.get((p.scope, p.key)) is p]
        return [
            Message(body=p.command, moment=replace(p.moment, decided_at=decided_at, occurred_at=decided_at))
            for p in self._fresh
        ]

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        by_key: dict[tuple[str, str], tuple[bytes, Answer]] = {}
        for pending, decision in zip(self._fresh, decisions, strict=True):
            answer = pending.render(decision)
            self._answers.append((pending, answer))
            if pending.key:
                by_key[pending.scope, pending.key] = pending.fingerprint, answer
        await _store(by_key, connection)
        answered = {id(pending) for pending, _ in self._answers}
        for pending in self.pending:
            if id(pending) not in answered and (twin := by_key.get((pending.scope, pending.key))) is not None:
                self._answers.append((pending, _replay(pending, twin)))

    def committed(self) -> None:
        for pending, answer in self._answers:
            if not pending.future.done():
                pending.future.set_result(answer)

    def halves(self) -> tuple[Source, Source]:
        middle = len(self.pending) // 2
        return CommandBatch(self.pending[:middle]), CommandBatch(self.pending[middle:])

    def narrow(self) -> None:
        pass

    def describe(self) -> dict[str, str]:
        first = self.pending[0]
        return {"command": type(first.command).__name__, "request": first.moment.correlation_id}

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        future = self.pending[0].future
        if not future.done():
            future.set_exception(error)

    async def _stored(
        self, waiting: Sequence[Pending], connection: Connection
    ) -> tuple[dict[tuple[str, str], tuple[bytes, Answer]], datetime]:
        keyed = sorted({(p.scope, p.key) for p in waiting if p.key})
        if not keyed:
            return {}, await database_time(connection)
        rows = await connection.fetch(
            "SELECT w.scope, w.key, now() AS decided_at, k.fingerprint, k.status, k.headers, k.body"
            " FROM unnest($1::text[], $2::text[]) AS w(scope, key) LEFT JOIN idempotency_key k USING (scope, key)",
            [scope for scope, _ in keyed],
            [key for _, key in keyed],
        )
        known = {
            (row["scope"], row["key"]): (row["fingerprint"], Answer(row["status"], row["headers"], row["body"]))
            for row in rows
            if row["status"] is not None
        }
        return known, rows[0]["decided_at"]


def _replay(pending: Pending, known: tuple[bytes, Answer]) -> Answer:
    fingerprint, answer = known
    if fingerprint != pending.fingerprint:
        return pending.render(MISMATCH)
    return replace(answer, replayed=True)


async def _store(by_key: Mapping[tuple[str, str], tuple[bytes, Answer]], connection: Connection) -> None:
    if not by_key:
        return
    rows = [
        (scope, key, fingerprint, answer.status, dict(answer.headers), answer.body)
        for (scope, key), (fingerprint, answer) in sorted(by_key.items())
    ]
    written = await connection.fetch(
        "INSERT INTO idempotency_key (scope, key, fingerprint, status, headers, body)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::jsonb[], $6::bytea[])"
        " ON CONFLICT (scope, key) DO NOTHING RETURNING 1",
        *map(list, zip(*rows, strict=True)),
    )
    if len(written) != len(rows):
        raise Stale("another replica has answered one of these idempotency keys")


@dataclass(slots=True)
class DueBatch:
    """Deadlines that have come and are claimed by this worker for a while."""

    crash_points: ClassVar[tuple[Point, Point]] = (Point.DEADLINES_UNCOMMITTED, Point.DEADLINES_COMMITTED)

    rows: Sequence[Mapping[str, Any]]  # kind, key, due_at, context

    def __len__(self) -> int:
        return len(self.rows)

    async def open(self, connection: Connection) -> Sequence[Message]:
        decided_at = await database_time(connection)
        return [
            Message(
                body=Due(row["kind"], row["key"]),
                moment=_later(
                    derive_id("due", row["key"], row["kind"], row["due_at"].isoformat()), row["context"], decided_at
                ),
            )
            for row in self.rows
        ]

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        # A deadline that was set anew meanwhile has another time, and stays.
        await connection.execute(
            "DELETE FROM deadline d USING unnest($1::text[], $2::text[], $3::timestamptz[]) AS w(kind, key, due_at)"
            " WHERE d.kind = w.kind AND d.key = w.key AND d.due_at = w.due_at",
            [row["kind"] for row in self.rows],
            [row["key"] for row in self.rows],
            [row["due_at"] for row in self.rows],
        )

    def committed(self) -> None:
        pass

    def halves(self) -> tuple[Source, Source]:
        middle = len(self.rows) // 2
        return DueBatch(self.rows[:middle]), DueBatch(self.rows[middle:])

    def narrow(self) -> None:
        pass

    def describe(self) -> dict[str, str]:
        return {"deadline": self.rows[0]["kind"], "key": self.rows[0]["key"]}

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        row = self.rows[0]
        await deadletters.bury(
            connection,
            source="deadline",
            consumer="",
            topic=row["kind"],
            key=row["key"],
            sequence=0,
            headers=row["context"],
            payload="",
            error=deadletters.reason(error),
            attempts=attempts,
        )
        await self.close((), connection)


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """A call that was made, and what came of it."""

    id: str
    kind: str
    key: str
    request: dict[str, Any]
    context: Mapping[str, str]
    attempts: int
    answer: dict[str, Any] | None


@dataclass(slots=True)
class AnswerBatch:
    """Answers to calls of this worker."""

    crash_points: ClassVar[tuple[Point, Point]] = (Point.ANSWERS_UNCOMMITTED, Point.ANSWERS_COMMITTED)

    answers: Sequence[CallAnswer]
    _open: list[CallAnswer] = field(default_factory=list[CallAnswer])

    def __len__(self) -> int:
        return len(self.answers)

    async def open(self, connection: Connection) -> Sequence[Message]:
        rows = await connection.fetch(
            "SELECT id FROM outside_call WHERE id = ANY($1) AND done_at IS NULL", [answer.id for answer in self.answers]
        )
        waiting = {row["id"] for row in rows}
        self._open = [answer for answer in self.answers if answer.id in waiting]
        if not self._open:
            return ()
        decided_at = await database_time(connection)
        return [
            Message(
                body=Answered(a.id, a.kind, a.key, a.request, a.answer, a.attempts),
                moment=_later(a.id, a.context, decided_at),
            )
            for a in self._open
        ]

    async def close(self, decisions: Sequence[Decision], connection: Connection) -> None:
        if not self._open:
            return
        done = await connection.fetch(
            "UPDATE outside_call SET done_at = now() WHERE id IN"
            " (SELECT id FROM outside_call WHERE id = ANY($1) AND done_at IS NULL ORDER BY id FOR UPDATE) RETURNING 1",
            [answer.id for answer in self._open],
        )
        if len(done) != len(self._open):
            raise Stale("another replica has brought the answer to one of these calls")

    def committed(self) -> None:
        pass

    def halves(self) -> tuple[Source, Source]:
        middle = len(self.answers) // 2
        return AnswerBatch(self.answers[:middle]), AnswerBatch(self.answers[middle:])

    def narrow(self) -> None:
        pass

    def describe(self) -> dict[str, str]:
        first = self.answers[0]
        return {"call": first.kind, "id": first.id, "key": first.key}

    async def give_up(self, error: Exception, attempts: int, connection: Connection) -> None:
        answer = self.answers[0]
        await deadletters.bury(
            connection,
            source="call",
            consumer="",
            topic=answer.kind,
            key=answer.id,
            sequence=0,
            headers=answer.context,
            payload="",
            error=deadletters.reason(error),
            attempts=attempts,
        )
        await connection.execute("UPDATE outside_call SET done_at = now() WHERE id = $1", answer.id)


def _later(message_id: str, context: Mapping[str, str], decided_at: datetime) -> Moment:
    return Moment(
        decided_at=decided_at,
        occurred_at=decided_at,
        message_id=message_id,
        store_id=context.get("store", ""),
        market=context.get("market", ""),
        correlation_id=context.get("correlation", ""),
        traceparent=context.get("traceparent", ""),
    )
