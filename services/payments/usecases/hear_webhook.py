"""The provider tells that something about a charge changed. It is only a hint: the charge itself is asked for."""

from dataclasses import dataclass
from datetime import timedelta

from services.payments.domain.books import Books, EarlyWebhook
from shared.effects import Deadline, Due, Effect, Effects, Moment, Reply

EARLY_DEADLINE = "payment.early_webhook"
_ASK_AGAIN = timedelta(seconds=30)
_KEPT = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class HearWebhook:
    """A verified webhook. `order_id` is the reference we gave, `attempt_key` the idempotency key of the charge."""

    webhook_id: str
    order_id: str
    attempt_key: str
    status: str
    about_refund: bool


def hear_webhook(heard: HearWebhook, books: Books, now: Moment) -> Effects:
    """Ask how the charge stands, unless the hint says what is known; keep what comes before its order."""
    payment = books.payments.get(heard.order_id)
    if payment is None:
        books.keep(
            EarlyWebhook(
                webhook_id=heard.webhook_id,
                order_id=heard.order_id,
                attempt_key=heard.attempt_key,
                received_at=now.decided_at,
            )
        )
        return [Deadline(EARLY_DEADLINE, heard.order_id, now.decided_at + _ASK_AGAIN), Reply({"status": "kept"}, 202)]
    attempt = next((attempt for attempt in payment.attempts if attempt.id == heard.attempt_key), None)
    if attempt is None:  # a charge under a key that we never used: nothing of ours
        payment.attention = payment.attention or "payment.foreign_charge"
        return [Reply({"status": "not_ours"}, 202)]
    if not heard.about_refund and attempt.status == heard.status:
        return [Reply({"status": "known"}, 202)]
    look_up: Effect = attempt.call("provider.look_up", payment.order_id, key=attempt.id)
    return [look_up, Reply({"status": "asked"}, 202)]


def apply_early_webhooks(due: Due, books: Books, now: Moment) -> Effects:
    """Ask now about a charge whose order came at the same moment as its webhook; after days, drop what no order ever claimed."""
    kept = books.early.get(due.key, [])
    if not kept:
        return []
    payment = books.payments.get(due.key)
    if payment is not None:
        books.early[due.key] = []
        return [payment.current.call("provider.look_up", payment.order_id, key=payment.current.id)]
    books.early[due.key] = [webhook for webhook in kept if now.decided_at - webhook.received_at < _KEPT]
    return [Deadline(EARLY_DEADLINE, due.key, now.decided_at + 10 * _ASK_AGAIN)] if books.early[due.key] else []
