"""Close a ticket."""

from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.ticket import FIRST_RESPONSE_DEADLINE
from shared.effects import Decision, Forget, Moment, Reply
from shared.errors import Refusal


@dataclass(frozen=True, slots=True)
class ResolveTicket:
    """The question is settled."""

    store_id: str
    ticket_id: str


def resolve_ticket(command: ResolveTicket, cases: Cases, moment: Moment) -> Decision:
    """Stops every clock of the ticket."""
    ticket = cases.known_ticket(command.ticket_id, command.store_id)
    if isinstance(ticket, Refusal):
        return ticket
    if refusal := ticket.may_resolve():
        return refusal
    ticket.resolve(moment.decided_at)
    cases.touch(ticket)
    return [Forget(FIRST_RESPONSE_DEADLINE, ticket.id), Reply(ticket.document())]
