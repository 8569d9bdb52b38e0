"""Which service takes a parcel, for how much, and why the others do not; and what a quote says."""

from dataclasses import replace
from typing import Any

import pytest

from services.logistics.books import carrier_book, read_carriers, rulebook
from services.logistics.domain.carriers import Choice, Load, NoneFits, Zone, choose_service
from services.logistics.domain.goods import Goods, Product
from services.logistics.usecases.quote_freight import FreightRequest, quote_freight
from shared.contracts.logistics import Mode, TrackingStatus
from shared.contracts.values import Destination, GoodsFlag, ServiceLevel
from shared.errors import Refusal
from shared.money import Money
from tests.builders.logistics import NOON, a_product

BOOK = carrier_book()
WORTH = Money(2598, "EUR")
LIMITS = rulebook().limits_on(NOON.date())


def a_load(
    *, grams: int = 700, origin: str = "CN", destination: str = "DE", level: ServiceLevel = ServiceLevel.STANDARD,
    value: Money = WORTH, flags: tuple[GoodsFlag, ...] = (), units: int = 1,
) -> Load:  # fmt: skip
    goods = (Goods(product=a_product(weight_grams=grams // units, flags=flags), quantity=units),)
    return Load(goods=goods, gross_grams=grams, origin=origin, destination=destination, level=level, value=value)


def chosen(load: Load) -> str:
    answer = choose_service(load, BOOK, LIMITS)
    assert isinstance(answer, Choice), answer
    return answer.offer.id


def refusals(load: Load) -> dict[str, str]:
    answer = choose_service(load, BOOK, LIMITS)
    return {reason.subject: reason.code for reason in answer.refused}


@pytest.mark.parametrize(
    ("load", "service"),
    [
        (a_load(), "post-tracked"),
        (a_load(level=ServiceLevel.ECONOMY), "post-small"),
        (a_load(level=ServiceLevel.EXPRESS), "express-world"),
        (a_load(origin="DE"), "home-parcel"),
        (a_load(origin="DE", level=ServiceLevel.EXPRESS), "home-parcel"),
        (a_load(origin="FR"), "post-tracked"),
        (a_load(origin=""), "post-tracked"),
        (a_load(grams=40_000), "line-cargo"),
        (a_load(grams=40_000, destination="BR"), "express-world"),
        (a_load(value=Money(60_001, "EUR")), "line-cargo"),
        (a_load(value=Money(11_000_000, "JPY")), "line-cargo"),
        (a_load(flags=(GoodsFlag.BATTERY,), units=2), "post-tracked"),
        (a_load(flags=(GoodsFlag.BATTERY,), units=3), "line-cargo"),
        (a_load(flags=(GoodsFlag.LIQUID,), grams=1001), "line-cargo"),
        (a_load(flags=(GoodsFlag.AEROSOL,)), "line-cargo"),
    ],
)
def test_mode_and_carrier_follow_from_the_parcel(load: Load, service: str) -> None:
    assert chosen(load) == service


def test_every_candidate_that_is_not_taken_says_why() -> None:
    assert refusals(a_load(flags=(GoodsFlag.AEROSOL,), level=ServiceLevel.STANDARD)) == {
        "home-parcel": "service.lane",
        "post-small": "service.slow",
        "post-tracked": "service.goods",
        "express-world": "service.goods",
    }
    assert refusals(a_load(level=ServiceLevel.ECONOMY))["post-tracked"] == "service.dearer"


def test_nothing_fits_is_an_answer_with_all_the_reasons() -> None:
    answer = choose_service(a_load(flags=(GoodsFlag.AEROSOL,), destination="BR"), BOOK, LIMITS)
    assert isinstance(answer, NoneFits)
    assert {reason.subject for reason in answer.refused} == {offer.id for offer in BOOK.offers}


def test_a_value_in_a_currency_without_a_rate_is_not_taken_for_small() -> None:
    assert chosen(a_load(value=Money(1, "XAU"))) == "line-cargo"


@pytest.mark.parametrize(
    ("grams", "price"), [(1, 100), (1000, 100), (1001, 200), (2000, 200), (2001, 250), (3000, 250), (3001, 300)]
)
def test_a_tariff_rises_by_steps_and_then_by_the_kilogram_begun(grams: int, price: int) -> None:
    zone = Zone(countries=frozenset(), steps=((1000, 100), (2000, 200)), per_kg=50, days=(1, 2))
    assert zone.price(grams) == price
    assert replace(zone, per_kg=None).price(2001) is None


def test_planning_rates_respect_the_minor_units_of_both_currencies() -> None:
    """Yen have none, Kuwaiti dinars three."""
    assert BOOK.convert(Money(1000, "EUR"), "JPY") == Money(1760, "JPY")
    assert BOOK.convert(Money(1760, "JPY"), "EUR") == Money(1000, "EUR")
    assert BOOK.convert(Money(1000, "EUR"), "KWD") == Money(3530, "KWD")
    assert BOOK.convert(Money(1, "EUR"), "XAU") is None


def test_packaging_is_weighed_too() -> None:
    assert BOOK.gross([Goods(product=a_product(), quantity=2)]) == 760


def test_the_carriers_words_are_mapped_once_and_others_are_unknown() -> None:
    assert BOOK.status("freepost", "picked_up") is TrackingStatus.PICKED_UP
    assert BOOK.status("freepost", "teleported") is TrackingStatus.UNKNOWN
    assert BOOK.status("another", "picked_up") is TrackingStatus.UNKNOWN


def test_only_modes_that_go_there_count() -> None:
    assert BOOK.modes_to("BR") == {Mode.POST, Mode.EXPRESS}
    assert BOOK.modes_to("US") == {Mode.POST, Mode.EXPRESS, Mode.LINE}


def a_tariff(**changes: Any) -> dict[str, Any]:
    service = {
        "id": "s", "mode": "post", "level": "economy", "max_grams": 1,
        "zone": [{"countries": ["*"], "steps": [[1, 1], [2, 2]], "days": [1, 2]}],
    } | changes  # fmt: skip
    return {"carrier": "c", "currency": "EUR", "packaging_grams": 1, "tracking": {}, "service": [service]}


def test_a_tariff_that_makes_no_sense_is_refused() -> None:
    assert read_carriers([a_tariff()], {"EUR": "1"}).offers
    falling = {"countries": ["*"], "steps": [[2, 2], [1, 1]], "days": [1, 2]}
    for wrong in ([a_tariff(zone=[falling])], [a_tariff(), a_tariff()], [a_tariff(mode="balloon")]):
        with pytest.raises(ValueError, match=r"ascend|id of its own|balloon"):
            read_carriers(wrong, {"EUR": "1"})


# ── Quotes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quoted(*products: Product, **changes: Any) -> Any:
    known = {product.sku: product for product in products or (a_product(),)}
    request = FreightRequest(
        destination=Destination(country="DE"),
        lines=(("MUG-1", 2),),
        service=ServiceLevel.STANDARD,
        currency="EUR",
        origin="CN",
    )
    return quote_freight(replace(request, **changes), known, rulebook(), BOOK, NOON.date())


def test_a_quote_gives_the_wanted_level_first_and_then_the_others() -> None:
    options = quoted()
    assert [(each.level, each.price) for each in options] == [
        (ServiceLevel.STANDARD, Money(990, "EUR")),
        (ServiceLevel.ECONOMY, Money(890, "EUR")),
        (ServiceLevel.EXPRESS, Money(3490, "EUR")),
    ]


def test_a_quote_is_in_the_buyers_currency() -> None:
    assert quoted(currency="JPY", destination=Destination(country="JP"))[0].price == Money(2622, "JPY")


@pytest.mark.parametrize(
    ("products", "changes", "code"),
    [
        ((a_product("OTHER"),), {}, "quote.unknown_product"),
        ((a_product(withdrawn=True),), {}, "quote.unknown_product"),
        ((a_product(weight_grams=0),), {}, "weight.missing"),
        ((a_product(),), {"currency": "XAU"}, "quote.currency"),
        ((a_product(flags=(GoodsFlag.AEROSOL,)),), {"destination": Destination(country="BR")}, "quote.no_service"),
    ],
)
def test_what_cannot_be_quoted_is_refused_with_a_reason(products: Any, changes: Any, code: str) -> None:
    refusal = quoted(*products, **changes)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert refusal.clears_with
