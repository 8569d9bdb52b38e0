"""The order: it hears what others tell, takes the steps that follow, and tells the others."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from services.orders.domain.facts import Cancellation, Payment, record
from services.orders.domain.holds import Hold, holds_of
from services.orders.domain.patience import USUAL, Patience, Waiting, may_give_up, waits_for
from services.orders.domain.standing import PaymentTerms, Standing, Status
from services.orders.domain.steps import (
    AskCancellation,
    Cancel,
    Complete,
    Confirm,
    Reject,
    RequestPayment,
    Step,
    next_step,
)
from shared.contracts.orders import (
    AnswerAwaited,
    HoldCleared,
    HoldPlaced,
    OrderCancellationRequested,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    PaymentRequested,
)
from shared.contracts.registry import Event
from shared.contracts.values import Reason
from shared.effects import Deadline, Effect, Forget
from shared.errors import Kind, Refusal
from shared.ids import derive_id
from shared.money import Money

SILENCE = "order.silence"
"""The kind of the deadline that ends an order's patience; its key is the order id."""

STOCK_WAIT = "order.stock_wait"
"""The kind of the deadline until which the seller lets an order wait for stock; its key is the order id."""


@dataclass(slots=True, kw_only=True)
class Order(Standing):
    """What deciding about an order needs. Lines, destination and recipient are written once and decide nothing."""

    id: str
    store_id: str
    market: str
    external_id: str = ""  # the channel's
    total: Money
    created_at: datetime
    holds: dict[str, Hold] = field(default_factory=dict[str, Hold])
    reasons: tuple[Reason, ...] = ()  # why it was rejected
    awaits: str = ""  # the matter that it waits for, see patience.py
    patient_until: datetime | None = None
    patience: Patience = USUAL
    version: int = 0  # 0 until it is saved for the first time

    @classmethod
    def place(cls, placed: OrderPlaced, terms: PaymentTerms, at: datetime, patience: Patience) -> "Order":
        """A new order, as it is announced. `at` is our clock; `placed.placed_at` may be a channel's."""
        return cls(
            id=placed.order_id,
            store_id=placed.store_id,
            market=placed.market,
            external_id=placed.external_id,
            channel=placed.channel,
            refusable=placed.refusable,
            total=placed.totals.total,
            terms=terms,
            created_at=at,
            patience=patience,
        )

    @property
    def payment_id(self) -> str:
        """The one payment of this order: derived, so that asking twice cannot make two."""
        return derive_id("pay", self.id)

    def hear(self, message: Event, at: datetime) -> list[Effect]:
        """Record what a message tells, and do what follows."""
        self.facts = record(self.facts, message)
        return self.advance(at)

    def lose_patience(self, at: datetime, placed: OrderPlaced) -> list[Effect]:
        """The time to answer is up: ask again; the second time end the order where that is safe, or tell a person.

        `placed` is how the order was announced: a question carries all that deciding needs.
        """
        waiting = waits_for(self)
        if waiting is None or self.patient_until is None or at < self.patient_until:
            return []  # answered meanwhile, or the deadline was set anew
        if not self.facts.asked:
            return self._ask_again(waiting, placed, at)
        self.patient_until = None
        if may_give_up(self, waiting):
            self.facts = replace(self.facts, given_up=waiting.whom)
        else:
            self.facts = replace(self.facts, overdue=waiting.whom)
        return self.advance(at)

    def _ask_again(self, waiting: Waiting, placed: OrderPlaced, at: datetime) -> list[Effect]:
        self.facts = replace(self.facts, asked=waiting.whom)
        gives_up = may_give_up(self, waiting)
        self.patient_until = at + self.patience.after_question(waiting.matter, gives_up=gives_up)
        confirmed, asked = self.status is Status.CONFIRMED, self.facts.cancellation is Cancellation.ASKED
        question = AnswerAwaited(
            order_id=self.id,
            matter=waiting.matter,
            whom=tuple(sorted(waiting.whom)),
            placed=placed,
            payment=self._payment_request() if self.facts.payment_asked else None,
            confirmed=self._confirmation() if confirmed else None,
            cancellation=self._cancellation_request() if confirmed and asked else None,
        )
        return [question, Deadline(SILENCE, self.id, self.patient_until)]

    def complain(self, complaint: Reason, at: datetime) -> list[Effect]:
        """Something goes wrong between us and the channel: a person is told, until `channel_knows` the complaint's subject."""
        others = tuple(other for other in self.facts.complaints if other.subject != complaint.subject)
        self.facts = replace(self.facts, complaints=(*others, complaint))
        return self.advance(at)

    def channel_knows(self, subject: str, at: datetime, *, tracking: bool) -> list[Effect]:
        """The channel took what it was told: nothing is wrong with that any more."""
        others = tuple(other for other in self.facts.complaints if other.subject != subject)
        has_tracking = tracking or self.facts.channel_has_tracking
        self.facts = replace(self.facts, complaints=others, channel_has_tracking=has_tracking)
        return self.advance(at)

    def cancel(self, reason: str, requested_by: str, at: datetime) -> list[Effect] | Refusal:
        """End the order at once while no parcel can have been booked; after that ask logistics. Refused where it is too late.

        What a channel has collected is booked before: then the order ends when payments has done so.
        """
        refusal = self._too_late_to_cancel()
        if refusal is not None:
            return refusal
        if self.status is Status.CONFIRMED:
            return self._follow(AskCancellation(reason, requested_by), at)
        self.facts = replace(self.facts, cancellation=Cancellation.ASKED, cancel_reason=reason, cancel_by=requested_by)
        return self.advance(at)

    def wait_for_stock(self, until: datetime, at: datetime) -> list[Effect] | Refusal:
        """The seller lets it wait for stock: a person is told when the time is over. Refused where nothing can be decided any more."""
        refusal = self._too_late_to_cancel()
        if refusal is not None:
            return refusal
        if until <= at:
            return Refusal(code="stock_decision.past", detail="that time is over already", kind=Kind.INVALID)
        self.facts = replace(self.facts, stock_wait_until=until, stock_wait_over=False)
        return [*self.advance(at), Deadline(STOCK_WAIT, self.id, until)]

    def end_stock_wait(self, at: datetime) -> list[Effect]:
        """The time to wait for stock is up: a person is told, if it still lacks any."""
        until = self.facts.stock_wait_until
        if until is None or at < until:
            return []  # stock came, or the time was set anew
        self.facts = replace(self.facts, stock_wait_over=True)
        return self.advance(at)

    def advance(self, at: datetime) -> list[Effect]:
        """Take every step that follows from the facts, and bring holds and patience up to date."""
        return self._follow(next_step(self), at)

    def _follow(self, step: Step | None, at: datetime) -> list[Effect]:
        taken: list[Effect] = []
        while step is not None:
            taken.append(self._take(step))
            step = next_step(self)
        patience = self._update_patience(at)
        return [*self._update_holds(at), *taken, *patience]

    def _take(self, step: Step) -> Event:
        match step:
            case RequestPayment():
                payment = Payment.REQUESTED if self.facts.payment is Payment.NONE else self.facts.payment
                self.facts = replace(self.facts, payment=payment, payment_asked=True)
                return self._payment_request()
            case Confirm():
                self.status = Status.CONFIRMED
                return self._confirmation()
            case Reject(reasons):
                self.status, self.reasons = Status.REJECTED, reasons
                return OrderRejected(order_id=self.id, reasons=reasons)
            case AskCancellation(reason, by):
                asked = Cancellation.ASKED
                self.facts = replace(self.facts, cancellation=asked, cancel_reason=reason, cancel_by=by)
                return self._cancellation_request()
            case Cancel():
                self.status = Status.CANCELLED
                facts = self.facts = replace(self.facts, cancellation=Cancellation.GRANTED)
                return OrderCancelled(order_id=self.id, reason=facts.cancel_reason, requested_by=facts.cancel_by)
            case Complete():
                self.status = Status.COMPLETED
                return OrderCompleted(order_id=self.id)

    def _payment_request(self) -> PaymentRequested:
        return PaymentRequested(
            order_id=self.id,
            payment_id=self.payment_id,
            amount=self.total,
            mode=self.terms.mode,
            method=self.terms.method,
            token=self.terms.token,
            channel=self.channel,
            card_fingerprint=self.terms.card_fingerprint,
        )

    def _confirmation(self) -> OrderConfirmed:
        return OrderConfirmed(order_id=self.id, allocations=self.facts.allocations)

    def _cancellation_request(self) -> OrderCancellationRequested:
        facts = self.facts
        return OrderCancellationRequested(order_id=self.id, reason=facts.cancel_reason, requested_by=facts.cancel_by)

    def _too_late_to_cancel(self) -> Refusal | None:
        if self.status.ended:
            return Refusal(code="order.ended", detail=f"the order is {self.status} already")
        if self.facts.shipment.handed_over or self.facts.cancellation is Cancellation.REFUSED:
            return Refusal(code="order.dispatched", detail="the parcel is with the carrier", clears_with="a return")
        if self.facts.cancellation is Cancellation.ASKED:
            detail = "the cancellation was requested already"
            booking = self.status is Status.PLACED
            clears_with = "payments, which books what the channel collected" if booking else "the answer of logistics"
            return Refusal(code="order.cancellation_pending", detail=detail, clears_with=clears_with)
        return None

    def _update_holds(self, at: datetime) -> list[Effect]:
        wanted = holds_of(self)  # none when the order has ended: then they are cleared, too
        forgotten: list[Effect] = []
        if self.facts.stock_wait_until is not None and "stock" not in wanted:
            # What was decided about this shortage says nothing about the next.
            self.facts = replace(self.facts, stock_wait_until=None, stock_wait_over=False)
            forgotten.append(Forget(STOCK_WAIT, self.id))
        told: list[Effect] = [HoldCleared(order_id=self.id, code=code) for code in self.holds if code not in wanted]
        for code, reasons in wanted.items():
            held = self.holds.get(code)
            if held is None or held.reasons != reasons:
                told.append(HoldPlaced(order_id=self.id, code=code, reasons=reasons))
        self.holds = {
            code: Hold(reasons, self.holds[code].since if code in self.holds else at)
            for code, reasons in wanted.items()
        }
        return [*told, *forgotten]

    def _update_patience(self, at: datetime) -> list[Effect]:
        waiting = waits_for(self)
        matter = waiting.matter if waiting else ""
        # Who has answered is silent no more; and a new matter begins with a patience of its own.
        silent = waiting.whom if waiting is not None and matter == self.awaits else frozenset[str]()
        facts = self.facts
        if facts.asked or facts.overdue:
            self.facts = replace(facts, asked=facts.asked & silent, overdue=facts.overdue & silent)
        if matter == self.awaits:
            return []
        self.awaits = matter
        self.patient_until = at + self.patience.before_question(matter) if waiting else None
        return [Deadline(SILENCE, self.id, self.patient_until) if self.patient_until else Forget(SILENCE, self.id)]
