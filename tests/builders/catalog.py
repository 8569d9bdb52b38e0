"""Products, markets and batches for catalog's tests; each says only what matters."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from services.catalog.domain.catalog import Catalog
from services.catalog.domain.market import Market, MarketBook, TaxRate, TaxRegime
from services.catalog.domain.pricing import EnteredPrice
from services.catalog.domain.product import ProductContent
from services.catalog.usecases.publish_products import PublishProducts, Submission
from shared.effects import Effects, Moment, Reply
from shared.ids import new_id
from shared.money import Money

STORE = "str_demo"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = NOON.date()


def a_market(code: str, currency: str, bps: int | None = None, **other: Any) -> Market:
    rates = () if bps is None else (TaxRate(bps=bps, source="test"),)
    given: dict[str, Any] = {
        "code": code, "country": code, "name": code, "currency": currency, "languages": ("en",), "tax_regime": TaxRegime.VAT,
        "tax_name": "VAT", "shows_tax_included": bps is not None, "rates": rates, **other,
    }  # fmt: skip
    return Market(**given)


MARKETS = MarketBook(
    {
        "BR": a_market("BR", "BRL", tax_regime=TaxRegime.SEVERAL),
        "DE": a_market("DE", "EUR", 1900, languages=("de",)),
        "FR": a_market("FR", "EUR", 2000, languages=("fr",)),
        "JP": a_market("JP", "JPY", 1000, languages=("ja",)),
        "SG": a_market(
            "SG", "SGD", 0,
            rates=(
                TaxRate(bps=800, source="test", valid_to=date(2023, 12, 31)),
                TaxRate(bps=900, source="test", valid_from=date(2024, 1, 1)),
            ),
        ),
        "US": a_market("US", "USD", tax_regime=TaxRegime.SALES_TAX),
    }
)  # fmt: skip


def a_moment(at: datetime = NOON, store_id: str = STORE) -> Moment:
    return Moment(decided_at=at, occurred_at=at, message_id=new_id("cmd"), store_id=store_id)


def a_price(market: str = "DE", amount: int = 1299, currency: str = "EUR", **other: Any) -> EnteredPrice:
    return EnteredPrice(market=market, price=Money(amount, currency), **other)


def a_content(**other: Any) -> ProductContent:
    given: dict[str, Any] = {
        "titles": {"en": "Mug"},
        "prices": (a_price(),),
        "hs_code": "691200",
        "weight_grams": 350,
        **other,
    }
    return ProductContent(**given)


def a_catalog() -> Catalog:
    return Catalog(MARKETS)


def a_batch(items: Mapping[str, Any], store_id: str = STORE) -> PublishProducts:
    return PublishProducts(store_id, [Submission(sku, content) for sku, content in items.items()])


def results_of(effects: Effects) -> list[dict[str, Any]]:
    """The per-item results in the answer."""
    return next(effect for effect in effects if isinstance(effect, Reply)).body["data"]


def events_of(effects: Effects) -> list[Any]:
    return [effect for effect in effects if not isinstance(effect, Reply)]
