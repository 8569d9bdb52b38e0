from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.domain.product import ProductStatus
from services.catalog.usecases.publish_products import PublishProducts, Submission, publish_products
from services.catalog.usecases.withdraw_product import WithdrawProduct, withdraw_product
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.contracts.values import GoodsFlag
from shared.errors import Kind, Refusal
from tests.builders.catalog import NOON, STORE, a_batch, a_catalog, a_content, a_moment, a_price, events_of, results_of


def test_a_new_product_is_told_in_full() -> None:
    catalog = a_catalog()
    content = a_content(flags=(GoodsFlag.FRAGILE,), origin_country="DE", claims_preference=True, category="kitchen")
    effects = publish_products(a_batch({"MUG": content}), catalog, a_moment())
    assert results_of(effects) == [{"index": 0, "sku": "MUG", "outcome": "created", "version": 1, "problem": None}]
    (event,) = events_of(effects)
    assert isinstance(event, ProductPublished)
    assert (event.sku, event.version, event.titles, event.category) == ("MUG", 1, {"en": "Mug"}, "kitchen")
    assert (event.hs_code, event.origin_country, event.weight_grams) == ("691200", "DE", 350)
    assert (event.flags, event.claims_preference) == ((GoodsFlag.FRAGILE,), True)
    assert event.prices[0].tax_rate_bps == 1900


def test_the_same_content_again_tells_nobody() -> None:
    catalog = a_catalog()
    publish_products(a_batch({"MUG": a_content()}), catalog, a_moment())
    again = publish_products(a_batch({"MUG": a_content()}), catalog, a_moment(NOON + timedelta(days=1)))
    assert results_of(again)[0]["outcome"] == "unchanged"
    assert events_of(again) == []
    assert catalog.products["MUG"].updated_at == NOON


def test_another_order_of_flags_and_prices_is_no_change() -> None:
    prices, flags = (a_price("DE"), a_price("FR")), (GoodsFlag.LIQUID, GoodsFlag.FRAGILE)
    catalog = a_catalog()
    publish_products(a_batch({"MUG": a_content(prices=prices, flags=flags)}), catalog, a_moment())
    turned = a_content(
        prices=(a_price("FR", foreign_currency=True), a_price("DE")), flags=(*flags[::-1], GoodsFlag.LIQUID)
    )
    assert results_of(publish_products(a_batch({"MUG": turned}), catalog, a_moment()))[0]["outcome"] == "unchanged"


@pytest.mark.parametrize(
    "changed",
    [
        {"titles": {"en": "Cup"}},
        {"descriptions": {"en": "Holds tea."}},
        {"hs_code": "691110"},
        {"weight_grams": 351},
        {"prices": ()},
        {"attributes": {"colour": "blue"}},
    ],
)
def test_a_real_change_counts_the_version_up_and_is_told_once(changed: dict[str, Any]) -> None:
    catalog = a_catalog()
    publish_products(a_batch({"MUG": a_content()}), catalog, a_moment())
    effects = publish_products(a_batch({"MUG": a_content(**changed)}), catalog, a_moment())
    assert results_of(effects)[0]["outcome"] == "updated"
    assert [event.version for event in events_of(effects)] == [2]


def test_a_new_tax_rate_is_a_change_of_what_buyers_see() -> None:
    catalog, content = a_catalog(), a_content(prices=(a_price("SG", 1000, "SGD", tax_included=False),))
    publish_products(a_batch({"MUG": content}), catalog, a_moment(datetime(2023, 12, 31, tzinfo=UTC)))
    effects = publish_products(a_batch({"MUG": content}), catalog, a_moment(datetime(2024, 1, 1, tzinfo=UTC)))
    (event,) = events_of(effects)
    assert (event.version, event.prices[0].price.amount, event.prices[0].tax_rate_bps) == (2, 1090, 900)


def test_one_refused_item_keeps_no_other_back() -> None:
    catalog = a_catalog()
    items = {
        "A": a_content(),
        "B": a_content(hs_code="770000"),
        "C": Refusal(code="product.malformed", detail="?", kind=Kind.INVALID),
    }
    effects = publish_products(a_batch(items), catalog, a_moment())
    assert [result["outcome"] for result in results_of(effects)] == ["created", "refused", "refused"]
    assert results_of(effects)[1]["problem"]["code"] == "hs_code.no_such_chapter"
    assert results_of(effects)[1]["problem"]["errors"][0]["pointer"] == "/hs_code"
    assert list(catalog.products) == ["A"]


def test_the_later_of_two_items_for_one_sku_wins() -> None:
    catalog = a_catalog()
    batch = PublishProducts(STORE, [Submission("A", a_content()), Submission("A", a_content(weight_grams=9))])
    effects = publish_products(batch, catalog, a_moment())
    assert [result["outcome"] for result in results_of(effects)] == ["created", "updated"]
    assert catalog.products["A"].content.weight_grams == 9
    assert [product.sku for product in catalog.added()] == ["A"]
    assert catalog.changed() == []


def test_a_sku_of_another_store_is_taken() -> None:
    catalog = a_catalog()
    publish_products(a_batch({"A": a_content()}), catalog, a_moment())
    effects = publish_products(a_batch({"A": a_content(weight_grams=1)}, "str_other"), catalog, a_moment())
    assert results_of(effects)[0]["problem"]["code"] == "product.sku_taken"
    assert catalog.products["A"].content.weight_grams == 350


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"titles": {}}, "product.untitled"),
        ({"origin_country": "ZZ"}, "product.unknown_origin"),
        ({"claims_preference": True}, "product.preference_without_origin"),
        ({"prices": (a_price("DE", 1, "USD"),)}, "price.currency_mismatch"),
        ({"hs_code": "12"}, "hs_code.malformed"),
    ],
)
def test_every_rule_refuses_with_a_code_and_changes_nothing(content: dict[str, Any], code: str) -> None:
    catalog = a_catalog()
    effects = publish_products(a_batch({"A": a_content(**content)}), catalog, a_moment())
    assert results_of(effects)[0]["problem"]["code"] == code
    assert (events_of(effects), catalog.products) == ([], {})


def test_a_withdrawn_product_tells_it_once_and_can_come_back() -> None:
    catalog = a_catalog()
    publish_products(a_batch({"A": a_content()}), catalog, a_moment())
    withdrawn = withdraw_product(WithdrawProduct(STORE, "A"), catalog, a_moment())
    assert not isinstance(withdrawn, Refusal)
    assert events_of(withdrawn) == [ProductWithdrawn(sku="A", version=2)]
    again = withdraw_product(WithdrawProduct(STORE, "A"), catalog, a_moment())
    assert not isinstance(again, Refusal)
    assert events_of(again) == []
    back = publish_products(a_batch({"A": a_content()}), catalog, a_moment())
    assert results_of(back)[0] == {"index": 0, "sku": "A", "outcome": "updated", "version": 3, "problem": None}
    assert catalog.products["A"].status is ProductStatus.PUBLISHED


def test_what_is_not_there_or_not_yours_cannot_be_withdrawn() -> None:
    catalog = a_catalog()
    publish_products(a_batch({"A": a_content()}), catalog, a_moment())
    for store, sku in ((STORE, "B"), ("str_other", "A")):
        refusal = withdraw_product(WithdrawProduct(store, sku), catalog, a_moment())
        assert isinstance(refusal, Refusal)
        assert refusal.kind is Kind.NOT_FOUND


@given(st.lists(st.tuples(st.sampled_from(["publish", "withdraw"]), st.integers(0, 2)), max_size=12))
def test_versions_count_real_changes_without_gaps(steps: list[tuple[str, int]]) -> None:
    catalog = a_catalog()
    versions: list[int] = []
    for verb, weight in steps:
        if verb == "publish":
            decision = publish_products(a_batch({"A": a_content(weight_grams=weight)}), catalog, a_moment())
        else:
            decision = withdraw_product(WithdrawProduct(STORE, "A"), catalog, a_moment())
        if not isinstance(decision, Refusal):
            versions += [event.version for event in events_of(decision)]
    assert versions == list(range(1, len(versions) + 1))
