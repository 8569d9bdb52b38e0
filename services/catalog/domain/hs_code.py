"""Customs codes of the Harmonized System and its national extensions."""

import re

from shared.errors import Kind, Refusal

_SEPARATORS = re.compile(r"[.\s]")
_DIGITS = re.compile(r"[0-9]{6,12}")
# WCO, Harmonized System 2022: chapters 01 to 97, where 77 is reserved. 98 and 99 are national and no goods' own code.
_LAST_CHAPTER = 97
_RESERVED_CHAPTER = 77


def normalise_hs_code(text: str) -> str | Refusal:
    """The code as digits only: `6912.00.23 00` is `6912002300`. Empty stays empty: the product is not classified yet.

    Six digits are the world's, up to twelve a country's. Whether the six-digit code exists is a matter of the edition in force
    where the goods are declared, so it is not decided here; that the chapter exists is.
    """
    code = _SEPARATORS.sub("", text)
    if not code:
        return ""
    if _DIGITS.fullmatch(code) is None:
        return _refuse("hs_code.malformed", f"a customs code has 6 to 12 digits, {text!r} has not")
    chapter = int(code[:2])
    if not 1 <= chapter <= _LAST_CHAPTER or chapter == _RESERVED_CHAPTER:
        return _refuse("hs_code.no_such_chapter", f"the Harmonized System has no chapter {code[:2]}")
    return code


def _refuse(code: str, detail: str) -> Refusal:
    return Refusal(
        code=code,
        detail=detail,
        kind=Kind.INVALID,
        clears_with="a code of the Harmonized System",
        facts={"pointer": "/hs_code"},
    )
