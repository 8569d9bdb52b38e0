"""One currency to compare in: amounts of all currencies in minor units of a reference currency, by dated rates.

Thresholds of risk need no exact rate, but the same one every time: the rates are part of the rule set, so its id covers
them. Nothing is ever charged or booked by these amounts.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from shared.money import Money, exponent

# No order counts for more, so that sums of many orders fit 64 bits.
_MOST = 10**14


@dataclass(frozen=True, slots=True)
class Rates:
    """Units of each currency for one unit of the reference currency, from `valid_from` on."""

    valid_from: date
    units: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference currency and its rates, oldest first."""

    currency: str
    rates: Sequence[Rates]

    def convert(self, amount: Money, on: date) -> int | None:
        """Minor units of the reference currency, rounded half up; None without a rate."""
        rate = self.rate(amount.currency, on)
        if rate is None:
            return None
        major = Decimal(amount.amount).scaleb(-exponent(amount.currency)) / rate
        minor = int(major.scaleb(exponent(self.currency)).to_integral_value(ROUND_HALF_UP))
        return max(-_MOST, min(minor, _MOST))

    def rate(self, currency: str, on: date) -> Decimal | None:
        """The rate of that day: the newest at or before it, else the oldest that there is."""
        if currency == self.currency:
            return Decimal(1)
        known = [rates for rates in self.rates if currency in rates.units]
        if not known:
            return None
        at = bisect_right(known, on, key=lambda rates: rates.valid_from)
        return known[max(at - 1, 0)].units[currency]
