"""The seller's policies on returns, each a named rule."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.money import Money


class ReturnReason(StrEnum):
    """Why a buyer sends something back: a closed list, so that it can be counted."""

    DAMAGED = "damaged"
    DEFECTIVE = "defective"
    NOT_AS_DESCRIBED = "not_as_described"
    WRONG_ITEM = "wrong_item"
    LATE = "late"
    UNWANTED = "unwanted"
    DOES_NOT_FIT = "does_not_fit"
    CANCELLED = "cancelled"  # a channel's cancellation after dispatch
    OTHER = "other"


SELLER_AT_FAULT = frozenset(
    {
        ReturnReason.DAMAGED,
        ReturnReason.DEFECTIVE,
        ReturnReason.NOT_AS_DESCRIBED,
        ReturnReason.WRONG_ITEM,
        ReturnReason.LATE,
    }
)

# The seller's choice within Directive 2011/83/EU art. 14(2): the buyer answers for what handling has taken from the goods' worth.
_DAMAGED_BY_BUYER_REFUNDS_PART = 2


def refund_of_damaged(worth: Money, reason: ReturnReason) -> Money:
    """What a damaged unit refunds: all of it where the reason is the seller's, else half, the odd minor unit to the buyer."""
    if reason in SELLER_AT_FAULT:
        return worth
    return Money(-(-worth.amount // _DAMAGED_BY_BUYER_REFUNDS_PART), worth.currency)


class Distance(StrEnum):
    """How far a parcel travels back, as far as its price goes."""

    DOMESTIC = "domestic"
    REGIONAL = "regional"  # between two countries of the customs union
    OVERSEAS = "overseas"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnCosts:
    """Estimated costs of one returned parcel in minor units, by currency and distance: configuration of the seller."""

    amounts: Mapping[str, Mapping[Distance, int]]
    customs_union: frozenset[str]

    def estimate(self, currency: str, buyer: str, warehouses: Collection[str]) -> Money | None:
        """The cost of the dearest way back; None where nobody has stated one or it is not known where the goods came from."""
        amounts = self.amounts.get(currency)
        if not amounts or not warehouses:
            return None
        return Money(max(amounts[self._distance(buyer, warehouse)] for warehouse in warehouses), currency)

    def _distance(self, buyer: str, warehouse: str) -> Distance:
        if buyer == warehouse:
            return Distance.DOMESTIC
        return Distance.REGIONAL if {buyer, warehouse} <= self.customs_union else Distance.OVERSEAS


def buyer_keeps_goods(worth: Money, cost: Money | None) -> bool:
    """Whether the goods are refunded without coming back: sending them costs more than they are worth."""
    return cost is not None and worth < cost
