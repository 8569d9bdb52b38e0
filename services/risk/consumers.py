"""What risk reacts to."""

from services.risk.domain.casework import Casework
from services.risk.domain.review import DUE
from services.risk.usecases.activate_rule_set import ActivateRuleSet, activate_rule_set
from services.risk.usecases.answer_again import answer_again
from services.risk.usecases.assess_order import assess_order
from services.risk.usecases.check_card import check_card
from services.risk.usecases.close_order import close_order
from services.risk.usecases.count_decline import count_decline
from services.risk.usecases.count_refund import count_refund
from services.risk.usecases.count_return import count_return
from services.risk.usecases.count_return_parcel import count_return_parcel
from services.risk.usecases.decide_review import DecideReview, decide_review
from services.risk.usecases.mark_overdue import mark_overdue
from shared.contracts.orders import AnswerAwaited, OrderCancelled, OrderPlaced, OrderRejected
from shared.contracts.payments import PaymentAuthorised, PaymentDeclined, RefundSucceeded
from shared.contracts.support import ReturnReceived, ReturnRequested
from shared.messaging.routing import Router


def routes(on: Router[Casework]) -> None:
    """Event or command to use case."""
    on(OrderPlaced, assess_order)
    on(OrderRejected, close_order)
    on(OrderCancelled, close_order)
    on(AnswerAwaited, answer_again)
    on(PaymentAuthorised, check_card)
    on(PaymentDeclined, count_decline)
    on(RefundSucceeded, count_refund)
    on(ReturnRequested, count_return)
    on(ReturnReceived, count_return_parcel)
    on(DecideReview, decide_review)
    on(ActivateRuleSet, activate_rule_set)
    on.due(DUE, mark_overdue)
