"""Card numbers at the door: found and refused, so that none is ever stored, logged or published.

A card number (ISO/IEC 7812) has 12 to 19 digits and passes the Luhn check. One number in ten passes it by chance, so the
places where such numbers are ordinary are left out, each for its own reason: see `_HARMLESS` and `_candidates`.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from shared.errors import Kind, Refusal

_SHORTEST, _LONGEST = 12, 19

# Digit groups with one space or dash between them. Dots and colons are no separators: they make IP addresses and times.
_RUN = re.compile(r"(?P<plus>\+\s?)?(?P<digits>\d+(?:[ \-]\d+)*)")

# Most texts hold nothing like it, and are done with in a microsecond. What normalisation changes is no digit or space of ASCII.
_POSSIBLE = re.compile(r"\d(?:[^0-9A-Za-z]?\d){11}")

# UUIDs (device ids, tokens) hold a dozen digits in a row often enough to refuse an honest buyer now and then.
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)

_E164 = 15  # digits of the longest telephone number; with a plus in front, only more than that can be a card
_GTIN = frozenset({12, 13, 14})


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1 annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def holds_card_number(text: str) -> bool:
    """Whether some part of the text could be a card number, in any script's digits, grouped as cards are or not at all."""
    if len(text) < _SHORTEST or _POSSIBLE.search(text) is None:
        return False
    plain = _UUID.sub(" / ", unicodedata.normalize("NFKC", text))
    return any(passes_luhn(digits) for run in _RUN.finditer(plain) for digits in _candidates(run))


def find_card_number(body: Any, *, skus: frozenset[str] = frozenset({"sku"})) -> str | None:
    """The path of the first text in a JSON document that could be a card number (`payment.token`), or None.

    Names of fields count as texts. A field named in `skus` may hold a trade item number (GTIN), whose own check digit
    is right.
    """
    return next(_found(body, "", skus), None)


def refuse_card_numbers(body: Any) -> Refusal | None:
    """The refusal of a document that holds a card number. It tells where, and never repeats what."""
    path = find_card_number(body)
    if path is None:
        return None
    return Refusal(
        code="payment.card_number",
        detail=f"{path or 'the body'} looks like a card number; send the provider's token instead",
        kind=Kind.INVALID,
        clears_with="a token of the payment provider",
        facts={"field": path},
    )


def _candidates(run: re.Match[str]) -> Iterator[str]:
    groups = re.split(r"[ \-]", run["digits"])
    for first in range(len(groups)):
        for last in range(first + 1, len(groups) + 1):
            if not _grouped_like_a_card(groups[first:last]):
                continue
            digits = "".join(groups[first:last])
            telephone = run["plus"] and first == 0 and len(digits) <= _E164
            if _SHORTEST <= len(digits) <= _LONGEST and not telephone:
                yield digits


def _grouped_like_a_card(groups: Sequence[str]) -> bool:
    # Marketplaces number orders like 302-1234567-1234567: seventeen digits, but no card is printed so.
    sizes = [len(group) for group in groups]
    in_fours = all(size == 4 for size in sizes[:-1]) and sizes[-1] <= 4
    return len(sizes) == 1 or in_fours or sizes in ([4, 6, 5], [4, 6, 4], [6, 13], [8, 8])


def _is_gtin(text: str) -> bool:
    """A trade item number with a right check digit (GS1 General Specifications 7.9)."""
    if not (text.isascii() and text.isdigit() and len(text) in _GTIN):
        return False
    return sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(text))) % 10 == 0


def _found(value: Any, path: str, skus: frozenset[str]) -> Iterator[str]:
    if isinstance(value, str):
        if holds_card_number(value) and not (path.rpartition(".")[2] in skus and _is_gtin(value)):
            yield path
    elif isinstance(value, Mapping):
        for name, inner in cast("Mapping[object, Any]", value).items():
            if holds_card_number(str(name)):
                yield path  # the name itself is the secret, so only its place is told
            yield from _found(inner, f"{path}.{name}".lstrip("."), skus)
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for place, inner in enumerate(cast("Sequence[Any]", value)):
            yield from _found(inner, f"{path}[{place}]", skus)
