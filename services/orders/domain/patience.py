"""How long an order waits for whom, before a person is told. Silence is neither a yes nor a no."""

from dataclasses import dataclass
from datetime import timedelta

from services.orders.domain.facts import Cancellation, Facts, Papers, Payment, Stock, Verdict
from services.orders.domain.standing import Standing, Status
from services.orders.domain.steps import awaits_booking

ANSWER = timedelta(minutes=5)  # of inventory, risk and logistics
PAYMENT = timedelta(minutes=15)  # a provider's slow minutes, and the looking up of unknown outcomes


@dataclass(frozen=True, slots=True)
class Waiting:
    """For what the order waits, for whose answers, and how long at most."""

    matter: str
    whom: frozenset[str]
    patience: timedelta


def waits_for(order: Standing) -> Waiting | None:
    """Whose answer the order needs now. None where it needs none, or a person's: their deadlines run with their owners."""
    if order.status is Status.CONFIRMED:
        return _after_confirmation(order.facts)
    if order.status.ended:
        return None
    return _payment(order) if order.facts.payment_asked else _agreement(order.facts)


def _agreement(facts: Facts) -> Waiting | None:
    silent = {
        "inventory": facts.stock is Stock.NONE,
        "risk": facts.risk is Verdict.NONE,
        "logistics": facts.papers is Papers.NONE,
    }
    whom = frozenset(who for who, is_silent in silent.items() if is_silent)
    return Waiting("agreement", whom, ANSWER) if whom else None


def _payment(order: Standing) -> Waiting | None:
    facts = order.facts
    if facts.payment in (Payment.REQUESTED, Payment.UNKNOWN) or awaits_booking(order):
        return Waiting("payment", frozenset({"payments"}), PAYMENT)
    if (
        facts.payment in (Payment.AUTHORISED, Payment.CAPTURED)
        and not facts.card_matches
        and facts.card is Verdict.NONE
    ):
        return Waiting("card", frozenset({"risk"}), ANSWER)
    return None


def _after_confirmation(facts: Facts) -> Waiting | None:
    if facts.cancellation is Cancellation.ASKED:
        return Waiting("cancellation", frozenset({"logistics"}), ANSWER)
    if facts.stock in (Stock.EXPIRED, Stock.BROKEN):
        return Waiting("reservation", frozenset({"inventory"}), ANSWER)
    return None
