"""A buyer asks."""

from dataclasses import dataclass

from services.support.domain.cases import Cases
from services.support.domain.ticket import FIRST_RESPONSE_DEADLINE, Author, Ticket
from shared.effects import Deadline, Decision, Moment, Reply
from shared.errors import Refusal
from shared.ids import derive_id


@dataclass(frozen=True, slots=True)
class OpenTicket:
    """A question, about an order or none."""

    store_id: str
    order_id: str | None
    customer: str
    subject: str
    text: str


def open_ticket(command: OpenTicket, cases: Cases, moment: Moment) -> Decision:
    """The first answer is owed within a day from now."""
    if command.order_id is not None:
        purchase = cases.known_purchase(command.order_id, command.store_id)
        if isinstance(purchase, Refusal):
            return purchase
    ticket = Ticket(
        id=derive_id("tkt", moment.message_id),
        store_id=command.store_id,
        order_id=command.order_id,
        customer=command.customer,
        subject=command.subject,
        opened_at=moment.decided_at,
    )
    message = ticket.write(derive_id("msg", moment.message_id), Author.CUSTOMER, command.text, moment.decided_at)
    cases.add(ticket)
    cases.messages.append(message)
    deadline = Deadline(FIRST_RESPONSE_DEADLINE, ticket.id, ticket.first_response_due_at)
    return [deadline, Reply(ticket.document(), 201, {"Location": f"/v1/tickets/{ticket.id}"})]
