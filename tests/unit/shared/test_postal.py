"""Postcode areas: enough for tax and freight, too little to find a door."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.postal import postal_area


@pytest.mark.parametrize(
    ("country", "postcode", "area"),
    [
        ("GB", "SW1A 1AA", "SW1A"),
        ("GB", "bt1 5gs", "BT1"),  # Northern Ireland has its own customs rules
        ("CA", "K1A 0B1", "K1A"),
        ("IE", "D02 AF30", "D02"),
        ("NL", "1012 AB", "1012"),
        ("DE", "10115", "101"),
        ("US", "94105-1804", "941"),
        ("JP", "100-0001", "100"),
        ("BR", "01310-100", "013"),
        ("AU", "2000", "20"),
        ("IS", "101", "1"),
        ("HK", "", ""),
    ],
)
def test_each_country_keeps_its_leading_part(country: str, postcode: str, area: str) -> None:
    assert postal_area(country, postcode) == area


@given(st.sampled_from(["GB", "NL", "CA", "DE", "US", "AU"]), st.text("ABC123 -", max_size=12))
def test_a_whole_postcode_never_leaves(country: str, postcode: str) -> None:
    code = postcode.replace(" ", "").replace("-", "")
    area = postal_area(country, postcode)
    assert area == "" or len(area) <= len(code) - 2
