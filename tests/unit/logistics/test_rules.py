"""The rule book: every rule on both sides of its dates, what it wants, and what the loader refuses."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.logistics.books import rulebook, rulebook_data
from services.logistics.domain.bookkeeping import RulebookError, read_rulebook
from services.logistics.domain.conditions import CONDITIONS, NoGoodsOf
from services.logistics.domain.documents import Document, DocumentType, current, well_formed
from services.logistics.domain.goods import Goods, Product
from services.logistics.domain.rules import (
    EVERYWHERE,
    Clock,
    Clocks,
    Confidence,
    Limit,
    Outcome,
    Rule,
    Shipment,
    assess,
    customs_territory,
)
from shared.contracts.logistics import Mode
from shared.contracts.values import Destination, GoodsFlag
from shared.money import Money
from tests.builders.logistics import NOON, STORE, a_product

BOOK = rulebook()
TODAY = Clocks(NOON.date(), NOON.date())
VALUE = Money(2598, "EUR")
CPF = "529.982.247-25"


def a_shipment(*products: Product, country: str = "DE", **changes: Any) -> Shipment:
    goods = tuple(Goods(product=product, quantity=2) for product in products or (a_product(),))
    known = Shipment(destination=Destination(country=country), goods=goods, value=VALUE, invoiced=VALUE)
    return replace(known, **changes)


def a_document(type_: DocumentType = DocumentType.CERTIFICATE_OF_ORIGIN, **changes: Any) -> Document:
    known = Document(document_id="doc_1", store_id=STORE, type=type_, order_id="ord_1", supplied_at=NOON)
    return replace(known, **changes)


def codes(shipment: Shipment, at: Clocks = TODAY) -> list[str]:
    return sorted(finding.reason.code for finding in assess(shipment, at, BOOK))


# ── Every rule of the book ────────────────────────────────────────────────────────────────────────────────────────────


def violation(rule: Rule) -> Shipment:
    """A shipment that does all that this rule forbids and lacks all that it wants."""
    country = {"EU": "DE", EVERYWHERE: "ZA"}.get(rule.jurisdiction, rule.jurisdiction)
    condition: Any = rule.condition
    bad = Product(sku="BAD", claims_preference=True, flags=(GoodsFlag.AEROSOL,))
    if isinstance(condition, NoGoodsOf) or condition.kind == "licence_for":
        bad = a_product("BAD", category=condition.categories[0])
    unequal = a_document(declared_value=Money(1, "EUR"))
    return a_shipment(
        bad,
        country=country,
        documents=(unequal,) if condition.kind == "declared_value" else (),
        modes=frozenset({Mode.POST}),
    )


def clocks(rule: Rule, day: date) -> Clocks:
    """The rule's own clock shows that day; the other stands far away, so that reading the wrong one is seen."""
    elsewhere = date(1990, 1, 1)
    return Clocks(day, elsewhere) if rule.applies_on is Clock.ORDER else Clocks(elsewhere, day)


def broken(rule: Rule, day: date) -> bool:
    alone = replace(BOOK, _by_jurisdiction={rule.jurisdiction: (rule,)})
    found = assess(violation(rule), clocks(rule, day), alone)
    return any(finding.reason.rule == rule.id for finding in found)


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_a_rule_begins_on_its_first_day_and_not_before(rule: Rule) -> None:
    # The transport limits have dates of their own; the rule about them is only as old as they are.
    first = max(rule.valid_from, date(2000, 1, 1))
    assert not broken(rule, rule.valid_from - timedelta(days=1))
    assert broken(rule, first)


@pytest.mark.parametrize("rule", [rule for rule in BOOK.rules if rule.valid_to], ids=lambda rule: rule.id)
def test_a_rule_ends_with_its_last_day(rule: Rule) -> None:
    assert rule.valid_to is not None
    assert broken(rule, rule.valid_to)
    assert not broken(rule, rule.valid_to + timedelta(days=1))


@pytest.mark.parametrize("rule", BOOK.rules, ids=lambda rule: rule.id)
def test_a_finding_says_by_which_rule_and_source_and_what_would_clear_it(rule: Rule) -> None:
    assert len(rule.source) > 10
    alone = replace(BOOK, _by_jurisdiction={rule.jurisdiction: (rule,)})
    (finding, *_) = assess(violation(rule), clocks(rule, max(rule.valid_from, date(2000, 1, 1))), alone)
    assert finding.outcome is rule.outcome
    assert (finding.reason.rule, finding.reason.source) == (rule.id, rule.source)
    assert bool(finding.reason.clears_with) == (rule.outcome is Outcome.HOLD)
    assert finding.reason.message


@pytest.mark.parametrize("country", ["DE", "GB", "US", "JP", "BR", "AU", "CH"])
def test_complete_goods_go_everywhere(country: str) -> None:
    documents = (a_document(DocumentType.IDENTIFIER, identifiers={"cpf": CPF}),)
    assert codes(a_shipment(country=country, documents=documents)) == []


@pytest.mark.parametrize("country", ["DE", "GB", "US", "JP", "BR", "AU"])
def test_what_is_missing_is_found_for_every_country(country: str) -> None:
    missing = ["document.missing", "document.missing", "hs.missing", "origin.missing", "weight.missing"]
    wanted = sorted([*missing, "identifier.missing"]) if country == "BR" else missing
    assert codes(a_shipment(Product(sku="BARE", version=1), country=country)) == wanted


# ── Single rules ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_six_digits_pass_the_post_and_fail_us_entry_from_24_july_2026() -> None:
    """91 FR 37789 and 37801."""
    six = a_shipment(a_product(hs_code="691200"), country="US")
    before, after = date(2026, 7, 23), date(2026, 7, 24)
    assert codes(six, Clocks(before, before)) == []
    assert codes(six, Clocks(before, after)) == ["hs.too_short"]
    assert codes(a_shipment(country="US"), Clocks(after, after)) == []


def test_the_us_rule_goes_by_the_day_of_entry_not_of_the_order() -> None:
    six = a_shipment(a_product(hs_code="691200"), country="US")
    assert codes(six, Clocks(date(2026, 7, 24), date(2026, 7, 23))) == []


def test_six_digits_are_enough_for_the_eu() -> None:
    assert codes(a_shipment(a_product(hs_code="691200"))) == []
    assert codes(a_shipment(a_product(hs_code="6912"))) == ["hs.too_short"]


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        ({}, ["identifier.missing"]),
        ({"cpf": CPF}, []),
        ({"passport": "X123"}, []),
        ({"ssn": "1"}, ["identifier.missing"]),
    ],
)
def test_brazil_wants_the_recipients_tax_id(identifiers: dict[str, str], expected: list[str]) -> None:
    """UPU International Bureau circular 161 of 7 October 2019."""
    documents = (a_document(DocumentType.IDENTIFIER, identifiers=identifiers),)
    assert codes(a_shipment(country="BR", documents=documents)) == expected


def test_claimed_preference_needs_its_certificate() -> None:
    claimed = a_product(claims_preference=True)
    assert codes(a_shipment(claimed)) == ["document.missing"]
    for_order, for_sku = a_document(), a_document(order_id="", sku="MUG-1")
    assert codes(a_shipment(claimed, documents=(for_order,))) == []
    assert codes(a_shipment(claimed, documents=(for_sku,))) == []
    assert codes(a_shipment(claimed, documents=(a_document(order_id="", sku="OTHER"),))) == ["document.missing"]
    assert codes(a_shipment(claimed, documents=(a_document(DocumentType.OTHER),))) == ["document.missing"]


@pytest.mark.parametrize("declared", [Money(2597, "EUR"), Money(2598, "USD"), Money(1299, "EUR")])
def test_a_paper_that_declares_another_value_holds(declared: Money) -> None:
    """The unit's value in place of the line's, another currency, a penny less: each is a mismatch."""
    assert codes(a_shipment(documents=(a_document(declared_value=declared),))) == ["value.mismatch"]
    assert codes(a_shipment(documents=(a_document(declared_value=VALUE),))) == []


def test_an_invoice_whose_lines_do_not_add_up_holds() -> None:
    assert codes(a_shipment(invoiced=Money(2599, "EUR"))) == ["value.mismatch"]


def test_a_corrected_paper_replaces_the_wrong_one() -> None:
    wrong = a_document(declared_value=Money(1, "EUR"))
    right = replace(wrong, document_id="doc_2", declared_value=VALUE, supplied_at=NOON + timedelta(seconds=1))
    assert current((right, wrong)) == (right,)
    assert len(current((wrong, a_document(DocumentType.OTHER, document_id="doc_3")))) == 2


def test_vapes_are_prohibited_where_they_are() -> None:
    vape = a_product(category="vapes")
    assert {code: codes(a_shipment(vape, country=code)) for code in ("AU", "GB", "JP")} == {
        "AU": ["goods.prohibited"],
        "GB": [],
        "JP": [],
    }


def test_a_licence_clears_restricted_goods() -> None:
    cigars = a_product(category="tobacco/cigars")
    assert codes(a_shipment(cigars, country="AU")) == ["goods.restricted"]
    assert codes(a_shipment(cigars, country="AU", documents=(a_document(DocumentType.IMPORT_LICENCE),))) == []


def test_goods_that_no_mode_takes_are_restricted() -> None:
    spray = a_product(flags=(GoodsFlag.AEROSOL,))
    assert codes(a_shipment(spray)) == []  # a line takes them
    assert codes(a_shipment(spray, modes=frozenset({Mode.POST, Mode.EXPRESS}))) == ["goods.restricted"]
    assert codes(a_shipment(a_product(flags=(GoodsFlag.AEROSOL,), weight_grams=20_000))) == ["goods.restricted"]


def test_what_crosses_no_border_needs_no_papers() -> None:
    assert assess(a_shipment(goods=()), TODAY, BOOK) == ()


def test_two_rules_that_miss_the_same_thing_find_it_once_and_the_lands_own_rule_tells() -> None:
    findings = assess(a_shipment(a_product(hs_code="")), TODAY, BOOK)
    assert [finding.reason.rule for finding in findings] == ["eu.hs6"]


def test_the_same_shipment_has_the_same_findings_byte_for_byte() -> None:
    shipment = a_shipment(Product(sku="B"), Product(sku="A"), country="BR")
    assert repr(assess(shipment, TODAY, BOOK)) == repr(assess(shipment, TODAY, read_rulebook(rulebook_data())))


def test_the_27_member_states_are_one_territory() -> None:
    assert {customs_territory(country) for country in ("DE", "FR", "IE", "HR")} == {"EU"}
    assert [customs_territory(country) for country in ("GB", "CH", "NO")] == ["GB", "CH", "NO"]


def test_days_are_utcs() -> None:
    late = datetime.fromisoformat("2026-07-24T01:00:00+02:00")
    assert Clocks.of(late, late.astimezone(UTC)) == Clocks(date(2026, 7, 23), date(2026, 7, 23))


# ── Limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_limit(**changes: Any) -> Limit:
    known = Limit(
        id="post.battery", mode=Mode.POST, flag=GoodsFlag.BATTERY, valid_from=date(2013, 1, 1), valid_to=None,
        source="UPU", confidence=Confidence.SECONDARY, max_units=2,
    )  # fmt: skip
    return replace(known, **changes)


@pytest.mark.parametrize(("units", "too_many"), [(1, False), (2, False), (3, True)])
def test_a_limit_counts_units(units: int, too_many: bool) -> None:
    goods = [
        Goods(product=a_product(flags=(GoodsFlag.BATTERY,)), quantity=units),
        Goods(product=a_product(), quantity=99),
    ]
    assert bool(a_limit().exceeded_by(goods)) is too_many


def test_a_limit_weighs_all_lines_together() -> None:
    limit = a_limit(flag=GoodsFlag.LIQUID, max_units=None, max_grams=1000)
    half = Goods(product=a_product(flags=(GoodsFlag.LIQUID,), weight_grams=500), quantity=1)
    assert not limit.exceeded_by([half, half])
    assert limit.exceeded_by([half, half, replace(half, product=a_product(flags=(GoodsFlag.LIQUID,), weight_grams=1))])


def test_a_limit_has_its_dates() -> None:
    limit = a_limit(valid_to=date(2013, 12, 31))
    days = [date(2012, 12, 31), date(2013, 1, 1), date(2013, 12, 31), date(2014, 1, 1)]
    assert [limit.in_force(day) for day in days] == [False, True, True, False]


# ── Identifiers ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "number", "right"),
    [
        ("cpf", "529.982.247-25", True), ("cpf", "52998224725", True), ("cpf", "529.982.247-26", False),
        ("cpf", "111.111.111-11", False), ("cpf", "529982247", False), ("cnpj", "11.222.333/0001-81", True),
        ("cnpj", "11.222.333/0001-82", False), ("cnpj", "12.ABC.345/01DE-35", True), ("passport", "whatever", True),
    ],
)  # fmt: skip
def test_check_digits_are_checked(kind: str, number: str, right: bool) -> None:
    assert well_formed(kind, number) is right


# ── The loader ────────────────────────────────────────────────────────────────────────────────────────────────────────


def a_file(**rule: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "id": "xx.hs", "kind": "hs_code", "digits": 6, "valid_from": date(2020, 1, 1), "applies_on": "entry",
        "source": "somewhere", "confidence": "general", "outcome": "hold", "clears_with": "a code",
    }  # fmt: skip
    return {"jurisdiction": "EU", "rule": [{key: value for key, value in (known | rule).items() if value is not None}]}


@pytest.mark.parametrize(
    "mistake",
    [
        {"digits": None}, {"digits": "six"}, {"digits": True}, {"kind": "wishes"}, {"source": ""}, {"source": None},
        {"valid_from": "2020-01-01"}, {"valid_from": datetime(2020, 1, 1, tzinfo=UTC)}, {"valid_to": date(2019, 12, 31)},
        {"applies_on": "whenever"}, {"outcome": "maybe"}, {"confidence": "sure"}, {"note": "what is this"}, {"id": None},
 {"kind": "no_goods_of", "digits": None, "categories": []},
        {"kind": "no_goods_of", "digits": None, "categories": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_a_rule_that_nobody_understands_is_refused(mistake: dict[str, Any]) -> None:
    assert read_rulebook({"eu.toml": a_file()}).rules
    with pytest.raises(RulebookError, match=r"eu\.toml"):
        read_rulebook({"eu.toml": a_file(**mistake)})


def test_an_id_is_one_rules_only() -> None:
    with pytest.raises(RulebookError, match="twice"):
        read_rulebook({"eu.toml": a_file(), "fr.toml": a_file() | {"jurisdiction": "FR"}})


def test_nobody_supersedes_a_rule_that_is_not_there() -> None:
    with pytest.raises(RulebookError, match="supersedes"):
        read_rulebook({"eu.toml": a_file(supersedes="nobody")})


def test_a_successor_begins_after_its_predecessor() -> None:
    old, new = a_file()["rule"][0], a_file(id="xx.hs10", supersedes="xx.hs", valid_from=date(2026, 1, 1))["rule"][0]
    with pytest.raises(RulebookError, match="must end before"):
        read_rulebook({"eu.toml": {"jurisdiction": "EU", "rule": [old, new]}})
    ended = old | {"valid_to": date(2025, 12, 31)}
    assert len(read_rulebook({"eu.toml": {"jurisdiction": "EU", "rule": [ended, new]}}).rules) == 2


def test_the_version_follows_from_the_content() -> None:
    first, same = read_rulebook({"eu.toml": a_file()}), read_rulebook({"eu.toml": a_file()})
    other = read_rulebook({"eu.toml": a_file(digits=8)})
    assert first.version == same.version != other.version


def test_every_kind_of_condition_is_used_by_the_book() -> None:
    assert {rule.condition.__class__ for rule in BOOK.rules} == set(CONDITIONS.values())
