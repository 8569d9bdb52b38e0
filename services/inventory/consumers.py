"""Which message goes to which use case, and nothing else."""

from services.inventory.domain.shelves import ANNOUNCE, EXPIRY, WAITING_RETRY, Shelves
from services.inventory.usecases.adjust_stock import AdjustStock, adjust_stock
from services.inventory.usecases.announce_stock import announce_stock
from services.inventory.usecases.answer_again import answer_again
from services.inventory.usecases.commit_stock import commit_stock
from services.inventory.usecases.consume_stock import consume_stock
from services.inventory.usecases.count_stock import CountStock, count_stock
from services.inventory.usecases.expire_reservation import expire_reservation
from services.inventory.usecases.put_channel import PutChannel, put_channel
from services.inventory.usecases.put_policies import PutPolicies, put_policies
from services.inventory.usecases.put_warehouse import PutWarehouse, put_warehouse
from services.inventory.usecases.receive_transfer import ReceiveTransfer, receive_transfer
from services.inventory.usecases.release_stock import release_stock
from services.inventory.usecases.relocate_return import relocate_return
from services.inventory.usecases.reserve_stock import reserve_stock
from services.inventory.usecases.restock_return import restock_return
from services.inventory.usecases.retry_waiting import retry_waiting
from services.inventory.usecases.ship_transfer import ShipTransfer, ship_transfer
from shared.contracts.logistics import ShipmentDispatched
from shared.contracts.orders import AnswerAwaited, OrderCancelled, OrderConfirmed, OrderPlaced, OrderRejected
from shared.contracts.support import ReturnReceived, ReturnRelocated
from shared.messaging.routing import Router


def routes(on: Router[Shelves]) -> None:
    """Fill the routing table."""
    on(OrderPlaced, reserve_stock)
    on(OrderConfirmed, commit_stock)
    on(OrderRejected, release_stock)
    on(OrderCancelled, release_stock)
    on(AnswerAwaited, answer_again)
    on(ShipmentDispatched, consume_stock)
    on(ReturnReceived, restock_return)
    on(ReturnRelocated, relocate_return)
    on(AdjustStock, adjust_stock)
    on(CountStock, count_stock)
    on(ShipTransfer, ship_transfer)
    on(ReceiveTransfer, receive_transfer)
    on(PutWarehouse, put_warehouse)
    on(PutChannel, put_channel)
    on(PutPolicies, put_policies)
    on.due(EXPIRY, expire_reservation)
    on.due(WAITING_RETRY, retry_waiting)
    on.due(ANNOUNCE, announce_stock)
