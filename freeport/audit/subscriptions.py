"""Which service follows which topics.

It is said here, because a database cannot tell: before its first event of a topic, a service has no position there, and what waits
for it would be taken for nothing. A test holds it to the services' own routing tables.
"""

from collections.abc import Mapping

from shared.contracts.topics import (
    ASSESSMENT,
    CUSTOMS,
    ORDER,
    PAYMENT,
    PRODUCT,
    REFUND,
    RESERVATION,
    RETURN,
    SHIPMENT,
)

_TOPICS = {
    "catalog": (),
    "inventory": (ORDER, SHIPMENT, RETURN),
    "orders": (PRODUCT, RESERVATION, ORDER, CUSTOMS, SHIPMENT, PAYMENT, REFUND, ASSESSMENT, RETURN),
    "logistics": (PRODUCT, ORDER, RETURN),
    "payments": (ORDER, SHIPMENT, RETURN),
    "support": (RESERVATION, ORDER, SHIPMENT, REFUND),
    "risk": (ORDER, PAYMENT, REFUND, RETURN),
}
SUBSCRIPTIONS: Mapping[str, frozenset[str]] = {
    service: frozenset(topic.name for topic in topics) for service, topics in _TOPICS.items()
}
"""The names of the topics by service."""
