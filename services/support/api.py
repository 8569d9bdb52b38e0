"""Support's routes: parse, use case, shape."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.support import queries
from services.support.domain.return_states import ReturnState
from services.support.domain.ticket import TicketStatus
from services.support.schemas import (
    ApprovalIn,
    MessageIn,
    OrderId,
    ReceiptIn,
    RelocationIn,
    ReturnId,
    ReturnIn,
    ReturnOut,
    TicketId,
    TicketIn,
    TicketOut,
    TicketSummary,
    WrittenOut,
)
from services.support.usecases.answer_ticket import AnswerTicket
from services.support.usecases.approve_return import ApproveReturn
from services.support.usecases.open_ticket import OpenTicket
from services.support.usecases.receive_return import ReceiveReturn
from services.support.usecases.refuse_return import RefuseReturn
from services.support.usecases.relocate_return import RelocateReturn
from services.support.usecases.request_return import RequestReturn
from services.support.usecases.resolve_ticket import ResolveTicket
from shared.errors import Kind, Refusal, Refused
from shared.http import PROBLEMS, After, Body, Caller, Commands, Limit, Page, Reads, only_known_parameters, requires
from shared.pan import refuse_card_numbers

router = APIRouter(prefix="/v1", tags=["support"])
_only_known = [Depends(only_known_parameters)]
_DECIDE = "returns:decide"


@router.post(
    "/returns",
    operation_id="returns.request",
    status_code=201,
    responses={201: {"model": ReturnOut}, **PROBLEMS},
    response_class=Response,
)
async def request(
    body: ReturnIn, caller: Annotated[Caller, requires("returns:write", idempotent=True)], commands: Commands
) -> Response:
    """Units that were shipped and are in no other return may come back."""
    if body.approve and not caller.can(_DECIDE):
        raise Refused(
            Refusal(
                code="auth.scope",
                detail=f"this key may ask for a return but not approve it; it lacks the scope {_DECIDE}",
                kind=Kind.FORBIDDEN,
                clears_with=f"a key with the scope {_DECIDE}",
            )
        )
    lines = tuple(line.claimed() for line in body.lines)
    command = RequestReturn(caller.store_id, body.order_id, lines, body.approve, body.send_back)
    return await commands.execute(caller, command)


@router.post(
    "/returns/{return_id}/approval",
    operation_id="returns.decide",
    responses={200: {"model": ReturnOut}, **PROBLEMS},
    response_class=Response,
)
async def decide(
    return_id: ReturnId,
    body: ApprovalIn,
    caller: Annotated[Caller, requires(_DECIDE, idempotent=True)],
    commands: Commands,
) -> Response:
    """Approve or refuse. Goods that cost more to send back than they are worth are refunded at once and kept."""
    if body.reason is not None:
        return await commands.execute(caller, RefuseReturn(caller.store_id, return_id, body.reason))
    return await commands.execute(caller, ApproveReturn(caller.store_id, return_id, body.send_back))


@router.post(
    "/returns/{return_id}/receipt",
    operation_id="returns.receive",
    responses={200: {"model": ReturnOut}, **PROBLEMS},
    response_class=Response,
)
async def receive(
    return_id: ReturnId,
    body: ReceiptIn,
    caller: Annotated[Caller, requires("returns:receive", idempotent=True)],
    commands: Commands,
) -> Response:
    """The goods are back and graded: sellable units go on the shelf, what is owed goes back to the buyer."""
    command = ReceiveReturn(caller.store_id, return_id, body.warehouse, body.received(), body.refund)
    return await commands.execute(caller, command)


@router.post(
    "/returns/{return_id}/relocation",
    operation_id="returns.relocate",
    responses={200: {"model": ReturnOut}, **PROBLEMS},
    response_class=Response,
)
async def relocate(
    return_id: ReturnId,
    body: RelocationIn,
    caller: Annotated[Caller, requires("returns:receive", idempotent=True)],
    commands: Commands,
) -> Response:
    """Goods that are on no shelf (`restock` is `held`) are in this warehouse: inventory puts them there."""
    return await commands.execute(caller, RelocateReturn(caller.store_id, return_id, body.warehouse))


@router.get("/returns", operation_id="returns.list", responses=PROBLEMS, dependencies=_only_known)
async def list_returns(
    caller: Annotated[Caller, requires("returns:read")],
    database: Reads,
    order_id: OrderId | None = None,
    state: ReturnState | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[ReturnOut]:
    """The store's returns, the newest first."""
    return await queries.returns(database, caller.store_id, order_id=order_id, state=state, after=after, limit=limit)


@router.get("/returns/{return_id}", operation_id="returns.get", responses=PROBLEMS)
async def get_return(
    return_id: ReturnId, caller: Annotated[Caller, requires("returns:read")], database: Reads
) -> ReturnOut:
    """One return."""
    return await queries.one_return(database, caller.store_id, return_id)


@router.post(
    "/tickets",
    operation_id="tickets.open",
    status_code=201,
    responses={201: {"model": TicketSummary}, **PROBLEMS},
    response_class=Response,
)
async def open_(
    body: TicketIn, caller: Annotated[Caller, requires("tickets:write", idempotent=True)], commands: Commands
) -> Response:
    """A buyer asks. The first answer is owed within 24 hours."""
    _no_card_numbers(body)
    command = OpenTicket(caller.store_id, body.order_id, body.customer, body.subject, body.message)
    return await commands.execute(caller, command)


@router.post(
    "/tickets/{ticket_id}/messages",
    operation_id="tickets.write",
    status_code=201,
    responses={201: {"model": WrittenOut}, **PROBLEMS},
    response_class=Response,
)
async def write(
    ticket_id: TicketId,
    body: MessageIn,
    caller: Annotated[Caller, requires("tickets:write", idempotent=True)],
    commands: Commands,
) -> Response:
    """Write into a ticket. The first message of the staff stops the clock."""
    _no_card_numbers(body)
    return await commands.execute(caller, AnswerTicket(caller.store_id, ticket_id, body.author, body.message))


@router.post(
    "/tickets/{ticket_id}/resolution",
    operation_id="tickets.resolve",
    responses={200: {"model": TicketSummary}, **PROBLEMS},
    response_class=Response,
)
async def resolve(
    ticket_id: TicketId, caller: Annotated[Caller, requires("tickets:write", idempotent=True)], commands: Commands
) -> Response:
    """Close a ticket; every clock of it stops."""
    return await commands.execute(caller, ResolveTicket(caller.store_id, ticket_id))


@router.get("/tickets", operation_id="tickets.list", responses=PROBLEMS, dependencies=_only_known)
async def list_tickets(
    caller: Annotated[Caller, requires("tickets:read")],
    database: Reads,
    order_id: OrderId | None = None,
    status: TicketStatus | None = None,
    breached: bool | None = None,
    after: After = None,
    limit: Limit = 50,
) -> Page[TicketSummary]:
    """The store's tickets, the newest first."""
    return await queries.tickets(
        database, caller.store_id, order_id=order_id, status=status, breached=breached, after=after, limit=limit
    )


@router.get("/tickets/{ticket_id}", operation_id="tickets.get", responses=PROBLEMS)
async def get_ticket(
    ticket_id: TicketId, caller: Annotated[Caller, requires("tickets:read")], database: Reads
) -> TicketOut:
    """One ticket with all that was written."""
    return await queries.one_ticket(database, caller.store_id, ticket_id)


def _no_card_numbers(body: Body) -> None:
    """Buyers paste what they have at hand; a card number must not come to rest here (PCI DSS 4.0.1 requirement 3)."""
    refusal = refuse_card_numbers(body.model_dump())
    if refusal is not None:
        raise Refused(
            Refusal(
                code="ticket.card_number",
                detail=f"{refusal.facts['field']} looks like a card number, which is never kept",
                kind=Kind.INVALID,
                clears_with="the text without it, or with its last four digits only",
                facts=refusal.facts,
            )
        )
