"""What the provider says about a charge, in our words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.money import Money


class ChargeStatus(StrEnum):
    """Where a charge stands. `asked` is ours: no answer yet."""

    ASKED = "asked"
    REQUIRES_ACTION = "requires_action"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"
    CAPTURED = "captured"


# What was learnt later never counts less than what was learnt before; money taken outweighs everything.
RANK: Mapping[ChargeStatus, int] = {
    ChargeStatus.ASKED: 0,
    ChargeStatus.REQUIRES_ACTION: 1,
    ChargeStatus.AUTHORISED: 2,
    ChargeStatus.DECLINED: 3,
    ChargeStatus.VOIDED: 3,
    ChargeStatus.EXPIRED: 3,
    ChargeStatus.CAPTURED: 4,
}


class RefundStatus(StrEnum):
    """Where a refund stands at the provider."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRefund:
    """A refund in the provider's book. `key` is the idempotency key it was asked for with."""

    key: str
    amount: int
    status: RefundStatus
    failure_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A snapshot of a charge. `key` is the idempotency key it was made with: our attempt's id."""

    id: str
    key: str
    status: ChargeStatus
    amount: Money
    captured: Money
    fingerprint: str = ""
    decline_code: str = ""
    action_url: str = ""
    action_expires_at: datetime | None = None
    expires_at: datetime | None = None
    renewable: bool = False
    refunds: tuple[ProviderRefund, ...] = ()

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Charge":
        """The charge in a gateway's answer: amounts as integers, instants as RFC 3339."""
        currency = answer["currency"]
        return cls(
            id=answer["id"],
            key=answer["key"],
            status=ChargeStatus(answer["status"]),
            amount=Money(answer["amount"], currency),
            captured=Money(answer["captured"], currency),
            fingerprint=answer["fingerprint"],
            decline_code=answer["decline_code"],
            action_url=answer["action_url"],
            action_expires_at=_instant(answer["action_expires_at"]),
            expires_at=_instant(answer["expires_at"]),
            renewable=answer["renewable"],
            refunds=tuple(
                ProviderRefund(
                    key=refund["key"],
                    amount=refund["amount"],
                    status=RefundStatus(refund["status"]),
                    failure_code=refund["failure_code"],
                )
                for refund in answer["refunds"]
            ),
        )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
