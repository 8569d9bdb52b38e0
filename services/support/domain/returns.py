"""A return: what the buyer sends back of one order, what came of it, and the money for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.support.domain.money_back import ReturnMoney
from services.support.domain.return_policy import ReturnReason
from services.support.domain.return_states import TRANSITIONS, No, RefundState, RestockState, ReturnState, Step
from shared.contracts.values import Grade, Reason, ReceivedLine, ReturnLine
from shared.errors import Refusal
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedLine:
    """Units of a SKU that the buyer wants to send back. A return names a SKU once."""

    sku: str
    quantity: int
    reason: ReturnReason

    def told(self) -> ReturnLine:
        """The line as the events tell it."""
        return ReturnLine(sku=self.sku, quantity=self.quantity, reason=self.reason)


@dataclass(slots=True, kw_only=True)
class Return:
    """One return. The steps change its state by the table; goods and money follow their own events."""

    id: str
    order_id: str
    store_id: str
    lines: tuple[ClaimedLine, ...]
    requested_at: datetime
    state: ReturnState = ReturnState.REQUESTED
    restock: RestockState = RestockState.NONE
    refund: RefundState = RefundState.NONE
    send_back: bool = True
    promised: Money | None = None  # what support has told payments to refund, in all
    refunded: Money | None = None  # what payments has told to have gone back
    under_way: int = 0  # minor units that payments has told to be on their way
    refund_because: Reason | None = None  # why not all of it went
    received: tuple[ReceivedLine, ...] = ()
    restock_because: Reason | None = None  # why the goods are on no shelf yet
    relocated_to: str | None = None  # where they are instead of where the receipt said
    refused_because: Reason | None = None
    decided_at: datetime | None = None
    arrived_at: datetime | None = None
    received_at: datetime | None = None

    def may(self, step: Step) -> Refusal | None:
        """Why the step is not possible now, or None."""
        answer = TRANSITIONS[self.state, step]
        if isinstance(answer, No):
            return Refusal(
                code=answer.code, detail=answer.detail, clears_with=answer.clears_with, facts={"return_id": self.id}
            )
        return None

    def approve(self, at: datetime, *, send_back: bool) -> None:
        """The buyer may send the goods back, or keeps them."""
        self._go(Step.APPROVE)
        self.send_back, self.decided_at = send_back, at
        if self.arrived_at is not None:
            self.state = ReturnState.PARCEL_ARRIVED  # it did not wait for our answer

    def refuse(self, reason: Reason, at: datetime) -> None:
        """The return is not accepted."""
        self._go(Step.REFUSE)
        self.refused_because, self.decided_at = reason, at

    def arrive(self, at: datetime) -> None:
        """A parcel came back."""
        self._go(Step.ARRIVE)
        self.arrived_at = self.arrived_at or at

    def receive(self, lines: Sequence[ReceivedLine], at: datetime) -> None:
        """The goods are graded. What is sellable waits to be put on the shelf."""
        self._go(Step.RECEIVE)
        self.received, self.received_at = tuple(lines), at
        if any(line.grade is Grade.SELLABLE for line in lines):
            self.restock = RestockState.PENDING

    def promise(self, amount: Money) -> None:
        """This much more is to go back to the buyer. Nothing is no promise."""
        if amount:
            self.promised = amount if self.promised is None else self.promised + amount
            self.refund = RefundState.PENDING

    def restocked(self) -> None:
        """Inventory has the sellable units on the shelf."""
        self.restock, self.restock_because = RestockState.RESTOCKED, None

    def restock_held(self, because: Reason) -> None:
        """Inventory can put them on no shelf yet."""
        self.restock, self.restock_because = RestockState.HELD, because

    def relocate(self, warehouse: str) -> None:
        """They are in this warehouse; inventory hears it and puts them there."""
        self.restock, self.restock_because, self.relocated_to = RestockState.PENDING, None, warehouse

    def follow(self, money: ReturnMoney, currency: str, because: Reason | None = None) -> None:
        """Payments told something about the money of this return; `because` says why it is not all of it."""
        if money.paid or self.refunded is not None:
            self.refunded = Money(money.paid, currency)
        self.under_way = money.under_way
        self.refund_because = because or self.refund_because
        self.refund = self._refund_state(money)
        if self.refund is RefundState.REFUNDED:
            self.refund_because = None

    @property
    def refund_owed(self) -> Money | None:
        """What was promised and neither went nor is under way; None where payments has not answered, or nothing is owed."""
        waits_for_an_answer = self.refund is RefundState.PENDING and not self.under_way
        if self.promised is None or waits_for_an_answer:
            return None
        owed = self.promised.amount - self._went() - self.under_way
        return Money(owed, self.promised.currency) if owed > 0 else None

    def _refund_state(self, money: ReturnMoney) -> RefundState:
        owed = (self.promised.amount if self.promised is not None else 0) - money.paid
        if money.under_way or not money.answered:
            return RefundState.PENDING
        if owed <= 0:
            return RefundState.REFUNDED
        return RefundState.FAILED if money.failed else RefundState.SHORT

    def _went(self) -> int:
        return self.refunded.amount if self.refunded is not None else 0

    def claimed(self) -> dict[str, int]:
        """Units by SKU that no other return may claim: missing ones are free again, unless they are paid for."""
        if self.state is ReturnState.REFUSED:
            return {}
        if self.state is ReturnState.RECEIVED and self.send_back:
            return self.came_back()
        return self.units()

    def settled(self) -> dict[str, int]:
        """Units by SKU whose money is decided."""
        if not self.send_back:
            return self.units()
        return self.came_back() if self.state is ReturnState.RECEIVED else {}

    def units(self) -> dict[str, int]:
        """Units by SKU as requested."""
        return {line.sku: line.quantity for line in self.lines}

    def came_back(self) -> dict[str, int]:
        """Units by SKU that are really there, whatever their grade."""
        return count_units(line for line in self.received if line.grade is not Grade.MISSING)

    def document(self) -> dict[str, Any]:
        """The return as the API shows it."""
        return {
            "id": self.id,
            "order_id": self.order_id,
            "state": self.state,
            "restock": self.restock,
            "refund": self.refund,
            "send_back": self.send_back,
            "lines": [{"sku": line.sku, "quantity": line.quantity, "reason": line.reason} for line in self.lines],
            "received": list(self.received),
            "restock_because": self.restock_because,
            "relocated_to": self.relocated_to,
            "refund_promised": self.promised,
            "refund_paid": self.refunded,
            "refund_owed": self.refund_owed,
            "refund_because": self.refund_because,
            "refused_because": self.refused_because,
            "requested_at": self.requested_at,
            "decided_at": self.decided_at,
            "arrived_at": self.arrived_at,
            "received_at": self.received_at,
        }

    def _go(self, step: Step) -> None:
        answer = TRANSITIONS[self.state, step]
        if isinstance(answer, No):
            raise ValueError(f"return {self.id} is {self.state}, cannot {step}: ask may() first")
        self.state = answer


@dataclass(slots=True)
class OrderReturns:
    """All returns of one order, which share its units and its money."""

    returns: list[Return] = field(default_factory=list[Return])

    def claimed(self) -> dict[str, int]:
        """Units by SKU that are on their way back, or were."""
        return add_up(each.claimed() for each in self.returns)

    def settled(self) -> dict[str, int]:
        """Units by SKU whose money is decided."""
        return add_up(each.settled() for each in self.returns)

    def promised(self) -> int:
        """Minor units that returns have promised, in all."""
        return sum(each.promised.amount for each in self.returns if each.promised is not None)


def count_units(lines: Iterable[ReceivedLine]) -> dict[str, int]:
    """Units by SKU."""
    return add_up({line.sku: line.quantity} for line in lines)


def add_up(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by SKU, summed."""
    total: dict[str, int] = {}
    for count in counts:
        for sku, units in count.items():
            total[sku] = total.get(sku, 0) + units
    return total
