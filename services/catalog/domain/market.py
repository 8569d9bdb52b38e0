"""Markets: a country, its currency and its tax, and whether buyers there see prices with the tax inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class TaxRegime(StrEnum):
    """What kind of tax a sale to a buyer bears."""

    VAT = "vat"
    GST = "gst"
    CONSUMPTION_TAX = "consumption_tax"
    SALES_TAX = "sales_tax"  # depends on state, county and city: never inside a price
    SEVERAL = "several"  # several taxes on one another, no single rate
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxRate:
    """A standard rate in basis points (1900 is 19 %), from `valid_from` up to and including `valid_to`, and who says so."""

    bps: int
    source: str
    valid_from: date = date.min
    valid_to: date = date.max

    def holds_on(self, day: date) -> bool:
        """Whether the rate is in force that day."""
        return self.valid_from <= day <= self.valid_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """Where goods are sold. `shows_tax_included` is the custom or the law there; without a known rate it cannot be followed."""

    code: str
    country: str
    name: str
    currency: str
    languages: tuple[str, ...]
    tax_regime: TaxRegime
    tax_name: str
    shows_tax_included: bool
    rates: tuple[TaxRate, ...] = ()

    def rate_on(self, day: date) -> TaxRate | None:
        """The standard rate in force, or None where no single rate is known."""
        return next((rate for rate in self.rates if rate.holds_on(day)), None)


@dataclass(frozen=True, slots=True)
class MarketBook:
    """All markets by code, in alphabetical order. Every ISO country is one under its own code."""

    markets: Mapping[str, Market]

    def find(self, code: str) -> Market | None:
        """The market of that code."""
        return self.markets.get(code)

    def is_country(self, code: str) -> bool:
        """Whether it is an ISO 3166-1 alpha-2 country."""
        market = self.markets.get(code)
        return market is not None and market.country == code

    def is_foreign(self, currency: str, code: str) -> bool:
        """Whether the market, which must exist, has another currency."""
        return self.markets[code].currency != currency

    def all(self) -> Sequence[Market]:
        """Every market."""
        return tuple(self.markets.values())
