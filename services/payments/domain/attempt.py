"""One try to get the buyer's money: one charge at the provider, under one idempotency key."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.payments.domain.charge import RANK, Charge, ChargeStatus
from shared.effects import Call
from shared.ids import derive_id
from shared.money import Money

_FIRST_PAUSE_S = 1
_LONGEST_PAUSE_S = 300


def pause_after(silences: int) -> timedelta:
    """How long to wait before asking again: 1 s, 2 s, 4 s … 5 minutes."""
    return timedelta(seconds=min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(silences, 9)))


@dataclass(slots=True, kw_only=True)
class Attempt:
    """State is kept per attempt, so that a first one that failed never overwrites a second that paid.

    `id` is the provider's idempotency key. `captured` is what was taken, in the charge's own currency, once it is booked.
    A superseded attempt is undone, whatever becomes of it.
    """

    id: str
    number: int
    automatic: bool
    amount: Money
    asked_at: datetime
    status: ChargeStatus = ChargeStatus.ASKED
    superseded: bool = False
    charge_id: str = ""
    fingerprint: str = ""
    decline_code: str = ""
    renewable: bool = False
    authorised_at: datetime | None = None
    expires_at: datetime | None = None
    captured: Money | None = None
    calls: int = 0
    silences: int = 0

    def learn(self, charge: Charge, now: datetime) -> None:
        """Take over what the provider says; older news never undoes newer."""
        self.charge_id = charge.id
        self.silences = 0
        if RANK[charge.status] < RANK[self.status]:
            return
        if charge.status is ChargeStatus.AUTHORISED and self.authorised_at is None:
            self.authorised_at = now
        self.status = charge.status
        self.fingerprint = charge.fingerprint
        self.decline_code = charge.decline_code
        self.renewable = charge.renewable
        self.expires_at = charge.expires_at

    def agrees_with(self, charge: Charge) -> bool:
        """Whether the provider charged, and took, what was asked (or what is booked already)."""
        taken = charge.status is not ChargeStatus.CAPTURED or charge.captured == (self.captured or self.amount)
        return taken and (self.captured is not None or charge.amount == self.amount)

    def renew_at(self) -> datetime | None:
        """When an authorisation should be renewed: after three quarters of its life, but at most a day before its end."""
        if self.expires_at is None or self.authorised_at is None:
            return None
        margin = min(timedelta(days=1), (self.expires_at - self.authorised_at) / 4)
        return self.expires_at - margin

    def call(self, kind: str, order_id: str, *, not_before: datetime | None = None, **request: object) -> Call:
        """The next call about this attempt. Its number tells the newest question from older ones."""
        number, self.calls = self.calls, self.calls + 1
        return Call(
            id=derive_id("cal", self.id, kind, str(number)),
            kind=kind,
            key=order_id,
            request={"attempt": self.id, "number": number, **request},
            not_before=not_before,
        )

    def is_newest(self, number: int) -> bool:
        """Whether no question about this attempt was asked after that one."""
        return number == self.calls - 1
