"""The order ended before hand-over: nobody needs to decide about it any more."""

from services.risk.domain.casework import Casework
from services.risk.domain.review import DUE
from shared.contracts.orders import OrderCancelled, OrderRejected
from shared.effects import Effects, Forget, Moment


def close_order(ended: OrderRejected | OrderCancelled, casework: Casework, now: Moment) -> Effects:
    """Open reviews close without a decision, so nothing is published: whoever listens has heard of the order's end."""
    casework.files[ended.order_id].close()
    return [Forget(DUE, review.review_id) for review in casework.reviews_of(ended.order_id) if review.close()]
