"""The provider answered, or did not: about a charge."""

from services.payments.domain.books import Books
from services.payments.domain.charge import Charge, ChargeStatus
from services.payments.domain.moves import News, Scene, hear, hear_absence, hear_silence, take
from shared.effects import Answered, Effects, Moment


def hear_provider(answered: Answered, books: Books, now: Moment) -> Effects:
    """Decide the answer to an authorisation, a capture, a void or a look-up.

    Answers: `{"charge": {…}}`, `{"charge": None}` (a look-up: it never saw the key), `{"declined": code}` (a no without a
    charge), or None: the outcome is unknown. Silence and absence count only as answers to the newest question.
    """
    payment = books.of(answered.key)
    attempt = payment.attempt(answered.request["attempt"])
    newest = attempt.is_newest(answered.request["number"])
    if answered.answer is None:
        return hear_silence(payment, attempt, now.decided_at) if newest else []
    if "declined" in answered.answer:
        attempt.status = ChargeStatus.DECLINED
        declined = Scene(now=now.decided_at, decline_code=answered.answer["declined"])
        return take(payment, News.DECLINED, declined) if attempt is payment.current else []
    if answered.answer["charge"] is None:
        return hear_absence(payment, attempt, now.decided_at) if newest else []
    return hear(payment, attempt, Charge.of(answered.answer["charge"]), now.decided_at)
