"""Payments in any state, and a provider in memory that answers calls as the real one does."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.payments.consumers import routes
from services.payments.domain.attempt import Attempt
from services.payments.domain.books import Books
from services.payments.domain.charge import Charge, ChargeStatus, ProviderRefund, RefundStatus
from services.payments.domain.moves import UNDER_WAY
from services.payments.domain.payment import Payment, State
from services.payments.domain.refund import Refund, RefundState
from shared.contracts.orders import OrderCancelled, PaymentRequested
from shared.contracts.registry import Event
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.effects import Answered, Call, Deadline, Due, Effect, Forget, Moment
from shared.errors import Refusal
from shared.ids import derive_id, new_id
from shared.messaging.routing import Router
from shared.money import Money

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ORDER = "ord_01jc2v8k9q4t6x0m3n5p7r9s1v"
PAYMENT = "pay_01jc2v8k9q4t6x0m3n5p7r9s1v"
STORE = "str_demo"
TOTAL = Money(1299, "EUR")


def a_moment(at: datetime = NOON, *, message_id: str = "", store: str = STORE) -> Moment:
    return Moment(decided_at=at, occurred_at=at, message_id=message_id or new_id("evt"), store_id=store, market="DE")


def a_payment_request(order_id: str = ORDER, **other: Any) -> PaymentRequested:
    """A card payment of 12.99 euros."""
    payment_id = derive_id("pay", order_id) if order_id != ORDER else PAYMENT
    standard = PaymentRequested(
        order_id=order_id,
        payment_id=payment_id,
        amount=TOTAL,
        mode=PaymentMode.COLLECT,
        method=PaymentMethod.CARD,
        token="tok_ok",
        channel="storefront",
        card_fingerprint="fpr_ok",
    )
    return replace(standard, **other)


def a_cancellation(order_id: str = ORDER) -> OrderCancelled:
    return OrderCancelled(order_id=order_id, reason="changed_mind", requested_by="buyer")


def an_attempt(status: ChargeStatus = ChargeStatus.AUTHORISED, **other: Any) -> Attempt:
    """An attempt that the provider knows, made long enough ago."""
    standard = Attempt(
        id=PAYMENT,
        number=1,
        automatic=False,
        amount=TOTAL,
        asked_at=NOON - 2 * UNDER_WAY,
        status=status,
        charge_id="" if status is ChargeStatus.ASKED else "ch_1",
        calls=1,
    )
    return replace(standard, **other)


def a_payment(state: State = State.AUTHORISED, *, attempts: Sequence[Attempt] | None = None, **other: Any) -> Payment:
    """A card payment in a state, with the attempts that lead there."""
    standard = Payment(
        order_id=ORDER,
        payment_id=PAYMENT,
        store_id=STORE,
        market="DE",
        channel="storefront",
        amount=TOTAL,
        mode=PaymentMode.COLLECT,
        method=PaymentMethod.CARD,
        token="tok_ok",
        claimed_fingerprint="",
        requested_at=NOON,
        state=state,
        attempts=list(attempts) if attempts is not None else _attempts_of(state),
    )
    return replace(standard, **other)


def a_captured_payment(captured: Money = TOTAL, **other: Any) -> Payment:
    attempt = an_attempt(ChargeStatus.CAPTURED, amount=captured, captured=captured)
    return a_payment(State.CAPTURED, attempts=[attempt], amount=captured, **other)


def a_refund(amount: Money = TOTAL, state: RefundState = RefundState.SENT, **other: Any) -> Refund:
    refund_id = new_id("rfd")
    standard = Refund(
        id=refund_id, key=refund_id, attempt=PAYMENT, amount=amount, reason="goodwill", requested_at=NOON, state=state,
        booked=state is not RefundState.WAITING, calls=1 if state is not RefundState.WAITING else 0,
    )  # fmt: skip
    return replace(standard, **other)


def a_charge(status: ChargeStatus = ChargeStatus.AUTHORISED, amount: Money = TOTAL, **other: Any) -> Charge:
    """What the provider says about the first attempt."""
    standard = Charge(
        id="ch_1",
        key=PAYMENT,
        status=status,
        amount=amount,
        captured=amount if status is ChargeStatus.CAPTURED else Money(0, amount.currency),
        fingerprint="fpr_ok",
        renewable=True,
        expires_at=NOON + timedelta(days=7) if status is ChargeStatus.AUTHORISED else None,
        action_url="http://bank.test/1" if status is ChargeStatus.REQUIRES_ACTION else "",
        action_expires_at=NOON + timedelta(minutes=15) if status is ChargeStatus.REQUIRES_ACTION else None,
        decline_code="card_declined" if status is ChargeStatus.DECLINED else "",
    )
    return replace(standard, **other)


def an_answer(charge: Charge) -> dict[str, Any]:
    """The charge as a gateway gives it."""
    return {
        "charge": {
            "id": charge.id,
            "key": charge.key,
            "status": charge.status.value,
            "amount": charge.amount.amount,
            "currency": charge.amount.currency,
            "captured": charge.captured.amount,
            "fingerprint": charge.fingerprint,
            "decline_code": charge.decline_code,
            "action_url": charge.action_url,
            "action_expires_at": charge.action_expires_at.isoformat() if charge.action_expires_at else None,
            "expires_at": charge.expires_at.isoformat() if charge.expires_at else None,
            "renewable": charge.renewable,
            "refunds": [_refund_answer(refund) for refund in charge.refunds],
        }
    }


def _refund_answer(refund: ProviderRefund) -> dict[str, Any]:
    return {
        "key": refund.key,
        "amount": refund.amount,
        "status": refund.status.value,
        "failure_code": refund.failure_code,
    }


_STATUS_IN = {
    State.AUTHORISING: ChargeStatus.ASKED,
    State.ACTION_REQUIRED: ChargeStatus.REQUIRES_ACTION,
    State.CANCELLING: ChargeStatus.ASKED,
    State.ABANDONING: ChargeStatus.REQUIRES_ACTION,
    State.CAPTURED: ChargeStatus.CAPTURED,
    State.VOIDED: ChargeStatus.VOIDED,
    State.DECLINED: ChargeStatus.DECLINED,
    State.LAPSED: ChargeStatus.EXPIRED,
}


def _attempts_of(state: State) -> list[Attempt]:
    if state is State.RENEWING:
        new = an_attempt(ChargeStatus.ASKED, id=derive_id("pay", PAYMENT, "2"), number=2)
        return [an_attempt(expires_at=NOON + timedelta(days=1), authorised_at=NOON - timedelta(days=6)), new]
    attempt = an_attempt(_STATUS_IN.get(state, ChargeStatus.AUTHORISED))
    if state is State.CAPTURED:
        attempt.captured = TOTAL
    return [attempt]


# ── A world of one order ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class ToyProvider:
    """Charges under keys, as the sandbox keeps them, without HTTP. `silent` are the kinds of call that get no answer."""

    charges: dict[str, Charge] = field(default_factory=dict[str, Charge])
    silent: set[str] = field(default_factory=set[str])
    refuses_refunds: bool = False
    action: bool = False
    declines: bool = False
    adds: int = 0
    lost: set[str] = field(default_factory=set[str])
    """Kinds of call that never arrive."""

    def answer(self, call: Call, now: datetime) -> dict[str, Any] | None:
        """Do what is asked and tell, unless the answer (or the question) is lost."""
        if call.kind in self.lost:
            return None
        answer = self._do(call, now)
        return None if call.kind in self.silent else answer

    def act(self, key: str, *, complete: bool, now: datetime) -> None:
        """The buyer acts."""
        charge = self.charges[key]
        if charge.status is ChargeStatus.REQUIRES_ACTION:
            status = ChargeStatus.AUTHORISED if complete else ChargeStatus.DECLINED
            self.charges[key] = replace(charge, status=status, expires_at=now + timedelta(days=7), action_url="")

    def expire(self, key: str) -> None:
        """The promise runs out."""
        if self.charges[key].status is ChargeStatus.AUTHORISED:
            self.charges[key] = replace(self.charges[key], status=ChargeStatus.EXPIRED)

    @property
    def taken(self) -> int:
        """What buyers paid in the end, in minor units: captured less given back."""
        return sum(charge.captured.amount - _given_back(charge) for charge in self.charges.values())

    def _do(self, call: Call, now: datetime) -> dict[str, Any]:
        asked = call.request
        match call.kind:
            case "provider.authorise":
                return an_answer(self.charges.setdefault(asked["key"], self._new(asked, now)))
            case "provider.look_up" | "provider.look_up_refund":
                found = self.charges.get(asked["key"])
                return {"charge": None} if found is None else an_answer(found)
            case "provider.capture":
                return self._change(asked["charge_id"], (ChargeStatus.AUTHORISED,), ChargeStatus.CAPTURED)
            case "provider.void":
                return self._change(
                    asked["charge_id"], (ChargeStatus.AUTHORISED, ChargeStatus.REQUIRES_ACTION), ChargeStatus.VOIDED
                )
            case "provider.refund":
                return self._refund(asked)
            case _:
                raise LookupError(call.kind)

    def _new(self, asked: dict[str, Any], now: datetime) -> Charge:
        if self.declines:
            status = ChargeStatus.DECLINED
        elif self.action:
            status = ChargeStatus.REQUIRES_ACTION
        else:
            status = ChargeStatus.CAPTURED if asked["automatic"] else ChargeStatus.AUTHORISED
        amount = Money(asked["amount"] + self.adds, asked["currency"])
        made = a_charge(status, amount, id=f"ch_{asked['key']}", key=asked["key"])
        expires = now + timedelta(days=7) if status is ChargeStatus.AUTHORISED else None
        acts = now + timedelta(minutes=15) if status is ChargeStatus.REQUIRES_ACTION else None
        return replace(made, expires_at=expires, action_expires_at=acts)

    def _change(self, charge_id: str, before: Iterable[ChargeStatus], after: ChargeStatus) -> dict[str, Any]:
        charge = self._of(charge_id)
        if charge.status in before:
            captured = charge.amount if after is ChargeStatus.CAPTURED else charge.captured
            charge = self.charges[charge.key] = replace(charge, status=after, captured=captured)
        return an_answer(charge)

    def _refund(self, asked: dict[str, Any]) -> dict[str, Any]:
        charge = self._of(asked["charge_id"])
        if any(refund.key == asked["key"] for refund in charge.refunds):
            return an_answer(charge)
        if self.refuses_refunds or asked["amount"] > charge.captured.amount - _given_back(charge):
            return {"refused": "exceeds_captured", "charge": None}
        refund = ProviderRefund(key=asked["key"], amount=asked["amount"], status=RefundStatus.SUCCEEDED)
        charge = self.charges[charge.key] = replace(charge, refunds=(*charge.refunds, refund))
        return an_answer(charge)

    def _of(self, charge_id: str) -> Charge:
        return next(charge for charge in self.charges.values() if charge.id == charge_id)


def _given_back(charge: Charge) -> int:
    return sum(refund.amount for refund in charge.refunds)


@dataclass
class World:
    """Payments alone with a toy provider: messages in, events out, calls and deadlines kept until they are let go."""

    provider: ToyProvider = field(default_factory=ToyProvider)
    books: Books = field(default_factory=Books)
    now: datetime = NOON
    events: list[Event] = field(default_factory=list[Event])
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    deadlines: dict[tuple[str, str], datetime] = field(default_factory=dict[tuple[str, str], datetime])
    refusals: list[Refusal] = field(default_factory=list[Refusal])
    made: set[str] = field(default_factory=set[str])
    heard: int = 0

    def __post_init__(self) -> None:
        self._router: Router[Books] = Router()
        routes(self._router)

    def hear(self, *bodies: Any) -> None:
        """Let messages be decided, in this order."""
        for body in bodies:
            moment = a_moment(self.now, message_id=f"evt_{self.heard:026d}")
            self.heard += 1
            decision = self._router.decide(body, self.books, moment)
            if isinstance(decision, Refusal):
                self.refusals.append(decision)
            else:
                self._keep(decision)

    def answer(self, call_id: str) -> None:
        """Make one call, whenever it was wanted, and hear its answer."""
        call = self.calls.pop(call_id)
        self.now = max(self.now, call.not_before or self.now)
        answer = self.provider.answer(call, self.now)
        self.hear(Answered(call.id, call.kind, call.key, call.request, answer))

    def settle(self, rounds: int = 60) -> None:
        """Make calls until none is left; the soonest first."""
        while self.calls and rounds:
            self.answer(min(self.calls, key=lambda call_id: (self.calls[call_id].not_before or NOON, call_id)))
            rounds -= 1

    def come_due(self, kind: str | None = None) -> None:
        """Let deadlines come, each at its time."""
        for (what, key), at in sorted(self.deadlines.items(), key=lambda item: item[1]):
            if kind in (None, what):
                del self.deadlines[what, key]
                self.now = max(self.now, at)
                self.hear(Due(what, key))

    def payment(self, order_id: str = ORDER) -> Payment:
        return self.books.of(order_id)

    def told(self, kind: type[Event]) -> list[Event]:
        """The events of a kind, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def names(self) -> list[str]:
        """The types of the events, short: `authorised`, `captured` …"""
        return [event.event_type.split(".")[-2] for event in self.events]

    def _keep(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Event():
                    self.events.append(effect)
                case Call():
                    assert effect.id not in self.made, (
                        f"the call {effect.kind} has an id that was used: it would not be made"
                    )
                    self.made.add(effect.id)
                    self.calls[effect.id] = effect
                case Deadline(kind, key, at):
                    self.deadlines[kind, key] = at
                case Forget(kind, key):
                    self.deadlines.pop((kind, key), None)
                case _:
                    pass
