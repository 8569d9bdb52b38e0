"""The events that the services exchange, one module a publishing service.

Importing the package registers every event in `registry.EVENTS`.
"""

from shared.contracts import catalog, inventory, logistics, orders, payments, risk, support

__all__ = ["catalog", "inventory", "logistics", "orders", "payments", "risk", "support"]
