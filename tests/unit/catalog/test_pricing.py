from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.domain.pricing import shown_prices, without_tax
from shared.contracts.catalog import MarketPrice
from shared.errors import Refusal
from shared.money import Money
from tests.builders.catalog import MARKETS, TODAY, a_price


def show(*prices: object, day: date = TODAY) -> tuple[MarketPrice, ...]:
    shown = shown_prices(prices, MARKETS, day)  # type: ignore[arg-type]
    assert not isinstance(shown, Refusal), shown
    return shown


def refused(*prices: object) -> Refusal:
    shown = shown_prices(prices, MARKETS, TODAY)  # type: ignore[arg-type]
    assert isinstance(shown, Refusal)
    return shown


def test_a_german_price_has_the_tax_inside() -> None:
    assert show(a_price("DE", 1299)) == (
        MarketPrice(market="DE", price=Money(1299, "EUR"), tax_included=True, tax_rate_bps=1900),
    )


def test_a_price_without_tax_is_shown_with_it_where_buyers_expect_that() -> None:
    assert show(a_price("DE", 1000, tax_included=False))[0].price == Money(1190, "EUR")


def test_an_american_price_is_shown_without_tax() -> None:
    assert show(a_price("US", 1299, "USD")) == (MarketPrice(market="US", price=Money(1299, "USD"), tax_included=False),)


def test_a_price_with_tax_is_shown_without_where_buyers_expect_that() -> None:
    assert show(a_price("US", 1080, "USD", tax_included=True, tax_rate_bps=800)) == (
        MarketPrice(market="US", price=Money(1000, "USD"), tax_included=False),
    )


def test_where_no_single_rate_is_known_the_price_is_shown_without_tax() -> None:
    assert show(a_price("BR", 9990, "BRL"))[0].tax_included is False


def test_an_included_tax_that_nobody_knows_is_refused() -> None:
    refusal = refused(a_price("BR", 9990, "BRL", tax_included=True))
    assert (refusal.code, refusal.facts["pointer"]) == ("price.tax_rate_unknown", "/prices/0/tax_rate_bps")


def test_a_product_may_have_a_rate_of_its_own() -> None:
    book = show(a_price("DE", 1000, tax_included=False, tax_rate_bps=700))[0]
    assert (book.price, book.tax_rate_bps) == (Money(1070, "EUR"), 700)


def test_a_rate_of_zero_is_a_known_rate() -> None:
    assert show(a_price("DE", 1000, tax_rate_bps=0)) == (
        MarketPrice(market="DE", price=Money(1000, "EUR"), tax_included=True),
    )


@pytest.mark.parametrize(("day", "amount"), [(date(2023, 12, 31), 1080), (date(2024, 1, 1), 1090)])
def test_the_rate_of_the_day_decides(day: date, amount: int) -> None:
    assert show(a_price("SG", 1000, "SGD", tax_included=False), day=day)[0].price == Money(amount, "SGD")


def test_half_a_yen_rounds_up() -> None:
    assert show(a_price("JP", 1005, "JPY", tax_included=False))[0].price == Money(1106, "JPY")


def test_a_foreign_currency_must_be_meant() -> None:
    assert refused(a_price("DE", 1299, "GBP")).code == "price.currency_mismatch"
    assert show(a_price("DE", 1299, "GBP", foreign_currency=True))[0].price == Money(1299, "GBP")


def test_the_markets_own_currency_comes_first() -> None:
    shown = show(a_price("DE", 9, "CHF", foreign_currency=True), a_price("US", 5, "USD"), a_price("DE", 7, "EUR"))
    assert [(price.market, price.price.currency) for price in shown] == [("DE", "EUR"), ("DE", "CHF"), ("US", "USD")]


def test_two_prices_for_the_same_are_refused() -> None:
    assert refused(a_price("DE", 1), a_price("DE", 2)).code == "price.duplicate"


def test_an_unknown_market_is_refused_and_named() -> None:
    refusal = refused(a_price("DE"), a_price("XX"))
    assert (refusal.code, refusal.facts["pointer"]) == ("price.unknown_market", "/prices/1/market")


@given(amount=st.integers(0, 10**12), bps=st.integers(0, 10_000))
def test_adding_the_tax_and_taking_it_off_comes_back(amount: int, bps: int) -> None:
    shown = show(a_price("DE", amount, tax_included=False, tax_rate_bps=bps))[0]
    assert without_tax(shown) == Money(amount, "EUR")
