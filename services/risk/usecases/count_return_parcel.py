"""A returned parcel was opened: it counts under the order's keys, and so does what was missing in it."""

from services.risk.domain.casework import Casework
from services.risk.domain.velocity import counts, second_of
from shared.contracts.support import ReturnReceived
from shared.contracts.values import Grade
from shared.effects import Effects, Moment


def count_return_parcel(received: ReturnReceived, casework: Casework, now: Moment) -> Effects:
    """One parcel a return id, with the units that should have been in it and were not."""
    file = casework.files[received.order_id]
    if file.takes(f"{received.return_id} received"):
        missing = sum(line.quantity for line in received.lines if line.grade is Grade.MISSING)
        casework.observe(file, second_of(now.occurred_at), counts(received=1, missing=missing))
    return []
