"""A review's time is up."""

from services.risk.domain.casework import Casework
from shared.effects import Due, Effects, Moment


def mark_overdue(due: Due, casework: Casework, now: Moment) -> Effects:
    """It stays open and says that it is late; a machine never decides what was asked of a person."""
    review = casework.reviews.get(due.key)
    if review is not None:
        review.fall_due()
    return []
