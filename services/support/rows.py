"""From rows to what they stand for; what both the repository and the queries read."""

from collections.abc import Sequence
from datetime import datetime

from services.support.domain.money_back import KnownRefunds
from services.support.domain.purchase import BoughtLine, Purchase
from services.support.domain.return_policy import ReturnReason
from services.support.domain.return_states import RefundState, RestockState, ReturnState
from services.support.domain.returns import ClaimedLine, Return
from services.support.domain.ticket import Author, Ticket, TicketMessage, TicketStatus
from shared.contracts.values import Grade, Reason, ReceivedLine
from shared.database import Row
from shared.money import Money


def purchase_from(row: Row) -> Purchase:
    """The copy of an order."""
    currency: str | None = row["currency"]
    return Purchase(
        order_id=row["order_id"],
        store_id=row["store_id"],
        number=row["number"],
        channel=row["channel"],
        market=row["market"],
        destination=row["destination"],
        placed_at=row["placed_at"],
        lines=tuple(
            BoughtLine(
                line=line["line"], sku=line["sku"], quantity=line["quantity"], paid=Money(line["paid"], currency or "")
            )
            for line in row["lines"]
        ),
        total=None if currency is None else Money(row["total_amount"], currency),
        shipped=row["shipped"],
        shipped_from=frozenset(row["shipped_from"]),
        dispatched_at=row["dispatched_at"],
        delivered_at=row["delivered_at"],
        cancelled_at=row["cancelled_at"],
        refunds=KnownRefunds.of_document(row["refunds"]),
    )


def return_from(row: Row, lines: Sequence[Row], received: Sequence[Row]) -> Return:
    """A return with its lines and what was found, each by position."""
    because = row["refused_because"]
    return Return(
        id=row["id"],
        order_id=row["order_id"],
        store_id=row["store_id"],
        lines=tuple(
            ClaimedLine(sku=line["sku"], quantity=line["quantity"], reason=ReturnReason(line["reason"]))
            for line in lines
        ),
        requested_at=row["requested_at"],
        state=ReturnState(row["state"]),
        restock=RestockState(row["restock"]),
        refund=RefundState(row["refund"]),
        send_back=row["send_back"],
        promised=_money(row["promised_amount"], row["currency"]),
        refunded=_money(row["refunded_amount"], row["currency"]),
        under_way=row["under_way_amount"],
        refund_because=None if row["refund_because"] is None else Reason(**row["refund_because"]),
        received=tuple(
            ReceivedLine(
                sku=line["sku"], quantity=line["quantity"], grade=Grade(line["grade"]), warehouse=line["warehouse"]
            )
            for line in received
        ),
        restock_because=None if row["restock_because"] is None else Reason(**row["restock_because"]),
        relocated_to=row["relocated_to"],
        refused_because=None if because is None else Reason(**because),
        decided_at=row["decided_at"],
        arrived_at=row["arrived_at"],
        received_at=row["received_at"],
    )


def ticket_from(row: Row) -> Ticket:
    """A ticket without its messages."""
    stopped: datetime | None = row["clock_stopped_at"]
    return Ticket(
        id=row["id"],
        store_id=row["store_id"],
        order_id=row["order_id"],
        customer=row["customer"],
        subject=row["subject"],
        opened_at=row["opened_at"],
        status=TicketStatus(row["status"]),
        messages=row["messages"],
        first_responded_at=row["first_responded_at"],
        first_response_breached=row["first_response_breached"],
        resolved_at=row["resolved_at"],
        clock_stopped_at=stopped,
    )


def message_from(row: Row) -> TicketMessage:
    """A message of a ticket."""
    return TicketMessage(
        id=row["id"],
        ticket_id=row["ticket_id"],
        position=row["position"],
        author=Author(row["author"]),
        text=row["text"],
        written_at=row["written_at"],
    )


def _money(amount: int | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(amount, currency)
