"""Card numbers are found wherever a body can hide them, and honest numbers pass."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pan import find_card_number, holds_card_number, passes_luhn, refuse_card_numbers

# The card schemes' published test numbers: none belongs to anybody.
KNOWN = [
    "4242424242424242",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
    "36227206271667",
    "3566002020360505",
    "6200000000000005",
    "6759649826438453",
]


def with_check_digit(body: str) -> str:
    return next(body + digit for digit in "0123456789" if passes_luhn(body + digit))


CARDS = st.text("0123456789", min_size=11, max_size=18).map(with_check_digit)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc XYZ", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("number", KNOWN)
def test_every_scheme_is_known(number: str) -> None:
    assert holds_card_number(number)


@given(CARDS, st.text("xyz .,:;/", max_size=5), st.text("xyz .,:;/", max_size=5))
def test_anything_of_twelve_to_nineteen_digits_that_passes_luhn_is_found_in_any_text(
    card: str, before: str, after: str
) -> None:
    assert holds_card_number(f"{before}{card}{after}")


@given(CARDS, st.sampled_from(" -"))
def test_grouping_in_fours_hides_nothing(card: str, separator: str) -> None:
    assert holds_card_number(separator.join(card[i : i + 4] for i in range(0, len(card), 4)))


@pytest.mark.parametrize(
    "text",
    [
        "3782 822463 10005",
        "my card 4242-4242-4242-4242 12/29",
        "４２４２４２４２４２４２４２４２",
        "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
        "4242\u00a04242\u00a04242\u00a04242",
    ],
)
def test_neither_does_another_script_or_layout(text: str) -> None:
    assert holds_card_number(text)


@given(CARDS)
def test_one_wrong_digit_is_no_card_number(card: str) -> None:
    wrong = card[:-1] + str((int(card[-1]) + 1) % 10)
    assert not passes_luhn(wrong)
    assert not holds_card_number(wrong)


@given(DOCUMENTS, CARDS)
def test_a_number_is_found_at_any_depth_under_any_name(document: Any, card: str) -> None:
    assert find_card_number(document) is None
    assert find_card_number({"a": [document, {"deep": [card]}]}) == "a[1].deep[0]"
    assert find_card_number([document, {card: "a name is a text, too"}]) == "[1]"


@given(st.text("0123456789", min_size=20, max_size=40))
def test_longer_runs_of_digits_are_something_else(digits: str) -> None:
    assert not holds_card_number(digits)


@pytest.mark.parametrize(
    "text",
    [
        "+49 1520 1234567",  # would be a Visa of 13 digits without its plus
        "+491520" + with_check_digit("12345678")[:9],
        "192.168.100.123",
        "2026-11-24T05:35:35.123456Z",
        "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
        "550e8400-e29b-41d4-a716-446655440000",
        "302-1234567-1234567",
        "tok_visa",
        "",
    ],
)
def test_ordinary_numbers_pass(text: str) -> None:
    assert not holds_card_number(text)


@given(st.integers(min_value=1, max_value=10**7 - 1), st.integers(min_value=1, max_value=10**7 - 1))
def test_a_marketplaces_order_number_is_no_card(middle: int, last: int) -> None:
    assert not holds_card_number(f"302-{middle:07}-{last:07}")


@given(st.from_regex(r"\A\+[1-9][0-9]{7,14}\Z"))
def test_no_telephone_number_with_its_plus_is_taken_for_a_card(phone: str) -> None:
    assert not holds_card_number(phone)


def test_a_plus_is_no_disguise_for_sixteen_digits() -> None:
    assert holds_card_number("+4242424242424242")


def test_a_sku_may_be_a_trade_item_number() -> None:
    gtin = "4006381333924"  # its GS1 check digit is right and, as with one in ten, Luhn is content as well
    assert passes_luhn(gtin)
    assert find_card_number({"lines": [{"sku": gtin}]}) is None
    assert find_card_number({"token": gtin}) == "token"
    assert find_card_number({"lines": [{"sku": "4242424242424242"}]}) == "lines[0].sku"


def test_the_refusal_tells_where_and_never_what() -> None:
    refusal = refuse_card_numbers({"payment": {"token": "4242424242424242"}})
    assert refusal is not None
    assert (refusal.code, refusal.facts) == ("payment.card_number", {"field": "payment.token"})
    assert "4242" not in repr(refusal)
    assert refuse_card_numbers({"payment": {"token": "tok_visa"}}) is None
