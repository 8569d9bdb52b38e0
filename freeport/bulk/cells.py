"""What a cell says: numbers with either decimal sign, money in minor units, yes and no. ValueError says why it says nothing."""

import re
from decimal import Decimal
from typing import Literal

from shared.money import exponent

DecimalSign = Literal[".", ","]

_NO_GROUP = str.maketrans("", "", " \u00a0\u202f'’")  # how groups of three are set apart besides by point and comma
_NUMBER = re.compile(r"[0-9]+([.,][0-9]+)*")
_SCIENTIFIC = re.compile(r"[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+")
_YES = frozenset({"true", "yes", "1", "wahr", "ja", "vrai", "oui"})
_NO = frozenset({"false", "no", "0", "falsch", "nein", "faux", "non"})


def refuse_scientific(text: str) -> None:
    """Raises ValueError for what a spreadsheet made of a long number: its last digits are lost."""
    if _SCIENTIFIC.fullmatch(text):
        raise ValueError(
            "a spreadsheet made a number of it, digits are lost: format the column as text, enter it again"
        )


def number(text: str, sign: DecimalSign | None = None) -> Decimal:
    """`1.299,50`, `1,299.50` and `1 299,5` alike. Raises ValueError, also for `1.299`, which may be either."""
    plain = text.strip().translate(_NO_GROUP)
    if not plain.isascii() or not _NUMBER.fullmatch(plain):
        raise ValueError("not a number of zero or more, written in digits")
    sign = sign or _sign_of(plain)
    whole, _, part = plain.partition(sign)
    group = "," if sign == "." else "."
    if group in part or sign in part or not _is_grouped(whole, group):
        raise ValueError(f"not a number whose decimal sign is {sign!r}")
    return Decimal(f"{whole.replace(group, '')}.{part or '0'}")


def whole_number(text: str, most: int) -> int:
    """A whole number from 0 to `most`. Raises ValueError."""
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit()) or len(plain) > 18 or int(plain) > most:
        raise ValueError(f"not a whole number from 0 to {most}, written in digits alone")
    return int(plain)


def minor_units(text: str, currency: str, sign: DecimalSign | None = None) -> int:
    """An amount in major units as minor ones, exactly. Raises ValueError."""
    amount = number(text, sign).scaleb(exponent(currency))
    if amount != int(amount):
        raise ValueError(f"{currency} has {exponent(currency)} decimals")
    return int(amount)


def major_units(amount: int, currency: str) -> str:
    """Minor units as `minor_units` reads them back whatever the decimal sign is taken for."""
    text = str(Decimal(amount).scaleb(-exponent(currency)))
    # Three digits after the point could be a group: 1.299 dinars are written 1.2990.
    return f"{text}0" if exponent(currency) == 3 else text


def yes_or_no(text: str) -> bool:
    """Also as German and French spreadsheets write it. Raises ValueError."""
    word = text.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError("neither true nor false")


def _sign_of(plain: str) -> DecimalSign:
    last: DecimalSign = "," if plain.rfind(",") > plain.rfind(".") else "."
    other = "." if last == "," else ","
    if plain.count(last) > 1:
        return other  # it comes more than once, so it parts groups
    whole, _, part = plain.partition(last)
    if other not in plain and len(part) == 3 and len(whole) <= 3 and not whole.startswith("0"):
        raise ValueError(
            f"{plain} may be {whole}{part} or {whole} and a part: say which with --decimal, or write more or fewer decimals"
        )
    return last


def _is_grouped(whole: str, group: str) -> bool:
    first, *others = whole.split(group)
    return not others or (1 <= len(first) <= 3 and all(len(part) == 3 for part in others))
