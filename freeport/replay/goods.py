"""What a description tells about goods: a customs code, an origin, a weight. Guesses, and marked as such."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.contracts.values import GoodsFlag

GIFTWARE = Path(__file__).with_name("giftware.toml")
_HS = re.compile(r"\d{6,12}")
_COUNTRY = re.compile(r"[A-Z]{2}")


class GoodsError(ValueError):
    """The goods file is not what it should be: says which entry and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """What is known of goods. An empty `hs_code` or `origin` is unknown and holds the papers of an export."""

    category: str
    hs_code: str = ""
    origin: str = ""
    weight_grams: int = 0
    flags: tuple[GoodsFlag, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    goods: Goods


@dataclass(frozen=True, slots=True)
class GoodsMap:
    """Rules in order: the first with a word in the description wins. `default` is for what none knows."""

    rules: tuple[_Rule, ...]
    default: Goods

    def of(self, description: str) -> Goods:
        """Words match whole, in any case, with or without a plural s."""
        text = description.casefold()
        return next((rule.goods for rule in self.rules if rule.pattern.search(text)), self.default)


def load_goods(path: Path, *, origin: str, weight_grams: int) -> GoodsMap:
    """Read a goods file; `origin` (ISO country, or empty) and `weight_grams` fill in what it does not say.

    Raises GoodsError, OSError.
    """
    try:
        entries: Any = tomllib.loads(path.read_text()).get("goods", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GoodsError(f"{path.name}: {error}") from error
    if not entries:
        raise GoodsError(f"{path.name}: there is no [[goods]] entry")
    rules: list[_Rule] = []
    for number, entry in enumerate(entries, start=1):
        try:
            rules.append(_rule(entry, origin, weight_grams))
        except (KeyError, TypeError, ValueError) as error:
            raise GoodsError(f"{path.name}: entry {number}: {error}") from error
    return GoodsMap(tuple(rules), Goods(category="unclassified", origin=origin, weight_grams=weight_grams))


def _rule(entry: Mapping[str, Any], origin: str, weight_grams: int) -> _Rule:
    words, hs_code, country = entry["words"], str(entry.get("hs", "")), str(entry.get("origin", origin))
    if not isinstance(words, list) or not words:
        raise ValueError("words must be a list with at least one word")
    if hs_code and not _HS.fullmatch(hs_code):
        raise ValueError(f"hs '{hs_code}' is not 6 to 12 digits")
    if country and not _COUNTRY.fullmatch(country):
        raise ValueError(f"origin '{country}' is not an ISO country code")
    goods = Goods(
        category=str(entry["category"]),
        hs_code=hs_code,
        origin=country,
        weight_grams=int(entry.get("grams", weight_grams)),
        flags=tuple(GoodsFlag(flag) for flag in entry.get("flags", [])),
    )
    return _Rule(_any_of(str(word) for word in words), goods)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - TOML values have no types


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    choices = "|".join(re.escape(word.casefold()) for word in words)
    return re.compile(rf"(?<![a-z0-9])(?:{choices})s?(?![a-z0-9])")
