"""What support tells: goods on their way back. Support's word alone restocks and refunds."""

from shared.contracts.registry import Event, event
from shared.contracts.topics import RETURN
from shared.contracts.values import Reason, ReceivedLine, ReturnLine
from shared.money import Money


@event("support.return.requested.v1", topic=RETURN, key="order_id")
class ReturnRequested(Event):
    """The buyer wants to send these back."""

    order_id: str
    return_id: str
    lines: tuple[ReturnLine, ...]


@event("support.return.approved.v1", topic=RETURN, key="order_id")
class ReturnApproved(Event):
    """The buyer may send them back; or, where sending back costs more, keeps them and gets `refund_now`."""

    order_id: str
    return_id: str
    lines: tuple[ReturnLine, ...]
    send_back: bool
    refund_now: Money | None = None


@event("support.return.refused.v1", topic=RETURN, key="order_id")
class ReturnRefused(Event):
    """The return is not accepted."""

    order_id: str
    return_id: str
    reason: Reason


@event("support.return.received.v1", topic=RETURN, key="order_id")
class ReturnReceived(Event):
    """The goods are back and graded: inventory restocks the sellable ones, payments refunds `refund` (None for nothing)."""

    order_id: str
    return_id: str
    lines: tuple[ReceivedLine, ...]
    refund: Money | None = None


@event("support.return.relocated.v1", topic=RETURN, key="order_id")
class ReturnRelocated(Event):
    """The goods of a received return are in this warehouse, not in the one that was named at the receipt."""

    order_id: str
    return_id: str
    warehouse: str
