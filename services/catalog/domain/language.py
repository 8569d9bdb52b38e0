"""Languages: BCP 47 tags, and which of a product's languages a reader gets.

The language never decides the market: a German reader in Japan sees German words and Japanese prices.
"""

import re
from collections.abc import Iterable, Sequence

_TAG = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|[0-9]{3}))?")
_WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")
# A header is written by strangers: what a person can read fits into this many ranges.
_RANGES = 20

ENGLISH = "en"


def canonical_tag(tag: str) -> str | None:
    """The tag as BCP 47 section 2.1.1 writes it (`ZH-hant-tw` is `zh-Hant-TW`), or None when it is no tag.

    Language, script and region are what titles differ in; variants and extensions are not accepted.
    """
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    language, script, region = match.groups()
    parts = (language.lower(), (script or "").title(), (region or "").upper())
    return "-".join(part for part in parts if part)


def preferences(header: str) -> list[str]:
    """The tags of an `Accept-Language` header, the most wanted first (RFC 9110 section 12.5.4); what is malformed is skipped."""
    weighted: list[tuple[float, str]] = []
    for part in header.split(",")[:_RANGES]:
        name, _, parameter = (piece.strip() for piece in part.partition(";"))
        weight = _weight(parameter)
        tag = canonical_tag(name)
        if tag is not None and weight > 0:
            weighted.append((weight, tag))
    return [tag for _, tag in sorted(weighted, key=lambda pair: -pair[0])]


def choose(wanted: Sequence[str], available: Iterable[str], market_languages: Sequence[str]) -> str:
    """The language to answer in, out of `available`, which must not be empty.

    First what the reader wants, then what the market speaks, then English, then the first in the alphabet. For each, RFC 4647
    lookup (`de-AT` is served by `de`), then a sister of the same language (`pt` is served by `pt-BR`).
    """
    tags = sorted(available)
    for tag in (*wanted, *market_languages, ENGLISH):
        found = _lookup(tag, tags)
        if found is not None:
            return found
    return tags[0]


def _lookup(tag: str, tags: Sequence[str]) -> str | None:
    prefix = tag
    while prefix:
        if prefix in tags:
            return prefix
        prefix = prefix.rpartition("-")[0]
    language = tag.partition("-")[0]
    return next((other for other in tags if other.partition("-")[0] == language), None)


def _weight(parameter: str) -> float:
    if not parameter:
        return 1.0
    match = _WEIGHT.fullmatch(parameter.replace(" ", ""))
    return float(match[1]) if match else 0.0
