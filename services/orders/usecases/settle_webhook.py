"""An endpoint was told something, or could not be."""

from dataclasses import dataclass
from datetime import timedelta

from services.orders.domain.book import OrderBook
from services.orders.domain.webhook import Delivery, Verdict, verdict_of
from services.orders.domain.webhook_book import Attempt
from shared.effects import Effects, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTried:
    """A try has ended. `url` is where it was made; `retry_after` is what the endpoint asked for, with 429 or 503."""

    attempt: Attempt
    url: str
    retry_after: timedelta | None = None


def settle_webhook(tried: WebhookTried, book: OrderBook, now: Moment) -> Effects:
    """The log has every try. Who was overtaken by a later claim has no say any more, unless with the news that it arrived.

    What a URL says that the endpoint has no longer is not held against it.
    """
    attempt, webhooks = tried.attempt, book.webhooks
    delivery = webhooks.deliveries.get(attempt.delivery_id)
    if delivery is None:
        return ()  # its thirty days are over
    webhooks.attempts.append(attempt)
    verdict = verdict_of(attempt.status)
    endpoint = webhooks.endpoints.get(delivery.endpoint_id)
    asked = endpoint if endpoint is not None and endpoint.url == tried.url else None
    if asked is not None and asked.hear(verdict, now.decided_at, tried.retry_after):
        webhooks.touch(asked)
    if verdict is not Verdict.DELIVERED and attempt.number != delivery.attempts:
        return ()
    _settle(delivery, verdict, tried, now, told_more=endpoint is not None and endpoint.enabled)
    delivery.last_status, delivery.last_error = attempt.status, attempt.error
    webhooks.touch(delivery)
    return ()


def _settle(delivery: Delivery, verdict: Verdict, tried: WebhookTried, now: Moment, *, told_more: bool) -> None:
    if verdict is Verdict.DELIVERED:
        delivery.arrived(now.decided_at)
    elif told_more:
        delivery.failed(now.decided_at, tried.retry_after)
    else:
        delivery.skip(now.decided_at)
