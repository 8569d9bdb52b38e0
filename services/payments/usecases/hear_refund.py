"""The provider answered, or did not: about a refund."""

from services.payments.domain.books import Books
from services.payments.domain.charge import Charge
from services.payments.domain.moves import hear
from services.payments.domain.refund import RefundNews
from services.payments.domain.refunding import news_of, take_refund
from shared.effects import Answered, Effects, Moment


def hear_refund(answered: Answered, books: Books, now: Moment) -> Effects:
    """Decide the answer to a refund or to a look-up about one.

    `{"charge": {…}}` holds all refunds of the charge; `{"refused": code, "charge": {…}}` is a no for good; None is unknown.
    """
    payment = books.of(answered.key)
    attempt = payment.attempt(answered.request["attempt"])
    refund = payment.refund(answered.request["refund"])
    if refund is None:
        raise LookupError(f"the payment of {answered.key} has no refund {answered.request['refund']}")
    newest = answered.request["number"] == refund.calls - 1
    if answered.answer is None:
        return take_refund(payment, refund, RefundNews.NO_ANSWER, now.decided_at) if newest else []
    if refused := answered.answer.get("refused"):
        refund.failure_code = refused
        return take_refund(payment, refund, RefundNews.FAILED, now.decided_at)
    if answered.answer["charge"] is None:
        return take_refund(payment, refund, RefundNews.NO_ANSWER, now.decided_at) if newest else []
    charge = Charge.of(answered.answer["charge"])
    effects = list(hear(payment, attempt, charge, now.decided_at))
    news = news_of(refund, charge)
    if newest and news in (RefundNews.PENDING, RefundNews.NOT_THERE):
        effects += take_refund(payment, refund, news, now.decided_at)
    return effects
