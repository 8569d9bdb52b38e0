"""What payments has told about the refunds of an order: each counted once, for its return or beside all of them.

Refunds are kept one by one, by id, so that a message changes what became of its refund and nothing else: sums that are
only added to and taken from count a failed refund twice once a person pays it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Outcome(StrEnum):
    """What became of a refund, as far as payments has told."""

    UNDER_WAY = "under_way"
    PAID = "paid"
    FAILED = "failed"  # it never went, or it came back


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRefund:
    """A refund of the order, in minor units. Without a return of ours it is beside them all.

    `surplus` gives back what was taken beyond the order's total (a second charge): it leaves no less for returns.
    """

    amount: int
    outcome: Outcome
    return_id: str = ""
    surplus: bool = False


@dataclass(frozen=True, slots=True)
class ReturnMoney:
    """What of one return went back, and what is on its way, in minor units. `answered`: payments has taken it up."""

    paid: int
    under_way: int
    failed: bool
    answered: bool


@dataclass(slots=True)
class KnownRefunds:
    """The refunds of one order, by id."""

    by_id: dict[str, KnownRefund] = field(default_factory=dict[str, KnownRefund])

    def hear(self, refund_id: str, told: KnownRefund) -> None:
        """Payments' newest word about a refund. Whether it is a surplus is told only when it is asked for."""
        known = self.by_id.get(refund_id)
        self.by_id[refund_id] = replace(told, surplus=told.surplus or (known is not None and known.surplus))

    def of(self, return_id: str) -> ReturnMoney:
        """The money of one return."""
        own = [refund for refund in self.by_id.values() if refund.return_id == return_id]
        return ReturnMoney(
            paid=sum(refund.amount for refund in own if refund.outcome is Outcome.PAID),
            under_way=sum(refund.amount for refund in own if refund.outcome is Outcome.UNDER_WAY),
            failed=any(refund.outcome is Outcome.FAILED for refund in own),
            answered=bool(own),
        )

    def beside_returns(self) -> int:
        """Minor units of the order's money that are promised or given back without a return."""
        return sum(
            refund.amount
            for refund in self.by_id.values()
            if not refund.return_id and not refund.surplus and refund.outcome is not Outcome.FAILED
        )

    def document(self) -> dict[str, dict[str, object]]:
        """As it is stored."""
        return {
            refund_id: {
                "amount": refund.amount,
                "outcome": refund.outcome.value,
                "return_id": refund.return_id,
                "surplus": refund.surplus,
            }
            for refund_id, refund in self.by_id.items()
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Mapping[str, object]]) -> "KnownRefunds":
        """As it was stored."""
        return cls(
            {
                refund_id: KnownRefund(
                    amount=int(str(row["amount"])),
                    outcome=Outcome(str(row["outcome"])),
                    return_id=str(row["return_id"]),
                    surplus=bool(row["surplus"]),
                )
                for refund_id, row in document.items()
            }
        )
