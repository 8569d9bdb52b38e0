"""The money was authorised: the card that was really charged counts, and must be the announced one."""

from services.risk.domain.casework import Casework
from services.risk.domain.order_file import Stage
from services.risk.domain.rule_set import A_PERSON
from services.risk.usecases.assess_order import open_review
from shared.contracts.payments import PaymentAuthorised
from shared.contracts.risk import ReviewCause
from shared.contracts.values import Reason
from shared.effects import Effects, Moment

CARD_MISMATCH = Reason(
    code="risk.card_mismatch",
    message="The card that was charged is not the one that was announced with the order",
    clears_with=A_PERSON,
    rule="card_mismatch",
)


def check_card(authorised: PaymentAuthorised, casework: Casework, now: Moment) -> Effects:
    """Another card than announced is a review, before the order is confirmed; once an order."""
    file = casework.files[authorised.order_id]
    if file.saw_card(authorised.card_fingerprint) and file.own:
        casework.admit_card(file)
    if authorised.card_matches or file.stage is Stage.CLOSED:
        return []
    if casework.review_of(file.order_id, ReviewCause.CARD_MISMATCH) is not None:
        return []
    return open_review(file, ReviewCause.CARD_MISMATCH, (CARD_MISMATCH,), casework, now)
