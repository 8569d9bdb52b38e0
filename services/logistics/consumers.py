"""Which use case answers what: a routing table, nothing else."""

from services.logistics.domain import calls
from services.logistics.domain.desk import Desk
from services.logistics.usecases.answer_again import answer_again
from services.logistics.usecases.cancel_shipment import cancel_shipment, end_shipment
from services.logistics.usecases.check_papers import check_papers
from services.logistics.usecases.erase_recipient import EraseRecipient, erase_recipient
from services.logistics.usecases.open_return import open_return
from services.logistics.usecases.prepare_shipment import prepare_shipment
from services.logistics.usecases.recheck_papers import RECHECK, continue_recheck, learn_product, withdraw_product
from services.logistics.usecases.record_scan import STRAY, RecordScan, place_stray, record_scan
from services.logistics.usecases.retry_booking import RetryBooking, retry_booking
from services.logistics.usecases.settle_label import find_label, settle_label
from services.logistics.usecases.settle_return_label import settle_return_label
from services.logistics.usecases.settle_void import settle_void
from services.logistics.usecases.ship_to import ship_to
from services.logistics.usecases.supply_document import SupplyDocument, supply_document
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.contracts.orders import (
    AnswerAwaited,
    OrderCancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
)
from shared.contracts.support import ReturnApproved
from shared.messaging.routing import Router


def routes(on: Router[Desk]) -> None:
    """Fill the routing table."""
    on(ProductPublished, learn_product)
    on(ProductWithdrawn, withdraw_product)
    on(OrderPlaced, check_papers)
    on(OrderConfirmed, prepare_shipment)
    on(OrderCancellationRequested, cancel_shipment)
    on(OrderRejected, end_shipment)
    on(OrderCancelled, end_shipment)
    on(AnswerAwaited, answer_again)
    on(ReturnApproved, open_return)
    on(SupplyDocument, supply_document)
    on(RecordScan, record_scan)
    on(RetryBooking, retry_booking)
    on(EraseRecipient, erase_recipient)
    on.due(RECHECK, continue_recheck)
    on.due(STRAY, place_stray)
    on.answered(calls.RECIPIENT, ship_to)
    on.answered(calls.LABEL, settle_label)
    on.answered(calls.FIND_LABEL, find_label)
    on.answered(calls.VOID_LABEL, settle_void)
    on.answered(calls.RETURN_LABEL, settle_return_label)
    on.answered(calls.FIND_RETURN_LABEL, settle_return_label)
