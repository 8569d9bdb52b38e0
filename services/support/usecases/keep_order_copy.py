"""Keep support's copy of an order: what was bought, what left, what ended."""

from services.support.domain.cases import Cases
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched
from shared.contracts.orders import OrderCancelled, OrderPlaced
from shared.effects import Effects, Moment


def keep_placed_order(placed: OrderPlaced, cases: Cases, moment: Moment) -> Effects:
    """Remember the lines at the prices paid."""
    cases.purchase(placed.order_id).place(placed)
    return ()


def keep_dispatch(dispatched: ShipmentDispatched, cases: Cases, moment: Moment) -> Effects:
    """Remember which units left, and from where: these can come back."""
    cases.purchase(dispatched.order_id).dispatch(dispatched)
    return ()


def keep_delivery(delivered: ShipmentDelivered, cases: Cases, moment: Moment) -> Effects:
    """Remember when the buyer had it."""
    cases.purchase(delivered.order_id).delivered_at = delivered.delivered_at
    return ()


def keep_cancellation(cancelled: OrderCancelled, cases: Cases, moment: Moment) -> Effects:
    """Remember that nothing of it will leave."""
    cases.purchase(cancelled.order_id).cancelled_at = moment.occurred_at
    return ()
