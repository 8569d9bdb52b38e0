from datetime import date

import pycountry
import pytest

from services.catalog.domain.language import canonical_tag
from services.catalog.domain.market import TaxRegime
from services.catalog.market_book import market_book
from shared.money import exponent

TODAY = date(2026, 11, 24)


def test_every_country_is_a_market() -> None:
    assert {market.code for market in market_book().all()} == {country.alpha_2 for country in pycountry.countries}


def test_every_market_has_a_real_currency_and_languages() -> None:
    for market in market_book().all():
        assert pycountry.currencies.get(alpha_3=market.currency) is not None, market
        assert market.languages, market
        assert all(canonical_tag(tag) == tag for tag in market.languages), market


@pytest.mark.parametrize(
    ("code", "currency", "regime", "bps", "included"),
    [
        ("DE", "EUR", TaxRegime.VAT, 1900, True),
        ("FI", "EUR", TaxRegime.VAT, 2550, True),
        ("CH", "CHF", TaxRegime.VAT, 810, True),
        ("GB", "GBP", TaxRegime.VAT, 2000, True),
        ("BG", "EUR", TaxRegime.VAT, 2000, True),  # the euro since 2026, which CLDR's table does not know yet
        ("JP", "JPY", TaxRegime.CONSUMPTION_TAX, 1000, True),
        ("AU", "AUD", TaxRegime.GST, 1000, True),
        ("SG", "SGD", TaxRegime.GST, 900, True),
        ("US", "USD", TaxRegime.SALES_TAX, None, False),
        ("CA", "CAD", TaxRegime.SEVERAL, None, False),
        ("BR", "BRL", TaxRegime.SEVERAL, None, False),
        ("HK", "HKD", TaxRegime.NONE, None, False),
        ("LB", "LBP", TaxRegime.UNKNOWN, None, False),
    ],
)
def test_a_market_is_what_it_is(code: str, currency: str, regime: TaxRegime, bps: int | None, included: bool) -> None:
    market = market_book().find(code)
    assert market is not None
    rate = market.rate_on(TODAY)
    assert (market.currency, market.tax_regime, rate.bps if rate else None) == (currency, regime, bps)
    assert market.shows_tax_included is included


def test_every_rate_says_who_says_so() -> None:
    assert all(rate.source for market in market_book().all() for rate in market.rates)


def test_money_knows_the_decimals_of_every_markets_currency() -> None:
    # CLDR rounds some currencies for display; the minor units here are ISO 4217's.
    assert {exponent(market.currency) for market in market_book().all()} == {0, 2, 3}
