"""A buyer wants to send goods back: it counts under the order's keys."""

from services.risk.domain.casework import Casework
from services.risk.domain.velocity import counts, second_of
from shared.contracts.support import ReturnRequested
from shared.effects import Effects, Moment


def count_return(requested: ReturnRequested, casework: Casework, now: Moment) -> Effects:
    """One return a return id, when it was asked for."""
    file = casework.files[requested.order_id]
    if file.takes(f"{requested.return_id} requested"):
        casework.observe(file, second_of(now.occurred_at), counts(returns=1))
    return []
