"""Orders, rule sets and casework for risk's tests: name only what matters."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from services.risk.consumers import routes
from services.risk.domain.casework import Casework, history_key
from services.risk.domain.order_file import OrderFile
from services.risk.domain.rule_set import RuleSet, parse_rule_set
from services.risk.domain.velocity import History, Place, Tally
from services.risk.rules import shipped_rule_set
from shared.contracts.orders import OrderCancelled, OrderPlaced, OrderRejected
from shared.contracts.payments import PaymentAuthorised, PaymentDeclined, RefundSucceeded
from shared.contracts.support import ReturnReceived, ReturnRequested
from shared.contracts.values import (
    Destination,
    Grade,
    OrderLine,
    OrderTotals,
    PaymentMethod,
    PaymentMode,
    Reason,
    ReceivedLine,
    ReturnLine,
    RiskSignals,
)
from shared.effects import Decision, Effect, Moment
from shared.errors import Refusal
from shared.messaging.routing import Router
from shared.money import Money

NOON = datetime(
    2025, 6, 2, 12, tzinfo=UTC
)  # past by any machine's clock: what is told earlier than it happened is bounded
STORE = "str_demo"
PRICE = Money(4900, "EUR")

E = TypeVar("E")


def order_id(number: int) -> str:
    """The id of the number-th order."""
    return f"ord_{number:026d}"


def a_moment(
    number: int = 0, *, at: datetime = NOON, store_id: str = STORE, decided_at: datetime | None = None
) -> Moment:
    """The moment of the number-th message."""
    return Moment(
        decided_at=decided_at or at, occurred_at=at, message_id=f"evt_{number:026d}", store_id=store_id, market="DE"
    )


def placed(
    number: int = 1,
    *,
    at: datetime = NOON,
    total: Money = PRICE,
    quantities: Mapping[str, int] | Sequence[tuple[str, int]] = (("MUG", 1),),
    channel: str = "storefront",
    market: str = "DE",
    country: str = "DE",
    store_id: str = STORE,
    signals: Mapping[str, str] | None = None,
    **more: str,
) -> OrderPlaced:
    """An order of one mug for 49 euros by nobody in particular. `signals`, `card="…"` and so on say who it is."""
    lines = list(quantities.items() if isinstance(quantities, Mapping) else quantities)
    nothing = Money(0, total.currency)
    return OrderPlaced(
        order_id=order_id(number),
        number=str(number),
        store_id=store_id,
        market=market,
        channel=channel,
        placed_at=at,
        lines=tuple(
            OrderLine(line=index, sku=sku, quantity=quantity, unit_price=nothing, total=nothing)
            for index, (sku, quantity) in enumerate(lines, 1)
        ),
        totals=OrderTotals(goods=total, shipping=nothing, duties=nothing, taxes=nothing, fees=nothing, total=total),
        destination=Destination(country=country),
        payment_mode=PaymentMode.COLLECT if channel == "storefront" else PaymentMode.COLLECTED_BY_CHANNEL,
        payment_method=PaymentMethod.CARD if channel == "storefront" else PaymentMethod.CHANNEL,
        signals=RiskSignals(**{**(signals or {}), **more}),
    )


def a_buyer(number: int) -> dict[str, str]:
    """The signals of the number-th buyer, who shares nothing with any other."""
    return {kind: f"{kind}-{number}" for kind in ("customer", "email", "phone", "device", "address", "ip", "card")}


def authorised(number: int = 1, *, card: str = "", matches: bool = True) -> PaymentAuthorised:
    """The payment of an order came in, from this card."""
    return PaymentAuthorised(
        order_id=order_id(number),
        payment_id=f"pay_{number:026d}",
        amount=PRICE,
        mode=PaymentMode.COLLECT,
        method=PaymentMethod.CARD,
        card_fingerprint=card,
        card_matches=matches,
    )


def declined(number: int = 1, attempt: int = 1) -> PaymentDeclined:
    """The provider said no."""
    reason = Reason(code="payment.declined", message="declined")
    return PaymentDeclined(order_id=order_id(number), payment_id=f"pay_{number:020d}{attempt:06d}", reason=reason)


def refunded(number: int = 1, refund: int = 1, amount: Money = PRICE) -> RefundSucceeded:
    """Money went back."""
    return RefundSucceeded(order_id=order_id(number), refund_id=f"rfd_{number:020d}{refund:06d}", amount=amount)


def return_requested(number: int = 1) -> ReturnRequested:
    """The buyer wants to send a mug back."""
    line = ReturnLine(sku="MUG", quantity=1, reason="unwanted")
    return ReturnRequested(order_id=order_id(number), return_id=f"ret_{number:026d}", lines=(line,))


def return_received(number: int = 1, *, missing: int = 0) -> ReturnReceived:
    """A parcel came back; `missing` units were not in it."""
    lines = (
        ReceivedLine(sku="MUG", quantity=1, grade=Grade.SELLABLE, warehouse="BER"),
        ReceivedLine(sku="MUG", quantity=missing, grade=Grade.MISSING, warehouse="BER"),
    )
    return ReturnReceived(order_id=order_id(number), return_id=f"ret_{number:026d}", lines=lines)


def cancelled(number: int = 1) -> OrderCancelled:
    """The buyer changed their mind."""
    return OrderCancelled(order_id=order_id(number), reason="buyer", requested_by="buyer")


def rejected(number: int = 1) -> OrderRejected:
    """Orders said no."""
    return OrderRejected(order_id=order_id(number), reasons=())


def velocity(key: str, window: str, measure: str = "orders") -> dict[str, Any]:
    """A velocity operand of the rule language."""
    return {"velocity": {"key": key, "window": window, "measure": measure}}


def a_rule(when: Any, *, id: str = "rule", **fields: Any) -> dict[str, Any]:
    """A rule of 60 points, unless it says otherwise."""
    weight = {} if "action" in fields else {"points": 60}
    return {"id": id, "description": "A rule", "when": when, **weight, **fields}


def a_document(*rules: dict[str, Any], review: int = 50, reject: int = 100) -> dict[str, Any]:
    """A rule set's document in euros, with a rate for dollars and yen."""
    return {
        "name": "test",
        "reference": {
            "currency": "EUR",
            "rates": [{"valid_from": "2025-01-01", "units": {"USD": "1.25", "JPY": "160"}}],
        },
        "thresholds": {"review": review, "reject": reject},
        "rules": list(rules),
    }


def a_rule_set(*rules: dict[str, Any], review: int = 50, reject: int = 100) -> RuleSet:
    """The same, compiled."""
    compiled = parse_rule_set(a_document(*rules, review=review, reject=reject))
    assert isinstance(compiled, RuleSet), compiled
    return compiled


class _Nodes(dict[Place, Tally]):
    """A tree that is whole in memory: a node that is not there does not exist."""

    def __missing__(self, place: Place) -> Tally:
        return Tally()


def a_history(key: str = "key") -> History:
    """A history whose whole tree is in memory."""
    return History(key, nodes=_Nodes())


class _Histories(dict[str, History]):
    def __missing__(self, key: str) -> History:
        self[key] = a_history(key)
        return self[key]


class _Files(dict[str, OrderFile]):
    def __missing__(self, order_id: str) -> OrderFile:
        self[order_id] = OrderFile(order_id, STORE)
        return self[order_id]


def a_casework(rule_set: RuleSet | None = None) -> Casework:
    """A working set that has every file and history that is asked for."""
    return Casework(rule_set or shipped_rule_set(), files=_Files(), histories=_Histories())


class Desk:
    """Risk's use cases over one working set, without a database."""

    def __init__(self, rule_set: RuleSet | None = None) -> None:
        self.casework = a_casework(rule_set)
        self.published: list[Effect] = []
        self._router: Router[Casework] = Router()
        self._number = 0
        routes(self._router)

    def settle(self, *bodies: Any, at: datetime = NOON, decided_at: datetime | None = None) -> list[Effect]:
        """Let messages be decided in order; returns their effects. Refusals raise."""
        effects: list[Effect] = []
        for body in bodies:
            decision = self.answer(body, at=at, decided_at=decided_at)
            assert not isinstance(decision, Refusal), decision
            effects.extend(decision)
        return effects

    def answer(self, body: Any, *, at: datetime = NOON, decided_at: datetime | None = None) -> Decision:
        """Let one message be decided. An order's own time is when it was told, unless that is later."""
        self._number += 1
        told = max(at, body.placed_at) if isinstance(body, OrderPlaced) else at
        decision = self._router.decide(body, self.casework, a_moment(self._number, at=told, decided_at=decided_at))
        if not isinstance(decision, Refusal):
            self.published.extend(decision)
        return decision

    def measure(self, key: str, value: str, measure: str, window: str, at: datetime = NOON) -> Any:
        """What a window of a key holds, looking back from an instant."""
        return self.casework.histories[history_key(STORE, key, value)].measure(measure, window, int(at.timestamp()))


def only(effects: Sequence[object], kind: type[E]) -> E:
    """The one effect of a kind."""
    (found,) = [effect for effect in effects if isinstance(effect, kind)]
    return found


def seconds(number: float) -> timedelta:
    """So many seconds."""
    return timedelta(seconds=number)
