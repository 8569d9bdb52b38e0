"""A product as a row: which columns there are, what their cells mean, and what a row says over a product that is known.

A product here is the dictionary that `GET /v1/products:export` gives and `POST /v1/products:batch` takes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import orjson

from freeport.bulk.cells import DecimalSign, major_units, minor_units, refuse_scientific, whole_number, yes_or_no
from shared.contracts.values import GoodsFlag

Product = dict[str, Any]

TEXTS = {"title": "titles", "description": "descriptions", "bullets": "bullets"}
PRICES = ("price", "tax_included", "tax_rate_bps")
PLAIN = (
    "category",
    "hs_code",
    "origin_country",
    "weight_grams",
    "flags",
    "claims_preference",
    "media",
    "attributes",
)
_ORDER = ("sku", *TEXTS, *PLAIN[:6], *PRICES, *PLAIN[6:])
_TAG = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|[0-9]{3}))?")
_SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-/ ]{0,63}")
_MOST_GRAMS = 100_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """A field; of texts their language, of prices their market and currency: `title:de`, `price:DE:EUR`."""

    field: str
    where: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return ":".join((self.field, *self.where))

    @property
    def place(self) -> tuple[int, tuple[str, ...], int]:
        """Where it stands in an export: prices by market and currency, each with its tax beside it."""
        index = _ORDER.index(self.field)
        return (_ORDER.index("price"), self.where, index) if self.field in PRICES else (index, self.where, 0)


def find_column(name: str, currencies: Mapping[str, str]) -> Column | None:
    """The column of that name, None when there is none. `currencies` by market: `price:DE` is `price:DE:EUR`.

    Raises ValueError when it names a language or market that cannot be.
    """
    field, *where = (part.strip() for part in name.strip().split(":"))
    field = field.lower().replace(" ", "_")
    if field == "sku" or field in PLAIN:
        return None if where else Column(field)
    if field in TEXTS and len(where) == 1:
        return Column(field, (_tag(where[0]),))
    if field in PRICES and len(where) in (1, 2):
        market, *currency = (part.upper() for part in where)
        if market not in currencies:
            raise ValueError(f"there is no market {market}")
        code = currency[0] if currency else currencies[market]
        if not re.fullmatch(r"[A-Z]{3}", code):
            raise ValueError(f"{code} is no currency")
        return Column(field, (market, code))
    return None


def value(column: Column, text: str, sign: DecimalSign | None) -> Any:
    """What a cell that is not empty says. Raises ValueError."""
    if column.field == "price":
        return minor_units(text, column.where[1], sign)
    return _VALUES[column.field](text)


def cells(product: Product) -> dict[Column, str]:
    """The product as the cells that read back as it. What is empty has no cell."""
    found: dict[Column, str] = {Column("sku"): product["sku"]}
    for field, key in TEXTS.items():
        for tag, text in product[key].items():
            found[Column(field, (tag,))] = _bullets_cell(text) if field == "bullets" else text
    for price in product["prices"]:
        where = (price["market"], price["price"]["currency"])
        found[Column("price", where)] = major_units(int(price["price"]["amount"]), where[1])
        if price["tax_included"] is not None:
            found[Column("tax_included", where)] = _bool_cell(price["tax_included"])
        if price["tax_rate_bps"] is not None:
            found[Column("tax_rate_bps", where)] = str(price["tax_rate_bps"])
    for field in ("category", "hs_code", "origin_country"):
        found[Column(field)] = product[field]
    found[Column("weight_grams")] = str(product["weight_grams"] or "")
    found[Column("flags")] = " ".join(sorted(product["flags"]))
    found[Column("claims_preference")] = "true" if product["claims_preference"] else ""
    for field in ("media", "attributes"):
        found[Column(field)] = (
            orjson.dumps(product[field], option=orjson.OPT_SORT_KEYS).decode() if product[field] else ""
        )
    return {column: text for column, text in found.items() if text != ""}


def lay_over(known: Product | None, row: Mapping[Column, Any], currencies: Mapping[str, str]) -> Product:
    """The product with what the row says. None in the row empties; what the row does not name stays.

    Raises ValueError when the row says the tax of a price that there is not.
    """
    product = deepcopy(known) if known else _empty(row[Column("sku")])
    prices = {(price["market"], price["price"]["currency"]): price for price in product["prices"]}
    for column, said in sorted(row.items(), key=lambda item: item[0].place):
        if column.field in TEXTS:
            _put(product[TEXTS[column.field]], column.where[0], said)
        elif column.field == "price":
            _price(prices, cast("tuple[str, str]", column.where), said, currencies)
        elif column.field in PRICES:
            if (price := prices.get(cast("tuple[str, str]", column.where))) is not None:
                price[column.field] = said
            elif said is not None:
                raise ValueError(f"{column.name} without a {Column('price', column.where).name}")
        else:
            product[column.field] = _EMPTY[column.field]() if said is None else said
    product["prices"] = [prices[place] for place in sorted(prices)]
    return product


def pointed_at(pointer: str, product: Product) -> Column | None:
    """The column of a JSON pointer into the product as it was sent; None when it points at no single one."""
    field, *rest = pointer.removeprefix("/").split("/")
    texts = {key: name for name, key in TEXTS.items()}
    if field in texts and rest:
        return Column(texts[field], (rest[0],))
    if field == "prices" and rest and rest[0].isdigit() and int(rest[0]) < len(product["prices"]):
        price = product["prices"][int(rest[0])]
        part = rest[1] if len(rest) > 1 and rest[1] in PRICES else "price"
        return Column(part, (price["market"], price["price"]["currency"]))
    return Column(field) if field == "sku" or field in PLAIN else None


def ordered(columns: Sequence[Column]) -> list[Column]:
    """As an export has them: the SKU, texts, goods, prices, and the rest."""
    return sorted(columns, key=lambda column: column.place)


def _empty(sku: str) -> Product:
    product: Product = {"sku": sku, "titles": {}, "descriptions": {}, "bullets": {}, "prices": []}
    return product | {field: make() for field, make in _EMPTY.items()}


def _put(texts: dict[str, Any], tag: str, said: Any) -> None:
    if said is None:
        texts.pop(tag, None)
    else:
        texts[tag] = said


def _price(
    prices: dict[tuple[str, str], dict[str, Any]],
    where: tuple[str, str],
    amount: int | None,
    currencies: Mapping[str, str],
) -> None:
    if amount is None:
        prices.pop(where, None)
        return
    market, currency = where
    fresh = {"market": market, "tax_included": None, "tax_rate_bps": None}
    # The column names its currency, so another than the market's is meant.
    prices[where] = prices.get(where, fresh) | {
        "price": {"amount": str(amount), "currency": currency},
        "foreign_currency": currency != currencies.get(market),
    }


def _tag(text: str) -> str:
    """As the catalog keeps it (BCP 47 section 2.1.1): `PT-br` is `pt-BR`."""
    match = _TAG.fullmatch(text)
    if match is None:
        raise ValueError(f"{text} is no language such as de, pt-BR or zh-Hant")
    language, script, region = match.groups()
    return "-".join(part for part in (language.lower(), (script or "").title(), (region or "").upper()) if part)


def _sku(text: str) -> str:
    sku = text.strip("\t\r\n\u00a0").lstrip()
    refuse_scientific(sku)
    if sku.endswith(" "):
        raise ValueError("it ends with a space, with which it would be another SKU: take the space off")
    if not _SKU.fullmatch(sku):
        raise ValueError("a SKU has 1 to 64 of A-Z a-z 0-9 . _ - / and space, and begins with a letter or digit")
    return sku


def _hs_code(text: str) -> str:
    refuse_scientific(text.strip())
    return re.sub(r"[.\s]", "", text)


def _country(text: str) -> str:
    code = text.strip().upper()
    if not re.fullmatch(r"[A-Z]{2}", code):
        raise ValueError("a country is its two letters of ISO 3166-1")
    return code


def _flags(text: str) -> list[str]:
    flags = sorted({flag for flag in re.split(r"[\s,;|]+", text.lower()) if flag})
    known = {str(flag) for flag in GoodsFlag}
    if unknown := [flag for flag in flags if flag not in known]:
        raise ValueError(f"no flag is called {unknown[0]}: {', '.join(sorted(known))}")
    return flags


def _bullets(text: str) -> list[str]:
    if text.startswith("["):
        return [str(line).strip() for line in _json(text, list)]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _bullets_cell(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    return text if not text.startswith("[") and _bullets(text) == list(lines) else orjson.dumps(list(lines)).decode()


def _media(text: str) -> list[Any]:
    pictures = _json(text, list)
    return [{"alt": {}, **picture} if isinstance(picture, dict) else picture for picture in pictures]


def _json(text: str, kind: type[Any]) -> Any:
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(read, kind):
        raise ValueError("JSON, but not a list" if kind is list else "JSON, but not an object")
    return read


def _bool_cell(said: bool) -> str:
    return "true" if said else "false"


_VALUES: Mapping[str, Callable[[str], Any]] = {
    "sku": _sku,
    "title": str.strip,
    "description": str,
    "bullets": _bullets,
    "category": str.strip,
    "hs_code": _hs_code,
    "origin_country": _country,
    "weight_grams": lambda text: whole_number(text, _MOST_GRAMS),
    "flags": _flags,
    "claims_preference": yes_or_no,
    "tax_included": yes_or_no,
    "tax_rate_bps": lambda text: whole_number(text, 10_000),
    "media": _media,
    "attributes": lambda text: _json(text, dict),
}
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "category": str,
    "hs_code": str,
    "origin_country": str,
    "weight_grams": int,
    "flags": list,
    "claims_preference": bool,
    "media": list,
    "attributes": dict,
}
