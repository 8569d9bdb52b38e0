"""Say no to a return."""

from dataclasses import dataclass
from enum import StrEnum

from services.support.domain.cases import Cases
from services.support.domain.return_states import Step
from shared.contracts.support import ReturnRefused
from shared.contracts.values import Reason
from shared.effects import Decision, Moment, Reply
from shared.errors import Refusal


class RefusalReason(StrEnum):
    """Why a return is not accepted. A closed list: events carry no free text."""

    TOO_LATE = "too_late"
    USED = "used"
    NOT_RETURNABLE = "not_returnable"
    NOT_OURS = "not_ours"
    OTHER = "other"


_WORDS = {
    RefusalReason.TOO_LATE: "the time for returning it is over",
    RefusalReason.USED: "it was used beyond trying it out",
    RefusalReason.NOT_RETURNABLE: "goods of this kind are not taken back",
    RefusalReason.NOT_OURS: "it was not bought from this store",
    RefusalReason.OTHER: "the seller does not accept the return",
}


@dataclass(frozen=True, slots=True)
class RefuseReturn:
    """The seller does not accept the return."""

    store_id: str
    return_id: str
    reason: RefusalReason


def refuse_return(command: RefuseReturn, cases: Cases, moment: Moment) -> Decision:
    """The units may be claimed by another return."""
    claim = cases.known_return(command.return_id, command.store_id)
    if isinstance(claim, Refusal):
        return claim
    if refusal := claim.may(Step.REFUSE):
        return refusal
    reason = Reason(code=command.reason, message=_WORDS[command.reason])
    claim.refuse(reason, moment.decided_at)
    cases.touch(claim)
    return [ReturnRefused(order_id=claim.order_id, return_id=claim.id, reason=reason), Reply(claim.document())]
