"""Request and response bodies of catalog's API."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, core_schema

from services.catalog.domain.language import canonical_tag
from services.catalog.domain.market import Market, TaxRegime
from services.catalog.domain.pricing import EnteredPrice
from services.catalog.domain.product import Media, Outcome, ProductContent, ProductStatus
from services.catalog.usecases.publish_products import Submission
from shared.contracts.values import GoodsFlag
from shared.errors import Kind, Refusal
from shared.http import Body, Country, FieldError, LongText, Sku, Text, View, examples, in_real_currency
from shared.money import Money

# Far above any price, far below what a bigint holds once tax is added.
_PRICE_LIMIT = 10**15
_WEIGHT_LIMIT_GRAMS = 100_000_000
_INT8 = 2**63 - 1


def _tag(text: str) -> str:
    tag = canonical_tag(text)
    if tag is None:
        raise ValueError("not a BCP 47 tag of language, script and region, such as de, pt-BR or zh-Hant")
    return tag


def _price(price: Money) -> Money:
    if not 0 <= price.amount <= _PRICE_LIMIT:
        raise ValueError(f"a price is between 0 and {_PRICE_LIMIT} minor units")
    return price


Language = Annotated[str, AfterValidator(_tag)]
"""A BCP 47 tag; it is stored as the standard writes it."""

MarketCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$", examples=["DE"])]
"""A market's code: the country's."""

AttributeValue = StrictBool | Annotated[StrictInt, Field(ge=-_INT8, le=_INT8)] | Text


class PriceIn(Body):
    """A price in a market."""

    market: MarketCode
    price: Annotated[Money, AfterValidator(_price), AfterValidator(in_real_currency)]
    tax_included: bool | None = Field(None, description="Whether the tax is inside. Left out: as buyers there see it.")
    tax_rate_bps: int | None = Field(
        None, ge=0, le=10_000, description="The product's own rate where not the standard one."
    )
    foreign_currency: bool = Field(False, description="States that a currency other than the market's is meant.")

    def entered(self) -> EnteredPrice:
        return EnteredPrice(
            market=self.market,
            price=self.price,
            tax_included=self.tax_included,
            tax_rate_bps=self.tax_rate_bps,
            foreign_currency=self.foreign_currency,
        )


class MediaIn(Body):
    """A picture or film, by its address."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s\x00]+$", max_length=2000)]
    alt: dict[Language, Text] = Field({}, max_length=100)


class ProductIn(Body):
    """The whole product as it shall be: what is left out is empty afterwards."""

    model_config = examples(
        {
            "sku": "MUG-01",
            "titles": {"en": "Stoneware mug", "de": "Steinzeugbecher"},
            "category": "kitchen",
            "hs_code": "6912.00",
            "origin_country": "PT",
            "weight_grams": 350,
            "flags": ["fragile"],
            "prices": [
                {"market": "DE", "price": {"amount": "1299", "currency": "EUR"}},
                {"market": "US", "price": {"amount": "1399", "currency": "USD"}},
                {"market": "JP", "price": {"amount": "1980", "currency": "JPY"}},
            ],
        }
    )

    sku: Sku
    titles: dict[Language, Text] = Field(min_length=1, max_length=100)
    descriptions: dict[Language, LongText] = Field({}, max_length=100)
    bullets: dict[Language, Annotated[tuple[Text, ...], Field(max_length=20)]] = Field({}, max_length=100)
    media: tuple[MediaIn, ...] = Field((), max_length=50)
    category: Text | Annotated[str, Field(pattern="^$")] = ""
    hs_code: str = Field(
        "", max_length=30, description="6 to 12 digits; dots and spaces are dropped. Empty: not classified yet."
    )
    origin_country: Country | Annotated[str, Field(pattern="^$")] = ""
    weight_grams: int = Field(0, ge=0, le=_WEIGHT_LIMIT_GRAMS, description="0 while unknown.")
    flags: tuple[GoodsFlag, ...] = Field((), max_length=20)
    claims_preference: bool = Field(
        False, description="Preferential origin is claimed: a certificate of origin is owed."
    )
    prices: tuple[PriceIn, ...] = Field((), max_length=500)
    attributes: dict[Text, AttributeValue] = Field({}, max_length=100)

    def content(self) -> ProductContent:
        return ProductContent(
            titles=self.titles,
            descriptions=self.descriptions,
            bullets=self.bullets,
            media=tuple(Media(url=media.url, alt=media.alt) for media in self.media),
            category=self.category,
            hs_code=self.hs_code,
            origin_country=self.origin_country,
            weight_grams=self.weight_grams,
            flags=self.flags,
            claims_preference=self.claims_preference,
            prices=tuple(price.entered() for price in self.prices),
            attributes=self.attributes,
        )


class _OneByOne:
    """Reads an item as `ProductIn`, and keeps what is wrong with it as its own refusal: no item spoils its batch."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._read, handler.generate_schema(ProductIn))

    @staticmethod
    def _read(value: Any, read: ValidatorFunctionWrapHandler) -> Submission:
        try:
            item: ProductIn = read(value)
        except ValidationError as error:
            return Submission(_named(value), _unreadable(error))
        return Submission(item.sku, item.content())


def _named(value: Any) -> str:
    sku = value.get("sku") if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return sku if isinstance(sku, str) and len(sku) <= 64 and sku.isprintable() else ""


def _unreadable(error: ValidationError) -> Refusal:
    errors = [
        {"pointer": "/" + "/".join(str(part) for part in found["loc"]), "code": found["type"], "message": found["msg"]}
        for found in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    detail = "; ".join(f"{found['pointer']}: {found['message']}" for found in errors[:5])
    return Refusal(code="product.malformed", detail=detail, kind=Kind.INVALID, facts={"errors": errors})


class ProductBatchIn(Body):
    """Up to 500 products, each judged by itself."""

    products: list[Annotated[Submission, _OneByOne()]] = Field(min_length=1, max_length=500)


class ItemProblem(View):
    """Why one item was refused."""

    code: str
    detail: str
    clears_with: str | None = None
    errors: list[FieldError]


class ItemResult(View):
    """What became of one item."""

    index: int
    sku: str
    outcome: Outcome
    version: int | None
    problem: ItemProblem | None


class BatchOut(View):
    """One result an item, in the order of the request."""

    data: list[ItemResult]


class StatusOut(View):
    """Where the product stands."""

    sku: str
    status: ProductStatus
    version: int


class TaxOut(View):
    """The tax inside a price."""

    name: str
    rate_bps: int
    amount: Money


class PriceOut(View):
    """The price as a buyer in the market sees it. `tax` is null where none is inside."""

    market: str
    price: Money
    formatted: str
    tax_included: bool
    tax: TaxOut | None
    price_without_tax: Money


class EnteredPriceOut(View):
    """A price as the seller entered it."""

    market: str
    price: Money
    tax_included: bool | None
    tax_rate_bps: int | None
    foreign_currency: bool


class MediaOut(View):
    """A picture or film."""

    url: str
    alt: dict[str, str]


class ProductSummary(View):
    """A product in a list."""

    sku: str
    status: ProductStatus
    version: int
    category: str
    titles: dict[str, str]
    hs_code: str
    origin_country: str
    weight_grams: int
    updated_at: datetime


class ProductEntered(View):
    """A product as it was put, in every language: what `POST /v1/products:batch` takes back as it is."""

    sku: str
    titles: dict[str, str]
    descriptions: dict[str, str]
    bullets: dict[str, list[str]]
    media: list[MediaOut]
    category: str
    hs_code: str
    origin_country: str
    weight_grams: int
    flags: list[GoodsFlag]
    claims_preference: bool
    prices: list[EnteredPriceOut]
    attributes: dict[str, bool | int | str]


class ProductOut(View):
    """A product. `title`, `description` and `bullets` are in `language`; `price` is the asked market's, null without one."""

    sku: str
    status: ProductStatus
    version: int
    language: str
    title: str
    description: str
    bullets: list[str]
    price: PriceOut | None
    titles: dict[str, str]
    category: str
    hs_code: str
    origin_country: str
    weight_grams: int
    flags: list[GoodsFlag]
    claims_preference: bool
    media: list[MediaOut]
    attributes: dict[str, bool | int | str]
    prices: list[EnteredPriceOut]
    created_at: datetime
    updated_at: datetime


class MarketOut(View):
    """A market. `tax_rate_bps` is the standard rate today, null where there is no single one."""

    code: str
    country: str
    name: str
    currency: str
    languages: list[str]
    tax_regime: TaxRegime
    tax_name: str
    tax_rate_bps: int | None
    tax_rate_source: str | None
    shows_tax_included: bool

    @classmethod
    def of(cls, market: Market, at: datetime) -> "MarketOut":
        rate = market.rate_on(at.date())
        return cls(
            code=market.code,
            country=market.country,
            name=market.name,
            currency=market.currency,
            languages=list(market.languages),
            tax_regime=market.tax_regime,
            tax_name=market.tax_name,
            tax_rate_bps=rate.bps if rate else None,
            tax_rate_source=rate.source if rate else None,
            shows_tax_included=market.shows_tax_included,
        )


class MarketsOut(View):
    """Every market, by code."""

    data: list[MarketOut]
