"""Money on its way back: one refund, with a total transition table."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.ids import derive_id
from shared.money import Money


class RefundState(StrEnum):
    """Where a refund stands."""

    WAITING = "waiting"  # nothing is captured yet
    SENT = "sent"  # the provider was asked
    BY_HAND = "by_hand"  # cash: a person pays it out and says so
    SUCCEEDED = "succeeded"
    FAILED = "failed"


LIVE = frozenset({RefundState.WAITING, RefundState.SENT, RefundState.BY_HAND, RefundState.SUCCEEDED})
"""What counts against the captured amount."""


def refund_of(return_id: str) -> str:
    """The id of the refund that a return's receipt or approval asks for: one, however often it is told."""
    return derive_id("rfd", return_id)


class RefundNews(StrEnum):
    """What can be heard about a refund."""

    CAPTURED = "captured"  # the money it gives back has come in
    NEVER_CAPTURED = "never_captured"  # and will never
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_THERE = "not_there"  # the provider does not know it
    NO_ANSWER = "no_answer"
    PAID_OUT = "paid_out"


class RefundStep(StrEnum):
    """What follows; `refunding.py` does it."""

    SEND = "send"
    LOOK_UP = "look_up"
    SUCCEED = "succeed"
    FAIL = "fail"
    BOUNCE = "bounce"  # it had succeeded, and the money came back


@dataclass(slots=True, kw_only=True)
class Refund:
    """`id` is drawn once and kept before anyone is called; it is the provider's idempotency key (`key`) as well.

    Only a refund that somebody made at the provider's own desk has another key. `attempt` is the charge it gives back from;
    `booked` tells that the promise is in the ledger. `asked` is what was wanted, where less was left of the charge.
    """

    id: str
    key: str
    attempt: str
    amount: Money
    reason: str
    requested_at: datetime
    state: RefundState
    return_id: str = ""
    asked: Money | None = None
    failure_code: str = ""
    settled_at: datetime | None = None
    booked: bool = False
    calls: int = 0
    silences: int = 0


Move = tuple[RefundState, RefundStep | None]
_W, _S, _H, _OK, _NO = (
    RefundState.WAITING,
    RefundState.SENT,
    RefundState.BY_HAND,
    RefundState.SUCCEEDED,
    RefundState.FAILED,
)
_N = RefundNews


def _stay(state: RefundState, *news: RefundNews) -> dict[RefundNews, Move]:
    return dict.fromkeys(news, (state, None))


REFUND_TABLE: Mapping[RefundState, Mapping[RefundNews, Move]] = {
    _W: {
        _N.CAPTURED: (_S, RefundStep.SEND),
        _N.NEVER_CAPTURED: (_NO, RefundStep.FAIL),
        **_stay(_W, _N.PENDING, _N.SUCCEEDED, _N.FAILED, _N.NOT_THERE, _N.NO_ANSWER, _N.PAID_OUT),
    },
    _S: {
        _N.PENDING: (_S, RefundStep.LOOK_UP),
        _N.SUCCEEDED: (_OK, RefundStep.SUCCEED),
        _N.FAILED: (_NO, RefundStep.FAIL),
        _N.NOT_THERE: (_S, RefundStep.SEND),  # with the same key
        _N.NO_ANSWER: (_S, RefundStep.LOOK_UP),
        **_stay(_S, _N.CAPTURED, _N.NEVER_CAPTURED, _N.PAID_OUT),
    },
    _H: {
        _N.PAID_OUT: (_OK, RefundStep.SUCCEED),
        **_stay(_H, _N.CAPTURED, _N.NEVER_CAPTURED, _N.PENDING, _N.SUCCEEDED, _N.FAILED, _N.NOT_THERE, _N.NO_ANSWER),
    },
    _OK: {
        _N.FAILED: (_NO, RefundStep.BOUNCE),
        **_stay(_OK, _N.CAPTURED, _N.NEVER_CAPTURED, _N.PENDING, _N.SUCCEEDED, _N.NOT_THERE, _N.NO_ANSWER, _N.PAID_OUT),
    },
    # A success heard after a failure is older news: a refund that failed is never paid by the provider any more.
    _NO: _stay(_NO, *_N),
}
