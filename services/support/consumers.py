"""Which use case answers what."""

from services.support.domain.cases import Cases
from services.support.domain.ticket import FIRST_RESPONSE_DEADLINE
from services.support.usecases.answer_ticket import AnswerTicket, answer_ticket
from services.support.usecases.approve_return import ApproveReturn, approve_return
from services.support.usecases.keep_order_copy import keep_cancellation, keep_delivery, keep_dispatch, keep_placed_order
from services.support.usecases.miss_first_response import miss_first_response
from services.support.usecases.note_return import (
    note_failed_refund,
    note_parcel,
    note_refund,
    note_requested_refund,
    note_restock,
    note_restock_held,
)
from services.support.usecases.open_ticket import OpenTicket, open_ticket
from services.support.usecases.receive_return import ReceiveReturn, receive_return
from services.support.usecases.refuse_return import RefuseReturn, refuse_return
from services.support.usecases.relocate_return import RelocateReturn, relocate_return
from services.support.usecases.request_return import RequestReturn, request_return
from services.support.usecases.resolve_ticket import ResolveTicket, resolve_ticket
from shared.contracts.inventory import RestockHeld, StockRestocked
from shared.contracts.logistics import ReturnParcelArrived, ShipmentDelivered, ShipmentDispatched
from shared.contracts.orders import OrderCancelled, OrderPlaced
from shared.contracts.payments import RefundFailed, RefundRequested, RefundSucceeded
from shared.messaging.routing import Router


def routes(on: Router[Cases]) -> None:
    """Fill the routing table."""
    on(OrderPlaced, keep_placed_order)
    on(OrderCancelled, keep_cancellation)
    on(ShipmentDispatched, keep_dispatch)
    on(ShipmentDelivered, keep_delivery)
    on(RequestReturn, request_return)
    on(ApproveReturn, approve_return)
    on(RefuseReturn, refuse_return)
    on(ReceiveReturn, receive_return)
    on(RelocateReturn, relocate_return)
    on(ReturnParcelArrived, note_parcel)
    on(StockRestocked, note_restock)
    on(RestockHeld, note_restock_held)
    on(RefundRequested, note_requested_refund)
    on(RefundSucceeded, note_refund)
    on(RefundFailed, note_failed_refund)
    on(OpenTicket, open_ticket)
    on(AnswerTicket, answer_ticket)
    on(ResolveTicket, resolve_ticket)
    on.due(FIRST_RESPONSE_DEADLINE, miss_first_response)
