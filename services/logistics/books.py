"""The rule book and the carriers' tariffs, read from the data beside this file once a process."""

import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, cast

from services.logistics.domain.bookkeeping import read_rulebook
from services.logistics.domain.carriers import CarrierBook, Offer, Zone
from services.logistics.domain.rules import Rulebook
from shared.contracts.logistics import Mode, TrackingStatus
from shared.contracts.values import ServiceLevel

_HERE = Path(__file__).parent
_ELSEWHERE = "*"


@cache
def rulebook() -> Rulebook:
    """The rules of `rulebook/*.toml`. Raises RulebookError when they contradict themselves."""
    return read_rulebook(rulebook_data())


def rulebook_data() -> dict[str, dict[str, Any]]:
    """The rule book's files as data, by name."""
    return {path.name: _toml(path) for path in sorted((_HERE / "rulebook").glob("*.toml"))}


def kept_rulebook(content: Mapping[str, Any]) -> Rulebook:
    """A rule book as the database keeps it, where days are text: what it decided it decides again."""
    return read_rulebook({name: _with_days(file) for name, file in content.items()})


@cache
def carrier_book() -> CarrierBook:
    """The services of `carriers/*.toml` and the rates of `carriers/rates.toml`."""
    files = {path.name: _toml(path) for path in sorted((_HERE / "carriers").glob("*.toml"))}
    rates = files.pop("rates.toml")["rates"]
    return read_carriers(files.values(), rates)


def read_carriers(files: Any, rates: Mapping[str, str]) -> CarrierBook:
    """The carriers out of parsed TOML. Raises KeyError or ValueError for what is missing or wrong."""
    offers: list[Offer] = []
    tracking: dict[str, dict[str, TrackingStatus]] = {}
    packaging = 0
    for content in files:
        carrier, currency = content["carrier"], content["currency"]
        offers.extend(_offer(service, carrier, currency) for service in content["service"])
        tracking[carrier] = {word: TrackingStatus(status) for word, status in content["tracking"].items()}
        packaging = max(packaging, content["packaging_grams"])
    # Offers are compared by price, and parcels of one shipment are added up.
    if len({offer.currency for offer in offers}) != 1 or len({offer.id for offer in offers}) != len(offers):
        raise ValueError("all tariffs are in one currency, and every service has an id of its own")
    exact = {currency: Decimal(rate) for currency, rate in rates.items()}
    return CarrierBook(offers=tuple(offers), rates=exact, packaging_grams=packaging, tracking=tracking)


def _offer(service: Mapping[str, Any], carrier: str, currency: str) -> Offer:
    return Offer(
        id=service["id"],
        carrier=carrier,
        mode=Mode(service["mode"]),
        level=ServiceLevel(service["level"]),
        currency=currency,
        zones=tuple(_zone(zone) for zone in service["zone"]),
        max_grams=service["max_grams"],
        max_value=service.get("max_value"),
    )


def _zone(zone: Mapping[str, Any]) -> Zone:
    steps = tuple((grams, price) for grams, price in zone["steps"])
    if list(steps) != sorted(steps) or not steps:
        raise ValueError("a tariff's steps ascend")
    countries = frozenset(zone["countries"])
    return Zone(
        countries=frozenset() if _ELSEWHERE in countries else countries,
        steps=steps,
        per_kg=zone.get("per_kg"),
        days=(zone["days"][0], zone["days"][1]),
    )


def _with_days(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _with_days(each, name) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_with_days(each) for each in cast("list[Any]", value)]
    return date.fromisoformat(value) if key in ("valid_from", "valid_to") else value


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
