"""What orders counts beside the kit's metrics."""

from prometheus_client import Counter

ORDERS = Counter("freeport_orders_total", "Orders that reached a state.", ("market", "state"))
