"""Double entry: every movement is a transaction whose entries add up to zero in its currency.

A debit is positive, a credit negative. What is written is never changed; a correction is another transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.ids import derive_id
from shared.money import Money


class Account(StrEnum):
    """The accounts. Each entry also carries its order and its store."""

    PROVIDER_RECEIVABLE = "provider_receivable"  # what the provider took for us and will pay out
    CHANNEL_RECEIVABLE = "channel_receivable"  # what a sales channel took and owes us
    CASH_RECEIVABLE = "cash_on_delivery_receivable"  # what the carrier took at the door and owes us
    SALES_CLEARING = "sales_clearing"  # what buyers paid for orders
    REFUNDS = "refunds"  # what is given back of it
    REFUNDS_PAYABLE = "refunds_payable"  # promised to buyers, not paid yet
    BANK = "bank"  # what we pay out ourselves


class Kind(StrEnum):
    """What a transaction records."""

    CAPTURE = "capture"
    REFUND_REQUESTED = "refund_requested"
    REFUND_PAID = "refund_paid"
    REFUND_FAILED = "refund_failed"
    REFUND_BOUNCED = "refund_bounced"


@dataclass(frozen=True, slots=True)
class Entry:
    """One side of a transaction."""

    account: Account
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTransaction:
    """What moved. Its id follows from its cause, so that the same thing cannot be booked twice."""

    id: str
    kind: Kind
    subject: str  # the attempt or the refund
    at: datetime
    entries: tuple[Entry, ...]


def posting(
    kind: Kind, subject: str, amount: Money, *, debit: Account, credit: Account, at: datetime
) -> LedgerTransaction:
    """Move `amount` from `credit` to `debit`."""
    return LedgerTransaction(
        id=derive_id("ltx", subject, kind),
        kind=kind,
        subject=subject,
        at=at,
        entries=(Entry(debit, amount), Entry(credit, -amount)),
    )
