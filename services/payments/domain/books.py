"""The working set: the payments that a batch touches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.payments.domain.payment import Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyWebhook:
    """A webhook about an order that payments has not heard of: kept until it has."""

    webhook_id: str
    order_id: str
    attempt_key: str
    received_at: datetime


@dataclass(slots=True)
class Books:
    """Payments by order, and what the provider told before its order was known. `as_loaded` is the repository's own."""

    payments: dict[str, Payment] = field(default_factory=dict[str, Payment])
    early: dict[str, list[EarlyWebhook]] = field(default_factory=dict[str, list[EarlyWebhook]])
    as_loaded: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def of(self, order_id: str) -> Payment:
        """The order's payment. Raises LookupError: answers and deadlines come for payments that exist."""
        if order_id not in self.payments:
            raise LookupError(f"there is no payment for the order {order_id}")
        return self.payments[order_id]

    def keep(self, webhook: EarlyWebhook) -> None:
        """Remember a webhook until its order is known."""
        kept = self.early.setdefault(webhook.order_id, [])
        if all(known.webhook_id != webhook.webhook_id for known in kept):
            kept.append(webhook)
