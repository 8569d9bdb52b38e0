"""A day went by without an answer."""

from services.support.domain.cases import Cases
from shared.effects import Due, Effects, Moment


def miss_first_response(due: Due, cases: Cases, moment: Moment) -> Effects:
    """Mark the broken promise, unless the answer or the resolution was faster than this message."""
    ticket = cases.tickets[due.key]
    if ticket.miss_first_response():
        cases.touch(ticket)
    return ()
