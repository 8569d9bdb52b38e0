"""Postal item numbers after UPU standard S10: two letters, eight digits, a check digit, the country of posting.

`RR473124829GB` is the standard's own example. A number may be used again after twelve months, so a parcel is known by its
carrier, its number and when it was posted, never by the number alone.
"""

import re

_WEIGHTS = (8, 6, 4, 2, 3, 5, 9, 7)
_FORM = re.compile(r"[A-Z]{2}[0-9]{9}[A-Z]{2}")


def check_digit(serial: str) -> int:
    """The check digit of eight digits: 11 minus their weighted sum modulo 11; 10 becomes 0 and 11 becomes 5."""
    weighted = sum(int(digit) * weight for digit, weight in zip(serial, _WEIGHTS, strict=True))
    remainder = 11 - weighted % 11
    return {10: 0, 11: 5}.get(remainder, remainder)


def number(service: str, serial: int, country: str) -> str:
    """The item number of a serial in 0 to 99,999,999, for example `number("RR", 47312482, "GB")`."""
    digits = f"{serial:08d}"
    return f"{service}{digits}{check_digit(digits)}{country}"


def is_valid(text: str) -> bool:
    """Whether the text has the form of an item number and its check digit is right."""
    return _FORM.fullmatch(text) is not None and check_digit(text[2:10]) == int(text[10])
