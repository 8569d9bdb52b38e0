"""The buyer's time to act is over."""

from services.payments.domain.books import Books
from services.payments.domain.moves import News, Scene, take
from shared.effects import Due, Effects, Moment


def expire_action(due: Due, books: Books, now: Moment) -> Effects:
    """Look once more whether the buyer acted; if not, the charge is voided and declined."""
    return take(books.of(due.key), News.ACTION_DUE, Scene(now=now.decided_at))
