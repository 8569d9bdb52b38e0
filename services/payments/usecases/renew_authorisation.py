"""A promise is about to run out."""

from services.payments.domain.books import Books
from services.payments.domain.moves import News, Scene, take
from shared.effects import Due, Effects, Moment


def renew_authorisation(due: Due, books: Books, now: Moment) -> Effects:
    """Renew the promise where the provider allows it, else tell."""
    payment = books.of(due.key)
    news = News.RENEWAL_DUE if payment.may_renew else News.EXPIRING
    return take(payment, news, Scene(now=now.decided_at))
