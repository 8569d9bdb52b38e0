"""What a line of an export is, and what it is worth."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from freeport.replay.export import Row
from freeport.replay.lines import Kind, Line, judge, select, value_in_pence

SALE = Row(2, "536365", "85123A", "HEART", "6", "2010-12-01 08:26", "2.55", "17850", "United Kingdom")
CANCELLATION = replace(SALE, invoice="C536379", quantity="-1")


def judged(row: Row) -> Line:
    [line] = judge([row])
    return line


def test_a_sale_is_worth_quantity_times_price() -> None:
    line = judged(SALE)
    assert (line.kind, line.value_minor, line.country) == (Kind.SALE, 1530, "GB")


def test_a_cancellation_has_a_negative_value() -> None:
    line = judged(CANCELLATION)
    assert (line.kind, line.value_minor) == (Kind.CANCELLATION, -255)


@pytest.mark.parametrize(
    ("quantity", "price", "pence"),
    [
        (3, "0.125", 38),
        (-3, "0.125", -38),
        (1, "0.005", 1),
        (1, "0.0049", 0),
        (2, "0.0025", 1),
        (74215, "1.04", 7718360),
    ],
)
def test_half_a_penny_is_rounded_up_and_a_cancellation_mirrors_its_sale(quantity: int, price: str, pence: int) -> None:
    assert value_in_pence(quantity, Decimal(price)) == pence


@pytest.mark.parametrize(
    "code",
    [
        "POST",
        "DOT",
        "C2",
        "M",
        "m",
        "D",
        "S",
        "B",
        "CRUK",
        "AMAZONFEE",
        "BANK CHARGES",
        "gift_0001_30",
        "GIFT_0001_100",
    ],
)
def test_codes_that_are_no_goods_are_not_merchandise(code: str) -> None:
    assert judged(replace(SALE, sku=code)).kind is Kind.NOT_MERCHANDISE


@pytest.mark.parametrize("code", ["DCGSSBOY", "PADS", "15056BL", "22423"])
def test_goods_with_unusual_codes_are_merchandise(code: str) -> None:
    assert judged(replace(SALE, sku=code)).kind is Kind.SALE


def test_a_refunded_postage_is_not_merchandise_and_keeps_its_value() -> None:
    line = judged(replace(CANCELLATION, sku="POST", price="18.00"))
    assert (line.kind, line.value_minor) == (Kind.NOT_MERCHANDISE, -1800)


def test_a_discount_may_be_negative_outside_a_cancellation() -> None:
    assert judged(replace(SALE, sku="D", quantity="-1")).kind is Kind.NOT_MERCHANDISE


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"quantity": "-5"}, "stock write-off"),
        ({"quantity": "0"}, "quantity is 0"),
        ({"quantity": ""}, "quantity is missing"),
        ({"quantity": "six"}, "not a whole number"),
        ({"quantity": "1.5"}, "not a whole number"),
        ({"quantity": "1000001"}, "above 1,000,000"),
        ({"price": "0"}, "price is 0"),
        ({"price": "0.00"}, "price is 0"),
        ({"price": "-1"}, "price is negative"),
        ({"price": ""}, "price is missing"),
        ({"price": "NaN"}, "not a number"),
        ({"price": "1e5"}, "not a number"),
        ({"price": "0.001", "quantity": "1"}, "less than half a penny"),
        ({"date": "yesterday"}, "cannot be read"),
        ({"date": ""}, "date is missing"),
        ({"invoice": ""}, "invoice number is missing"),
        ({"sku": ""}, "stock code is missing"),
        ({"country": "Unspecified"}, "'Unspecified' is not a country"),
        ({"country": "European Community"}, "'European Community' is not a country"),
        ({"country": "Atlantis"}, "'Atlantis' is not a country"),
        ({"country": ""}, "names no country"),
        ({"ragged": True}, "fields than the header"),
    ],
)
def test_what_cannot_be_sold_is_unusable_with_a_reason(change: dict[str, str], why: str) -> None:
    line = judged(replace(SALE, **change))
    assert line.kind is Kind.UNUSABLE
    assert why in line.why


@pytest.mark.parametrize(("change", "why"), [({"quantity": "1"}, "negative quantity"), ({"price": "0"}, "price is 0")])
def test_a_cancellation_that_cancels_nothing_is_unusable(change: dict[str, str], why: str) -> None:
    line = judged(replace(CANCELLATION, **change))
    assert line.kind is Kind.UNUSABLE
    assert why in line.why


def test_an_unusable_line_still_has_the_value_that_was_read() -> None:
    assert judged(replace(SALE, country="Unspecified")).value_minor == 1530
    assert judged(replace(SALE, quantity="-5")).value_minor == -1275


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EIRE", "IE"),
        ("RSA", "ZA"),
        ("Channel Islands", "JE"),
        ("USA", "US"),
        ("Hong Kong", "HK"),
        ("Czech Republic", "CZ"),
        ("  united   kingdom ", "GB"),
    ],
)
def test_countries_are_known_by_the_names_that_exports_use(name: str, code: str) -> None:
    assert judged(replace(SALE, country=name)).country == code


def test_a_country_of_ones_own_goes_before_the_built_in_one() -> None:
    [line] = judge([replace(SALE, country="Channel Islands")], {"channel islands": "GG"})
    assert line.country == "GG"


@pytest.mark.parametrize(
    "text", ["2010-12-01 08:26", "2010-12-01T08:26:00", "12/1/2010 8:26", "2010-12-01 08:26:00+00:00"]
)
def test_dates_are_read_as_databases_and_spreadsheets_write_them(text: str) -> None:
    assert judged(replace(SALE, date=text)).when.isoformat() == "2010-12-01T08:26:00+00:00"


def test_a_customer_read_as_a_decimal_is_the_same_customer() -> None:
    assert judged(replace(SALE, customer="17850.0")).customer == "17850"


def test_a_selection_takes_whole_invoices_up_to_the_limit_even_when_their_lines_are_apart() -> None:
    lines = list(judge(replace(SALE, number=n, invoice=i) for n, i in enumerate(["1", "2", "1", "3", "2"], start=2)))
    assert [line.number for line in select(lines, None, None, 2)] == [2, 3, 4, 6]


def test_a_selection_by_days_includes_both_and_keeps_lines_without_a_date() -> None:
    days = ["2010-12-01", "2010-12-02 23:59", "2010-12-03", "soon"]
    lines = list(judge(replace(SALE, number=n, date=d) for n, d in enumerate(days, start=2)))
    chosen = select(lines, date(2010, 12, 2), date(2010, 12, 2), None)
    assert [line.number for line in chosen] == [3, 5]
