"""What payments hears: a routing table."""

from services.payments.domain.books import Books
from services.payments.domain.moves import ACTION_DEADLINE, RENEWAL_DEADLINE
from services.payments.usecases.answer_again import answer_again
from services.payments.usecases.capture_payment import capture_at_delivery, capture_at_dispatch
from services.payments.usecases.expire_action import expire_action
from services.payments.usecases.hear_provider import hear_provider
from services.payments.usecases.hear_refund import hear_refund
from services.payments.usecases.hear_webhook import EARLY_DEADLINE, HearWebhook, apply_early_webhooks, hear_webhook
from services.payments.usecases.record_payout import RecordPayout, record_payout
from services.payments.usecases.refund_return import refund_kept_goods, refund_received_return
from services.payments.usecases.renew_authorisation import renew_authorisation
from services.payments.usecases.request_payment import request_payment
from services.payments.usecases.request_refund import RequestRefund, request_refund
from services.payments.usecases.undo_payment import undo_payment
from shared.contracts.logistics import ShipmentDelivered, ShipmentDispatched
from shared.contracts.orders import AnswerAwaited, OrderCancelled, OrderRejected, PaymentRequested
from shared.contracts.support import ReturnApproved, ReturnReceived
from shared.messaging.routing import Router


def routes(on: Router[Books]) -> None:
    """Events of others, commands, deadlines, and what the provider answers."""
    on(PaymentRequested, request_payment)
    on(OrderRejected, undo_payment)
    on(OrderCancelled, undo_payment)
    on(AnswerAwaited, answer_again)
    on(ShipmentDispatched, capture_at_dispatch)
    on(ShipmentDelivered, capture_at_delivery)
    on(ReturnApproved, refund_kept_goods)
    on(ReturnReceived, refund_received_return)
    on(RequestRefund, request_refund)
    on(RecordPayout, record_payout)
    on(HearWebhook, hear_webhook)
    on.due(ACTION_DEADLINE, expire_action)
    on.due(RENEWAL_DEADLINE, renew_authorisation)
    on.due(EARLY_DEADLINE, apply_early_webhooks)
    for kind in ("provider.authorise", "provider.capture", "provider.void", "provider.look_up"):
        on.answered(kind, hear_provider)
    for kind in ("provider.refund", "provider.look_up_refund"):
        on.answered(kind, hear_refund)
