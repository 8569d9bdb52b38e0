from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.money import CurrencyMismatch, Money, exponent, from_decimal, total

amounts = st.integers(-(10**12), 10**12)
codec = TypeAdapter(Money)


def test_currencies_do_not_add_up() -> None:
    with pytest.raises(CurrencyMismatch):
        _ = Money(1, "EUR") + Money(1, "USD")


@pytest.mark.parametrize(
    ("currency", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("BRL", 2), ("KRW", 0)]
)
def test_a_currency_knows_its_decimals(currency: str, decimals: int) -> None:
    assert exponent(currency) == decimals
    assert from_decimal(Money(12345, currency).decimal(), currency) == Money(12345, currency)


def test_the_yen_is_not_multiplied_by_a_hundred() -> None:
    assert str(Money(1299, "JPY")) == "1299 JPY"
    assert from_decimal(Decimal(1299), "JPY").amount == 1299


def test_half_a_cent_is_rounded_up() -> None:
    assert from_decimal(Decimal("0.125"), "EUR") == Money(13, "EUR")
    assert Money(25, "EUR").scale(Decimal("0.5")) == Money(13, "EUR")


@given(amounts, st.lists(st.integers(0, 10**6), min_size=1, max_size=20).filter(any))
def test_allocated_parts_add_up_and_stray_less_than_one_unit(amount: int, weights: list[int]) -> None:
    parts = Money(amount, "EUR").allocate(weights)
    assert total(parts, "EUR").amount == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.amount - Decimal(amount) * weight / sum(weights)) < 1


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1]])
def test_nothing_can_be_allocated_to_nobody(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        Money(1, "EUR").allocate(weights)


@given(amounts, st.sampled_from(["EUR", "JPY", "KWD"]))
def test_on_the_wire_an_amount_is_a_string(amount: int, currency: str) -> None:
    money = Money(amount, currency)
    text = codec.dump_json(money)
    assert text == b'{"amount":"%d","currency":"%s"}' % (amount, currency.encode())
    assert codec.validate_json(text) == money


@pytest.mark.parametrize(
    "text",
    [
        '{"amount":"1.5","currency":"EUR"}',
        '{"amount":1.5,"currency":"EUR"}',
        '{"amount":"1","currency":"eur"}',
        '{"amount":"9223372036854775808","currency":"EUR"}',
        '{"amount":"","currency":"EUR"}',
        '{"currency":"EUR"}',
    ],
)
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        codec.validate_json(text)
