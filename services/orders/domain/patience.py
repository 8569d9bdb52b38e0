"""How long an order waits for whom, and what follows: a question, then an end where that is safe, at last a person.

Silence is neither a yes nor a no. Nothing is guessed, least of all about money: a payment that was asked for and not answered
is looked up by payments, and the order waits.
"""

from dataclasses import dataclass
from datetime import timedelta

from services.orders.domain.facts import Cancellation, Facts, Papers, Payment, Stock, Verdict
from services.orders.domain.standing import Standing, Status
from services.orders.domain.steps import awaits_booking

MATTERS = AGREEMENT, PAYMENT, CARD, RESERVATION, CANCELLATION = (
    "agreement",
    "payment",
    "card",
    "reservation",
    "cancellation",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an order waits before it asks again, and from the question on.

    Long enough that services which are only slow, or a broker that is away for minutes, end no order; and `give_up` ends before
    inventory's hold of half an hour does: an order that nobody agreed to by then has no stock either.
    """

    ask: timedelta = timedelta(minutes=2)  # inventory, risk, logistics
    give_up: timedelta = timedelta(minutes=27)  # a storefront's order that can still be refused
    alarm: timedelta = timedelta(minutes=3)  # every other: a person is told
    payment_ask: timedelta = timedelta(minutes=5)  # a provider's slow minutes, and the looking up of unknown outcomes
    payment_alarm: timedelta = timedelta(minutes=10)

    def before_question(self, matter: str) -> timedelta:
        """From when an order waits until it asks again."""
        return self.payment_ask if matter == PAYMENT else self.ask

    def after_question(self, matter: str, *, gives_up: bool) -> timedelta:
        """From the question until the order is given up, or a person is told."""
        if gives_up:
            return self.give_up
        return self.payment_alarm if matter == PAYMENT else self.alarm


USUAL = Patience()


@dataclass(frozen=True, slots=True)
class Waiting:
    """For what the order waits, and for whose answers."""

    matter: str
    whom: frozenset[str]


def waits_for(order: Standing) -> Waiting | None:
    """Whose answer the order needs now. None where it needs none, or a person's: their deadlines run with their owners."""
    if order.status is Status.CONFIRMED:
        return _after_confirmation(order.facts)
    if order.status.ended:
        return None
    return _payment(order) if order.facts.payment_asked else _agreement(order.facts)


def may_give_up(order: Standing, waiting: Waiting) -> bool:
    """Whether ending the order over a silence is safe: nothing is confirmed or sold, and it is known where its money is.

    Whoever did something for it undoes that when it hears of the end, also the one who was silent: its stream is in order.
    """
    open_ = order.status is Status.PLACED and order.refusable and waiting.matter in (AGREEMENT, CARD)
    unknown = order.facts.payment in (Payment.REQUESTED, Payment.UNKNOWN) or bool(order.facts.doubted)
    return open_ and not unknown


def _agreement(facts: Facts) -> Waiting | None:
    silent = {
        "inventory": facts.stock is Stock.NONE,
        "risk": facts.risk is Verdict.NONE,
        "logistics": facts.papers is Papers.NONE,
    }
    whom = frozenset(who for who, is_silent in silent.items() if is_silent)
    return Waiting(AGREEMENT, whom) if whom else None


def _payment(order: Standing) -> Waiting | None:
    facts = order.facts
    if facts.payment in (Payment.REQUESTED, Payment.UNKNOWN) or awaits_booking(order):
        return Waiting(PAYMENT, frozenset({"payments"}))
    if (
        facts.payment in (Payment.AUTHORISED, Payment.CAPTURED)
        and not facts.card_matches
        and facts.card is Verdict.NONE
    ):
        return Waiting(CARD, frozenset({"risk"}))
    return None


def _after_confirmation(facts: Facts) -> Waiting | None:
    if facts.cancellation is Cancellation.ASKED:
        return Waiting(CANCELLATION, frozenset({"logistics"}))
    if facts.stock in (Stock.EXPIRED, Stock.BROKEN):
        return Waiting(RESERVATION, frozenset({"inventory"}))
    return None
