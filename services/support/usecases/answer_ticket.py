"""Write into a ticket."""

from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.ticket import FIRST_RESPONSE_DEADLINE, Author
from shared.effects import Decision, Effect, Forget, Moment, Reply
from shared.errors import Refusal
from shared.ids import derive_id


@dataclass(frozen=True, slots=True)
class AnswerTicket:
    """A message of the customer or of the staff."""

    store_id: str
    ticket_id: str
    author: Author
    text: str


def answer_ticket(command: AnswerTicket, cases: Cases, moment: Moment) -> Decision:
    """The first message of the staff keeps the promise, or comes too late for it."""
    ticket = cases.known_ticket(command.ticket_id, command.store_id)
    if isinstance(ticket, Refusal):
        return ticket
    message = ticket.write(derive_id("msg", moment.message_id), command.author, command.text, moment.decided_at)
    cases.touch(ticket)
    cases.messages.append(message)
    effects: list[Effect] = [Forget(FIRST_RESPONSE_DEADLINE, ticket.id)] if command.author is Author.STAFF else []
    return [*effects, Reply({"ticket": ticket.document(), "message": message.document()}, 201)]
