"""Orders asks again what risk says about an order, or about the card that was charged for it."""

from services.risk.domain.casework import Casework
from services.risk.domain.order_file import OrderFile, Stage
from services.risk.domain.review import Review, Status
from services.risk.usecases.assess_order import announce, assess_order, open_review, opened
from services.risk.usecases.check_card import CARD_MISMATCH
from shared.contracts.orders import AnswerAwaited
from shared.contracts.registry import Event
from shared.contracts.risk import ReviewCause, RiskReviewDecided
from shared.effects import Effects, Moment

WHO = "risk"
_CARD = "card"


def answer_again(awaited: AnswerAwaited, casework: Casework, now: Moment) -> Effects:
    """Tell the present word once more; assess what was never heard of, and have another card looked at."""
    file = casework.files[awaited.order_id]
    if WHO not in awaited.whom or file.stage is Stage.CLOSED:
        return []
    assessed: Effects = assess_order(awaited.placed, casework, now) if file.stage is Stage.EXPECTED else ()
    if awaited.matter == _CARD:
        return [*assessed, *_about_card(file, casework, now)]
    return assessed or _about_order(file, casework, now)


def _about_order(file: OrderFile, casework: Casework, now: Moment) -> Effects:
    review = casework.review_of(file.order_id, ReviewCause.ORDER)
    if review is not None:
        return _told(review)
    return announce(file, file.assessment, casework, now) if file.assessment else []


def _about_card(file: OrderFile, casework: Casework, now: Moment) -> Effects:
    review = casework.review_of(file.order_id, ReviewCause.CARD_MISMATCH)
    if review is not None:
        return _told(review)
    return open_review(file, ReviewCause.CARD_MISMATCH, (CARD_MISMATCH,), casework, now)


def _told(review: Review) -> list[Event]:
    match review.status:
        case Status.OPEN:
            return [opened(review)]
        case Status.APPROVED | Status.REJECTED:
            return [
                RiskReviewDecided(
                    order_id=review.order_id,
                    review_id=review.review_id,
                    cause=review.cause,
                    approved=review.status is Status.APPROVED,
                    decided_by=review.decided_by,
                )
            ]
        case Status.CLOSED:
            return []
