"""The payment of an order: what is wanted, what was tried, what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.payments.domain.attempt import Attempt
from services.payments.domain.ledger import LedgerTransaction
from services.payments.domain.refund import LIVE, Refund, refund_of
from shared.contracts.values import PaymentMethod, PaymentMode
from shared.ids import derive_id
from shared.money import Money, total

MAX_RENEWALS = 4
"""A parcel that was not handed over in a month of renewals needs a person."""


class State(StrEnum):
    """Where a payment stands."""

    AUTHORISING = "authorising"
    ACTION_REQUIRED = "action_required"  # the buyer must act (3-D Secure)
    AUTHORISED = "authorised"
    RENEWING = "renewing"  # the promise would run out; the old one stands until the new one is there
    CAPTURING = "capturing"
    CAPTURED = "captured"
    CANCELLING = "cancelling"  # the order ended while the outcome was open: whatever comes is undone
    ABANDONING = "abandoning"  # the buyer did not act in time; being voided, then declined
    VOIDING = "voiding"
    VOIDED = "voided"
    DECLINED = "declined"
    LAPSED = "lapsed"  # the promise is gone or could not be kept: a person must look
    CONFLICTED = "conflicted"  # the provider charged something else than was asked: a person must look


WANTS_MONEY = frozenset(
    {
        State.AUTHORISING,
        State.ACTION_REQUIRED,
        State.AUTHORISED,
        State.RENEWING,
        State.CAPTURING,
        State.CAPTURED,
        State.LAPSED,
    }
)
"""Where it matters whether the provider charged what was asked; what is being undone is undone whatever it is."""

ENDED = frozenset({State.VOIDED, State.DECLINED})
"""Where nothing was taken and nothing will be."""


class CaptureAt(StrEnum):
    """When a method's money is taken."""

    ONCE = "once"
    DISPATCH = "dispatch"
    DELIVERY = "delivery"


CAPTURED_AT: Mapping[PaymentMethod, CaptureAt] = {
    PaymentMethod.CARD: CaptureAt.DISPATCH,
    PaymentMethod.WALLET: CaptureAt.ONCE,
    PaymentMethod.BANK_TRANSFER: CaptureAt.ONCE,
    PaymentMethod.CASH_ON_DELIVERY: CaptureAt.DELIVERY,
    PaymentMethod.CHANNEL: CaptureAt.ONCE,
}


class Hand(StrEnum):
    """Who takes the money."""

    PROVIDER = "provider"
    CHANNEL = "channel"
    CARRIER = "carrier"  # cash at the door
    NOBODY = "nobody"  # there is nothing to pay


@dataclass(slots=True, kw_only=True)
class Payment:
    """One payment an order. `payment_id` is the newest request's; `current` is the attempt that counts.

    `told` is the operation whose unknown outcome was published, `attention` the code of what a person must look at.
    `postings` are the ledger transactions that are new.
    """

    order_id: str
    payment_id: str
    store_id: str
    market: str
    channel: str
    amount: Money
    mode: PaymentMode
    method: PaymentMethod
    token: str
    claimed_fingerprint: str
    requested_at: datetime
    state: State = State.AUTHORISING
    capture_due: bool = False
    action_url: str = ""
    action_expires_at: datetime | None = None
    told: str = ""
    attention: str = ""
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    refunds: list[Refund] = field(default_factory=list[Refund])
    postings: list[LedgerTransaction] = field(default_factory=list[LedgerTransaction])

    @property
    def hand(self) -> Hand:
        """Who takes the money; nobody where the order costs nothing."""
        if not self.amount:
            return Hand.NOBODY
        if self.mode is PaymentMode.COLLECTED_BY_CHANNEL:
            return Hand.CHANNEL
        return Hand.CARRIER if self.method is PaymentMethod.CASH_ON_DELIVERY else Hand.PROVIDER

    @property
    def capture_at(self) -> CaptureAt:
        """What a channel has is captured, whatever the buyer paid with there."""
        return CaptureAt.ONCE if self.mode is PaymentMode.COLLECTED_BY_CHANNEL else CAPTURED_AT[self.method]

    @property
    def current(self) -> Attempt:
        """The attempt that counts: the newest that is not superseded."""
        return next(attempt for attempt in reversed(self.attempts) if not attempt.superseded)

    @property
    def fallback(self) -> Attempt | None:
        """While a promise is renewed: the attempt whose promise still stands."""
        standing = [attempt for attempt in self.attempts if not attempt.superseded]
        return standing[-2] if len(standing) > 1 else None

    def attempt(self, attempt_id: str) -> Attempt:
        """The attempt of that id. Raises LookupError: nobody else's answers come here."""
        for attempt in self.attempts:
            if attempt.id == attempt_id:
                return attempt
        raise LookupError(f"the payment of {self.order_id} has no attempt {attempt_id}")

    def begin_attempt(self, now: datetime, *, automatic: bool) -> Attempt:
        """A new attempt. The first of a request has the payment's id as its key, later ones follow from it."""
        number = len(self.attempts) + 1
        taken = any(attempt.id == self.payment_id for attempt in self.attempts)
        key = derive_id("pay", self.payment_id, str(number)) if taken else self.payment_id
        attempt = Attempt(id=key, number=number, automatic=automatic, amount=self.amount, asked_at=now)
        self.attempts.append(attempt)
        return attempt

    @property
    def may_renew(self) -> bool:
        """Whether the provider allows another authorisation, none was refused, and we have not asked for too many."""
        current = self.current
        return current.renewable and current is self.attempts[-1] and len(self.attempts) <= MAX_RENEWALS

    def card_matches(self, fingerprint: str) -> bool:
        """Whether the card is the one that was announced, as far as both are known."""
        return not self.claimed_fingerprint or not fingerprint or self.claimed_fingerprint == fingerprint

    @property
    def captured(self) -> Money | None:
        """What was taken and counts, in the charge's currency."""
        return self.current.captured

    def refund(self, refund_id: str) -> Refund | None:
        """The refund of that id."""
        return next((refund for refund in self.refunds if refund.id == refund_id), None)

    def refundable(self, attempt: Attempt) -> Money:
        """What can still be given back of an attempt: what was taken, or is to be, less what is promised or given back."""
        base = attempt.captured or attempt.amount
        given = [
            refund.amount
            for refund in self.refunds
            if refund.attempt == attempt.id and refund.state in LIVE and refund.amount.currency == base.currency
        ]
        return base - total(given, base.currency)

    def owed_to(self, return_id: str) -> Money | None:
        """What a return asked for and neither went back nor is under way; None where no such return has asked."""
        first = self.refund(refund_of(return_id))
        if first is None:
            return None
        asked = first.asked or first.amount
        live = [
            refund.amount
            for refund in self.refunds
            if refund.return_id == return_id and refund.state in LIVE and refund.amount.currency == asked.currency
        ]
        return asked - total(live, asked.currency)

    def owed_returns(self) -> dict[str, Money]:
        """The returns that are still owed something, by id."""
        returns = dict.fromkeys(refund.return_id for refund in self.refunds if refund.return_id)
        owed = {return_id: self.owed_to(return_id) for return_id in returns}
        return {return_id: amount for return_id, amount in owed.items() if amount is not None and amount.amount > 0}
