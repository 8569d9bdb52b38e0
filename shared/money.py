"""Money in integer minor units of an ISO 4217 currency. There are no floats here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

# ISO 4217 list one (2026): every currency not named here has two decimals.
_EXPONENTS: Mapping[str, int] = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
_LIMIT = 2**63 - 1


class CurrencyMismatch(ValueError):
    """Two currencies met in one sum."""


@dataclass(frozen=True, slots=True)
class Money:
    """`amount` minor units of `currency`: `Money(1299, "EUR")` is 12.99 euros, `Money(1299, "JPY")` is 1,299 yen."""

    amount: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount + self._same(other).amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount - self._same(other).amount, self.currency)

    def __mul__(self, factor: int) -> "Money":
        return Money(self.amount * factor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.amount < self._same(other).amount

    def __le__(self, other: "Money") -> bool:
        return self.amount <= self._same(other).amount

    def __bool__(self) -> bool:
        return self.amount != 0

    def __str__(self) -> str:
        return f"{self.decimal()} {self.currency}"

    def decimal(self) -> Decimal:
        """The amount in major units, exact: `Decimal("12.99")`."""
        return Decimal(self.amount).scaleb(-exponent(self.currency))

    def scale(self, ratio: Decimal) -> "Money":
        """The amount times `ratio`, rounded half up to a whole minor unit."""
        return Money(int((Decimal(self.amount) * ratio).to_integral_value(ROUND_HALF_UP)), self.currency)

    def allocate(self, weights: Sequence[int]) -> list["Money"]:
        """Split in proportion to `weights` by largest remainder: the parts always add up to the whole.

        Raises ValueError when a weight is negative or all are zero.
        """
        total = sum(weights)
        if total <= 0 or min(weights) < 0:
            raise ValueError("weights must be non-negative and not all zero")
        shares = [divmod(self.amount * weight, total) for weight in weights]
        left = self.amount - sum(whole for whole, _ in shares)
        by_remainder = sorted(range(len(weights)), key=lambda i: (-shares[i][1], i))
        extra = set(by_remainder[:left])
        return [Money(whole + (i in extra), self.currency) for i, (whole, _) in enumerate(shares)]

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not add up")
        return other

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        # A core schema is a plain dict, so the domain's money needs no import of pydantic. Amounts travel as strings,
        # because JavaScript reads JSON numbers above 2^53 wrongly.
        integer = {
            "type": "int",
            "ge": -_LIMIT,
            "le": _LIMIT,
            "serialization": {"type": "to-string", "when_used": "json"},
        }
        code = {"type": "str", "pattern": "^[A-Z]{3}$"}
        fields = [
            {"type": "dataclass-field", "name": "amount", "schema": integer},
            {"type": "dataclass-field", "name": "currency", "schema": code},
        ]
        return {
            "type": "dataclass",
            "cls": cls,
            "fields": ["amount", "currency"],
            "slots": True,
            "frozen": True,
            "schema": {"type": "dataclass-args", "dataclass_name": "Money", "fields": fields},
        }


def exponent(currency: str) -> int:
    """How many decimals the currency's minor unit has: EUR 2, JPY 0, KWD 3."""
    return _EXPONENTS.get(currency, 2)


def from_decimal(amount: Decimal, currency: str) -> Money:
    """Major units to money, rounded half up to the currency's minor unit."""
    return Money(int(amount.scaleb(exponent(currency)).to_integral_value(ROUND_HALF_UP)), currency)


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The sum, zero for nothing. Raises CurrencyMismatch."""
    result = Money(0, currency)
    for amount in amounts:
        result += amount
    return result
