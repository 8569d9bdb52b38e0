"""The states of a return, and what each step makes of each state. Goods and money have states of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class ReturnState(StrEnum):
    """Where the return itself is."""

    REQUESTED = "requested"
    APPROVED = "approved"
    REFUSED = "refused"
    PARCEL_ARRIVED = "parcel_arrived"
    RECEIVED = "received"


class RestockState(StrEnum):
    """Where the sellable goods are."""

    NONE = "none"
    PENDING = "pending"
    RESTOCKED = "restocked"
    HELD = "held"  # on no shelf, because the warehouse that was named is not set up


class RefundState(StrEnum):
    """Where the money is. What failed or fell short stays owed and may be settled by hand; what is refunded stays so unless it bounces."""

    NONE = "none"
    PENDING = "pending"
    REFUNDED = "refunded"
    FAILED = "failed"
    SHORT = "short"  # paid as far as the charge reached


class Step(StrEnum):
    """What may happen to a return."""

    APPROVE = "approve"
    REFUSE = "refuse"
    ARRIVE = "arrive"
    RECEIVE = "receive"


@dataclass(frozen=True, slots=True)
class No:
    """The step is not possible; why, and what would make it so."""

    code: str
    detail: str
    clears_with: str | None = None


_DECIDED = No("return.already_decided", "the return is decided already", "a new return")
_NOT_APPROVED = No("return.not_approved", "nobody has approved the return yet", "its approval")
_REFUSED = No("return.was_refused", "the return was refused", "a new return")
_RECEIVED = No(
    "return.already_received", "the goods were received and graded already", "a new return for what was missing"
)

Answer: TypeAlias = ReturnState | No

# Total: every step has an answer in every state. A parcel is a fact and cannot be refused: it may come before the approval, after
# the refusal, or in several parts.
TRANSITIONS: Mapping[tuple[ReturnState, Step], Answer] = {
    (ReturnState.REQUESTED, Step.APPROVE): ReturnState.APPROVED,
    (ReturnState.REQUESTED, Step.REFUSE): ReturnState.REFUSED,
    (ReturnState.REQUESTED, Step.ARRIVE): ReturnState.REQUESTED,
    (ReturnState.REQUESTED, Step.RECEIVE): _NOT_APPROVED,
    (ReturnState.APPROVED, Step.APPROVE): _DECIDED,
    (ReturnState.APPROVED, Step.REFUSE): _DECIDED,
    (ReturnState.APPROVED, Step.ARRIVE): ReturnState.PARCEL_ARRIVED,
    (ReturnState.APPROVED, Step.RECEIVE): ReturnState.RECEIVED,
    (ReturnState.REFUSED, Step.APPROVE): _DECIDED,
    (ReturnState.REFUSED, Step.REFUSE): _DECIDED,
    (ReturnState.REFUSED, Step.ARRIVE): ReturnState.REFUSED,
    (ReturnState.REFUSED, Step.RECEIVE): _REFUSED,
    (ReturnState.PARCEL_ARRIVED, Step.APPROVE): _DECIDED,
    (ReturnState.PARCEL_ARRIVED, Step.REFUSE): _DECIDED,
    (ReturnState.PARCEL_ARRIVED, Step.ARRIVE): ReturnState.PARCEL_ARRIVED,
    (ReturnState.PARCEL_ARRIVED, Step.RECEIVE): ReturnState.RECEIVED,
    (ReturnState.RECEIVED, Step.APPROVE): _DECIDED,
    (ReturnState.RECEIVED, Step.REFUSE): _DECIDED,
    (ReturnState.RECEIVED, Step.ARRIVE): ReturnState.RECEIVED,
    (ReturnState.RECEIVED, Step.RECEIVE): _RECEIVED,
}
