"""Money went back: it counts under the order's keys."""

from services.risk.domain.casework import Casework
from services.risk.domain.velocity import counts, second_of
from shared.contracts.payments import RefundSucceeded
from shared.effects import Effects, Moment


def count_refund(refund: RefundSucceeded, casework: Casework, now: Moment) -> Effects:
    """One refund a refund id, with its amount in the reference currency (0 where there is no rate)."""
    file = casework.files[refund.order_id]
    if file.takes(refund.refund_id):
        amount = casework.rules_of(file.store_id).reference.convert(refund.amount, now.occurred_at.date())
        casework.observe(file, second_of(now.occurred_at), counts(refunds=1, refunded=amount or 0))
    return []
