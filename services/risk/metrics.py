"""What risk counts for Prometheus."""

from prometheus_client import Counter

from services.risk.domain.casework import Casework
from services.risk.domain.rule_set import Decision

DECISIONS = Counter("freeport_risk_decisions_total", "Orders by what the rules decided.", ("decision",))
for known in Decision:
    DECISIONS.labels(known.value)


def count_decisions(casework: Casework) -> None:
    """What the rules decided in a batch, once it is committed."""
    for decision in casework.decided:
        DECISIONS.labels(decision.value).inc()
