"""The part of a postcode that tax, customs and freight need, and that names no household."""

import re
from collections.abc import Callable

_SEPARATORS = re.compile(r"[\s\-.]+")


def postal_area(country: str, postcode: str) -> str:
    """The leading part of a postcode, never the whole of it; empty where there is none.

    The outward code in Great Britain (`SW1A 1AA`: `SW1A`), the forward sortation area in Canada (`K1A`), the routing key in
    Ireland (`D02`), the four digits in the Netherlands; elsewhere three characters at most, and two fewer than there are.
    """
    code = _SEPARATORS.sub("", postcode).upper()
    return _AREAS.get(country.upper(), _leading)(code)


def _leading(code: str) -> str:
    return code[: max(0, min(3, len(code) - 2))]


def _without_inward(code: str) -> str:
    return code[:-3]  # the inward code has three characters, the outward two to four


_AREAS: dict[str, Callable[[str], str]] = {
    "GB": _without_inward,
    "NL": lambda code: code[:4] if len(code) == 6 else _leading(code),
}
