"""A payment was declined: it counts under the order's keys."""

from services.risk.domain.casework import Casework
from services.risk.domain.velocity import counts, second_of
from shared.contracts.payments import PaymentDeclined
from shared.effects import Effects, Moment


def count_decline(declined: PaymentDeclined, casework: Casework, now: Moment) -> Effects:
    """One decline a payment, when the provider said no."""
    file = casework.files[declined.order_id]
    if file.takes(declined.payment_id):
        casework.observe(file, second_of(now.occurred_at), counts(declines=1))
    return []
