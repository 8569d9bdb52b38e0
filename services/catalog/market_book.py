"""The book of markets, put together once from what others keep: ISO 3166 (pycountry), CLDR (babel), European VAT rates, our two tables."""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import eu_vat_rates_data
import pycountry
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies

from services.catalog.domain.market import Market, MarketBook, TaxRate, TaxRegime

_HERE = Path(__file__).parent
_NO_CURRENCY = "USD"  # Antarctica has no currency of its own and must still be nameable


@cache
def market_book() -> MarketBook:
    """Every ISO country as a market, with what `markets.toml` and `tax_rates.toml` say of it. Raises ValueError for a table that errs."""
    stated = cast("dict[str, dict[str, Any]]", tomllib.loads((_HERE / "markets.toml").read_text("utf-8")))
    rates = _dated_rates(tomllib.loads((_HERE / "tax_rates.toml").read_text("utf-8"))["rate"])
    countries = {str(country.alpha_2): str(country.name) for country in pycountry.countries}
    if unknown := sorted({*stated, *rates} - countries.keys()):
        raise ValueError(f"no ISO 3166-1 country: {', '.join(unknown)}")
    return MarketBook({code: _market(code, countries[code], stated.get(code, {}), rates) for code in sorted(countries)})


def _market(country: str, name: str, stated: Mapping[str, Any], rates: Mapping[str, tuple[TaxRate, ...]]) -> Market:
    european = eu_vat_rates_data.get_rate(country)
    known = _european(european["standard"]) if european else rates.get(country, ())
    regime = TaxRegime.VAT if european else TaxRegime.UNKNOWN
    return Market(
        code=country,
        country=country,
        name=name,
        currency=stated.get("currency") or (european["currency"] if european else _currency(country)),
        languages=tuple(stated.get("languages", ())) or _languages(country),
        tax_regime=TaxRegime(stated.get("tax_regime", regime)),
        tax_name=stated.get("tax_name", european["vat_abbr"] if european else ""),
        shows_tax_included=stated.get("display", "included") == "included" and bool(known),
        rates=known,
    )


def _european(standard: float) -> tuple[TaxRate, ...]:
    # The package writes percentages as floats with one decimal (25.5): their shortest decimal form is exact.
    source = f"eu-vat-rates-data {eu_vat_rates_data.data_version} (European Commission TEDB; outside the EU: its maintainers)"
    return (TaxRate(bps=int(Decimal(str(standard)) * 100), source=source),)


def _dated_rates(rows: list[dict[str, Any]]) -> dict[str, tuple[TaxRate, ...]]:
    found: dict[str, list[TaxRate]] = {}
    for row in rows:
        rate = TaxRate(
            bps=row["bps"], source=row["source"], valid_from=row["valid_from"], valid_to=row.get("valid_to", date.max)
        )
        found.setdefault(row["country"], []).append(rate)
    for country, rates in found.items():
        rates.sort(key=lambda rate: rate.valid_from)
        if any(earlier.valid_to >= later.valid_from for earlier, later in pairwise(rates)):
            raise ValueError(f"two tax rates of {country} hold on one day")
    return {country: tuple(rates) for country, rates in found.items()}


def _currency(country: str) -> str:
    # CLDR lists a currency of the country's own last where a foreign one is legal tender beside it (BT: INR, BTN).
    currencies = get_territory_currencies(country)
    return currencies[-1] if currencies else _NO_CURRENCY


def _languages(country: str) -> tuple[str, ...]:
    found = get_official_languages(country, de_facto=True)
    return tuple(tag.replace("_", "-") for tag in found) or ("en",)
