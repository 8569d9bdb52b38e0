"""Request and response bodies of support's API."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.support.domain.return_policy import ReturnReason
from services.support.domain.return_states import RefundState, RestockState, ReturnState
from services.support.domain.returns import ClaimedLine
from services.support.domain.ticket import Author, TicketStatus
from services.support.usecases.refuse_return import RefusalReason
from shared.contracts.values import Grade, ReceivedLine
from shared.http import Body, LongText, Sku, Text, View, examples
from shared.money import Money

# PostgreSQL's integer, less what lines of one SKU may add up to.
_UNITS = 1_000_000

OrderId = Annotated[str, Field(pattern=r"^ord_[0-9a-z]{26}$", examples=["ord_01jc2v8k9q4t6x0m3n5p7r9s1v"])]
ReturnId = Annotated[str, Field(pattern=r"^ret_[0-9a-z]{26}$")]
TicketId = Annotated[str, Field(pattern=r"^tkt_[0-9a-z]{26}$")]
WarehouseCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$", examples=["DE-1"])]
"""A warehouse's code as inventory takes it. Whether there is such a warehouse only inventory knows: it holds what it cannot put away."""
Quantity = Annotated[int, Field(ge=1, le=_UNITS)]


class ReturnLineIn(Body):
    """Units of a SKU that shall come back. A return names a SKU once."""

    sku: Sku
    quantity: Quantity
    reason: ReturnReason

    def claimed(self) -> ClaimedLine:
        return ClaimedLine(sku=self.sku, quantity=self.quantity, reason=self.reason)


class ReturnIn(Body):
    """What a buyer wants to send back of one order."""

    model_config = examples(
        {
            "order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
            "lines": [{"sku": "MUG-01", "quantity": 1, "reason": "damaged"}],
        },
        {
            "order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
            "lines": [{"sku": "MUG-01", "quantity": 2, "reason": "cancelled"}],
            "approve": True,
            "send_back": True,
        },
    )

    order_id: OrderId
    lines: tuple[ReturnLineIn, ...] = Field(min_length=1, max_length=500)
    approve: bool = Field(False, description="Approve at once; needs the scope returns:decide.")
    send_back: bool | None = Field(None, description="With `approve`: as in the approval.")

    @model_validator(mode="after")
    def _send_back_is_part_of_an_approval(self) -> Self:
        if self.send_back is not None and not self.approve:
            raise ValueError("send_back goes with approve")
        return self


class ApprovalIn(Body):
    """The seller's answer."""

    model_config = examples({"decision": "approve"}, {"decision": "refuse", "reason": "used"})

    decision: Literal["approve", "refuse"]
    reason: RefusalReason | None = Field(None, description="Why it is refused.")
    send_back: bool | None = Field(
        None,
        description="Whether approved goods must come back. Left out, they are refunded without coming back where the way back"
        " costs more than they are worth.",
    )

    @model_validator(mode="after")
    def _each_decision_has_its_own_fields(self) -> Self:
        if (self.decision == "refuse") != (self.reason is not None):
            raise ValueError("a refusal has a reason, an approval has none")
        if self.decision == "refuse" and self.send_back is not None:
            raise ValueError("send_back goes with an approval")
        return self


class ReceivedLineIn(Body):
    """Units as they were found."""

    sku: Sku
    quantity: Quantity
    grade: Grade


class ReceiptIn(Body):
    """What was in the parcel. Units of the return that no line names are missing."""

    model_config = examples(
        {"warehouse": "DE-1", "lines": [{"sku": "MUG-01", "quantity": 1, "grade": "sellable"}]},
        {"warehouse": "DE-1", "lines": [{"sku": "MUG-01", "quantity": 1, "grade": "damaged"}], "refund": False},
    )

    warehouse: WarehouseCode
    lines: tuple[ReceivedLineIn, ...] = Field(min_length=1, max_length=1000)
    refund: bool = Field(True, description="False where no money is to go back for it, as after an exchange.")

    def received(self) -> tuple[ReceivedLine, ...]:
        return tuple(
            ReceivedLine(sku=line.sku, quantity=line.quantity, grade=line.grade, warehouse=self.warehouse)
            for line in self.lines
        )


class RelocationIn(Body):
    """The goods of a received return are in this warehouse, not in the one that the receipt named."""

    model_config = examples({"warehouse": "DE-1"})

    warehouse: WarehouseCode


class ReturnLineOut(View):
    """Units of a SKU that shall come back."""

    sku: str
    quantity: int
    reason: ReturnReason


class ReceivedLineOut(View):
    """Units as they were found."""

    sku: str
    quantity: int
    grade: Grade
    warehouse: str


class ReasonOut(View):
    """Why."""

    code: str
    message: str


class OpenReasonOut(ReasonOut):
    """Why something is not done yet, and what would clear it."""

    clears_with: str


class ReturnOut(View):
    """A return. The goods (`restock`) and the money (`refund`) have states of their own."""

    id: str
    order_id: str
    state: ReturnState
    restock: RestockState
    refund: RefundState
    send_back: bool
    lines: list[ReturnLineOut]
    received: list[ReceivedLineOut]
    restock_because: OpenReasonOut | None = Field(None, description="Why the goods are on no shelf yet.")
    relocated_to: str | None = Field(None, description="Where they are, if not where the receipt said.")
    refund_promised: Money | None
    refund_paid: Money | None
    refund_owed: Money | None = Field(
        None, description="What failed or fell short: a refund that names the return pays it."
    )
    refund_because: OpenReasonOut | None = Field(None, description="Why not all of it went.")
    refused_because: ReasonOut | None
    requested_at: datetime
    decided_at: datetime | None
    arrived_at: datetime | None
    received_at: datetime | None


class TicketIn(Body):
    """A buyer's question."""

    model_config = examples(
        {
            "order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
            "customer": "mira@example.org",
            "subject": "Where is my parcel?",
            "message": "It has been in customs for a week.",
        }
    )

    order_id: OrderId | None = None
    customer: Text
    subject: Text
    message: LongText


class MessageIn(Body):
    """What somebody writes into a ticket."""

    model_config = examples({"author": "staff", "message": "It was released this morning."})

    author: Author
    message: LongText


class MessageOut(View):
    """What somebody wrote."""

    id: str
    author: Author
    text: str
    written_at: datetime


class TicketSummary(View):
    """A ticket without its messages. `messages` is how many there are."""

    id: str
    order_id: str | None
    customer: str
    subject: str
    status: TicketStatus
    messages: int
    opened_at: datetime
    first_response_due_at: datetime
    first_responded_at: datetime | None
    first_response_breached: bool
    resolved_at: datetime | None


class TicketOut(TicketSummary):
    """A ticket with all that was written."""

    conversation: list[MessageOut]


class WrittenOut(View):
    """The message, and the ticket as it then is."""

    ticket: TicketSummary
    message: MessageOut
