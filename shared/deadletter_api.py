"""What operators see of dead letters and do to them, the same in every service: `/internal/v1/dead-letters`.

The scope `operations` is the platform's: no key of a store has it, not even one with every scope.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field, model_validator

from shared.auth import OPERATIONS
from shared.contracts import topics
from shared.errors import Refused
from shared.http import (
    PROBLEMS,
    After,
    Body,
    Caller,
    Instant,
    Limit,
    Page,
    Reads,
    Text,
    View,
    cursor_moment,
    decode_cursor,
    encode_cursor,
    examples,
    only_known_parameters,
    page,
    requires,
)
from shared.messaging import deadletters
from shared.messaging.deadletters import Act

_SHOWN = 64 * 1024

Reader = Annotated[Caller, requires(f"{OPERATIONS}:read")]
Writer = Annotated[Caller, requires(f"{OPERATIONS}:write")]
Filter = Annotated[str, Query(max_length=255)]


# ── Bodies and views ──────────────────────────────────────────────────────────────────────────────────────────────────


class RedriveIn(Body):
    """Who does it and why: both are written down."""

    model_config = examples({"operator": "maria", "reason": "the release that could not read it is replaced"})

    operator: Text | None = None
    reason: Text | None = None


class ParkIn(Body):
    """A letter is given up only with a reason."""

    model_config = examples(
        {"operator": "maria", "reason": "sent twice by the importer; corrected by hand in ticket 4711"}
    )

    operator: Text | None = None
    reason: Text


class RedriveManyIn(Body):
    """Which open letters, oldest first. At least one of `topic`, `key`, `error_contains` and `since` is needed.

    `after` is the `next` of the answer before. Letters that fail again meanwhile are not tried twice.
    """

    model_config = examples(
        {"topic": topics.ORDER.name, "error_contains": "KeyError", "limit": 100, "operator": "maria"}
    )

    topic: Text | None = None
    key: Text | None = None
    error_contains: Text | None = None
    since: Instant | None = None
    operator: Text | None = None
    reason: Text | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 100
    after: str | None = None

    @model_validator(mode="after")
    def _needs_a_filter(self) -> "RedriveManyIn":
        if not (self.topic or self.key or self.error_contains or self.since):
            raise ValueError("name a topic, a key, a part of the error or a time since when")
        return self


class WaitingOut(View):
    """What waits behind an open letter, by the sequences of its stream."""

    count: int
    first_sequence: int | None
    last_sequence: int | None


class LetterOut(View):
    """A message that could not be decided. `sequence` is its place in the stream, null where it has none.

    `failed_at` tells since when it is open. `decided` tells whether a redriven letter has been decided since. `copied` tells
    that an event with its sequence came once more: that copy is what a redrive decides.
    """

    id: str
    service: str
    source: Literal["event", "record", "gap", "deadline", "call", "stream"]
    topic: str
    key: str
    sequence: int | None
    event_type: str
    event_id: str
    error: str
    attempts: int
    first_failed_at: datetime
    failed_at: datetime
    state: Literal["open", "redriven", "parked"]
    reason: str
    settled_at: datetime | None
    decided: bool
    copied: bool
    waiting: WaitingOut


class LetterDetail(LetterOut):
    """The letter with what is in it. Of a payload beyond 64 KiB only the beginning is shown."""

    headers: dict[str, str]
    payload: str
    payload_bytes: int


class RefusedOut(View):
    """A letter of many that was not redriven, and why."""

    id: str
    code: str
    detail: str


class RedrivenOut(View):
    """What became of a batch. With `next` there is more."""

    redriven: list[str]
    refused: list[RefusedOut]
    next: str | None


class ActionOut(View):
    """What somebody did. `actor` is the visible part of the key, `operator` the name that was given with it.

    `outcome` is `done`, or the code of the refusal.
    """

    id: str
    at: datetime
    actor: str
    operator: str
    action: str
    subject: str
    reason: str
    outcome: str


# ── Routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def dead_letters(service: str) -> APIRouter:
    """The routes of one service."""
    router = APIRouter(prefix="/internal/v1", tags=["operations"])

    @router.get(
        "/dead-letters",
        operation_id="dead_letters.list",
        responses=PROBLEMS,
        dependencies=[Depends(only_known_parameters)],
    )
    async def list_letters(
        _: Reader,
        database: Reads,
        state: Literal["open", "redriven", "parked"] = "open",
        source: Literal["", "event", "record", "gap", "deadline", "call", "stream"] = "",
        topic: Filter = "",
        key: Filter = "",
        limit: Limit = 50,
        after: After = None,
    ) -> Page[LetterOut]:
        """What could not be decided, newest first. Of deadlines and calls `topic` is the kind."""
        place = decode_cursor(after, 2)
        found = await deadletters.listed(
            database,
            state=state,
            source=source,
            topic=topic,
            key=key,
            before=(cursor_moment(place[0]), place[1]) if place else None,
            limit=limit + 1,
        )
        letters = [LetterOut(**_facts(letter, service)) for letter in found]
        return page(letters, limit, lambda letter: (letter.failed_at.isoformat(), letter.id))

    @router.get("/dead-letters/{letter_id}", operation_id="dead_letters.get", responses=PROBLEMS)
    async def get_letter(letter_id: str, _: Reader, database: Reads) -> LetterDetail:
        """One letter with its payload."""
        return _detail(await deadletters.found(database, letter_id), service)

    @router.post("/dead-letters/{letter_id}/redrive", operation_id="dead_letters.redrive", responses=PROBLEMS)
    async def redrive(letter_id: str, caller: Writer, database: Reads, body: RedriveIn | None = None) -> LetterDetail:
        """Let it be decided again, before everything that waits behind it. A letter that fails again is open again.

        It needs no Idempotency-Key: a second time is 409 `dead_letter.settled`.
        """
        given = body or RedriveIn()
        await deadletters.redrive(database, letter_id, _act(caller, given.operator, given.reason))
        return _detail(await deadletters.found(database, letter_id), service)

    @router.post("/dead-letters/{letter_id}/park", operation_id="dead_letters.park", responses=PROBLEMS)
    async def park(letter_id: str, caller: Writer, body: ParkIn, database: Reads) -> LetterDetail:
        """Give it up: it will never take effect here, and what waits behind it goes on."""
        await deadletters.park(database, letter_id, _act(caller, body.operator, body.reason))
        return _detail(await deadletters.found(database, letter_id), service)

    @router.post("/dead-letters:redrive", operation_id="dead_letters.redrive_many", responses=PROBLEMS)
    async def redrive_many(caller: Writer, body: RedriveManyIn, database: Reads) -> RedrivenOut:
        """Redrive a batch of open letters, each in a transaction of its own."""
        place = decode_cursor(body.after, 3)
        until = cursor_moment(place[0]) if place else await database.fetchval("SELECT now()")
        chosen = await deadletters.chosen(
            database,
            until=until,
            topic=body.topic or "",
            key=body.key or "",
            error_contains=body.error_contains or "",
            since=body.since,
            behind=(cursor_moment(place[1]), place[2]) if place else None,
            limit=body.limit + 1,
        )
        answer = RedrivenOut(redriven=[], refused=[], next=None)
        for letter_id, _ in chosen[: body.limit]:
            try:
                await deadletters.redrive(database, letter_id, _act(caller, body.operator, body.reason))
                answer.redriven.append(letter_id)
            except Refused as refused:
                refusal = refused.refusal
                answer.refused.append(RefusedOut(id=letter_id, code=refusal.code, detail=refusal.detail))
        if len(chosen) > body.limit:
            last, failed_at = chosen[body.limit - 1]
            answer.next = encode_cursor((until.isoformat(), failed_at.isoformat(), last))
        return answer

    @router.get(
        "/operator-actions",
        operation_id="operator_actions.list",
        responses=PROBLEMS,
        dependencies=[Depends(only_known_parameters)],
    )
    async def list_actions(
        _: Reader, database: Reads, subject: Filter = "", limit: Limit = 50, after: After = None
    ) -> Page[ActionOut]:
        """Who did what, when and why, newest first; also what was refused. `subject` is the id of a letter."""
        place = decode_cursor(after, 2)
        before = (cursor_moment(place[0]), place[1]) if place else None
        found = await deadletters.actions(database, subject=subject, before=before, limit=limit + 1)
        actions = [ActionOut(**action) for action in found]
        return page(actions, limit, lambda action: (action.at.isoformat(), action.id))

    _routes = (list_letters, get_letter, redrive, park, redrive_many, list_actions)
    return router


def _act(caller: Caller, operator: str | None, reason: str | None) -> Act:
    return Act(actor=caller.actor, operator=operator or "", reason=reason or "")


def _detail(letter: Mapping[str, Any], service: str) -> LetterDetail:
    return LetterDetail(
        **_facts(letter, service),
        headers=letter["headers"],
        payload=letter["payload"][:_SHOWN],
        payload_bytes=len(letter["payload"].encode()),
    )


def _facts(letter: Mapping[str, Any], service: str) -> dict[str, Any]:
    same = ("id", "source", "topic", "key", "error", "attempts", "first_failed_at", "failed_at", "state", "settled_at")
    return {name: letter[name] for name in (*same, "decided", "copied")} | {
        "service": service,
        "sequence": letter["sequence"] or None,
        "event_type": letter["headers"].get("ce_type", ""),
        "event_id": letter["headers"].get("ce_id", ""),
        "reason": letter["note"],
        "waiting": WaitingOut(
            count=letter["waiting"], first_sequence=letter["first_waiting"], last_sequence=letter["last_waiting"]
        ),
    }
