"""The names that exports give to countries, as ISO 3166-1 codes."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import pycountry

UNKNOWN = "ZZ"  # ISO 3166 leaves it to its users; CLDR reads it as "unknown region"

# What ISO calls otherwise. "Channel Islands" are two places with a code each; Jersey is the larger, and both stand
# alike towards customs (in the customs union with the United Kingdom, outside its VAT).
NAMES: Mapping[str, str] = {
    "eire": "IE",
    "rsa": "ZA",
    "channel islands": "JE",
    "usa": "US",
    "uk": "GB",
    "great britain": "GB",
    "england": "GB",
    "scotland": "GB",
    "wales": "GB",
    "northern ireland": "GB",
    "holland": "NL",
    "korea": "KR",
    "west indies": "",
    "european community": "",
    "unspecified": "",
    "": "",
}


def country_code(name: str, own: Mapping[str, str] | None = None) -> str | None:
    """The two letters for a country's name, or None where the name names no country. `own` goes first.

    >>> country_code("EIRE"), country_code("European Community")
    ('IE', None)
    """
    key = " ".join(name.split()).casefold()
    if own is not None and key in own:
        return own[key]
    return NAMES[key] or None if key in NAMES else _iso(key)


@cache
def _iso(name: str) -> str | None:
    try:
        # pycountry's lookup knows codes, names and official names; it gives database rows without types.
        found = cast("Any", pycountry.countries).lookup(name)
    except LookupError:
        return None
    return str(found.alpha_2)
