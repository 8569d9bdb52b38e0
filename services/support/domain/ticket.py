"""A ticket: a buyer's question, and the promise of a first answer within a day."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.errors import Refusal

FIRST_RESPONSE = timedelta(hours=24)
FIRST_RESPONSE_DEADLINE = "ticket.first_response"


class TicketStatus(StrEnum):
    """Open waits for somebody; resolved waits for nobody."""

    OPEN = "open"
    RESOLVED = "resolved"


class Author(StrEnum):
    """Who wrote a message."""

    CUSTOMER = "customer"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketMessage:
    """What somebody wrote. The text stays in support: no event carries it."""

    id: str
    ticket_id: str
    position: int
    author: Author
    text: str
    written_at: datetime

    def document(self) -> dict[str, Any]:
        """The message as the API shows it."""
        return {"id": self.id, "author": self.author, "text": self.text, "written_at": self.written_at}


@dataclass(slots=True, kw_only=True)
class Ticket:
    """One ticket with its clock. The clock runs until the first answer or the resolution, whichever comes first."""

    id: str
    store_id: str
    order_id: str | None
    customer: str
    subject: str
    opened_at: datetime
    status: TicketStatus = TicketStatus.OPEN
    messages: int = 0
    first_responded_at: datetime | None = None
    first_response_breached: bool = False
    resolved_at: datetime | None = None
    clock_stopped_at: datetime | None = None

    @property
    def first_response_due_at(self) -> datetime:
        """When the first answer is owed."""
        return self.opened_at + FIRST_RESPONSE

    def write(self, message_id: str, author: Author, text: str, at: datetime) -> TicketMessage:
        """Add a message. The first one of the staff stops the clock; one of the customer opens a resolved ticket again."""
        self.messages += 1
        if author is Author.STAFF and self.first_responded_at is None:
            self.first_responded_at = at
            self._stop_clock(at)
        if author is Author.CUSTOMER and self.status is TicketStatus.RESOLVED:
            self.status, self.resolved_at = TicketStatus.OPEN, None
        return TicketMessage(
            id=message_id, ticket_id=self.id, position=self.messages, author=author, text=text, written_at=at
        )

    def resolve(self, at: datetime) -> None:
        """Settled. Every clock stops: nobody owes an answer to a question that is closed."""
        self.status, self.resolved_at = TicketStatus.RESOLVED, at
        self._stop_clock(at)

    def miss_first_response(self) -> bool:
        """The day is over. True when the promise is broken by it."""
        if self.clock_stopped_at is not None:
            return False
        self.first_response_breached = True
        return True

    def may_resolve(self) -> Refusal | None:
        """Why it cannot be resolved, or None."""
        if self.status is TicketStatus.RESOLVED:
            return Refusal(code="ticket.already_resolved", detail="the ticket is resolved already")
        return None

    def document(self) -> dict[str, Any]:
        """The ticket as the API shows it, without its messages."""
        return {
            "id": self.id,
            "order_id": self.order_id,
            "customer": self.customer,
            "subject": self.subject,
            "status": self.status,
            "messages": self.messages,
            "opened_at": self.opened_at,
            "first_response_due_at": self.first_response_due_at,
            "first_responded_at": self.first_responded_at,
            "first_response_breached": self.first_response_breached,
            "resolved_at": self.resolved_at,
        }

    def _stop_clock(self, at: datetime) -> None:
        if self.clock_stopped_at is None:
            self.clock_stopped_at = at
            # The deadline's message may come late; an answer after the hour is late all the same.
            self.first_response_breached |= at > self.first_response_due_at
