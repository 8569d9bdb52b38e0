"""The topic list: the one place where topics are declared. Automatic topic creation is off."""

from shared.contracts.registry import Topic, TopicKind

_WEEK_MS = 7 * 24 * 3600 * 1000


def _stream(name: str) -> Topic:
    return Topic(name, TopicKind.STREAM, partitions=12, retention_ms=_WEEK_MS)


def _state(name: str) -> Topic:
    return Topic(name, TopicKind.STATE, partitions=6, retention_ms=None)


PRODUCT = _state("catalog.product.v1")
STOCK = _state("inventory.stock.v1")
RESERVATION = _stream("inventory.reservation.v1")
ORDER = _stream("orders.order.v1")
CUSTOMS = _stream("logistics.customs.v1")
SHIPMENT = _stream("logistics.shipment.v1")
PAYMENT = _stream("payments.payment.v1")
REFUND = _stream("payments.refund.v1")
ASSESSMENT = _stream("risk.assessment.v1")
RETURN = _stream("support.return.v1")

TOPICS: tuple[Topic, ...] = (PRODUCT, STOCK, RESERVATION, ORDER, CUSTOMS, SHIPMENT, PAYMENT, REFUND, ASSESSMENT, RETURN)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
