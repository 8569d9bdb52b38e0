"""Payments and refunds by what became of them."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Counter

from services.payments.domain.books import Books
from services.payments.domain.payment import State
from services.payments.domain.refund import RefundState

PAYMENTS = Counter("freeport_payments_total", "Payments by the state that they came to.", ("outcome",))
REFUNDS = Counter("freeport_refunds_total", "Refunds by the state that they came to.", ("outcome",))

for state in State:
    PAYMENTS.labels(state.value)
for state in RefundState:
    REFUNDS.labels(state.value)


def count_payments(books: Books) -> None:
    """Count what changed its state in a batch, once it is committed."""
    states: Mapping[str, State] = books.as_loaded.get("states", {})
    refunds: Mapping[str, tuple[Any, ...]] = books.as_loaded.get("refunds", {})
    for order, payment in books.payments.items():
        if states.get(order) is not payment.state:
            PAYMENTS.labels(payment.state.value).inc()
        for refund in payment.refunds:
            before = refunds.get(refund.id)
            if before is None or before[9] != refund.state.value:
                REFUNDS.labels(refund.state.value).inc()
