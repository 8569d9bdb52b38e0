"""The kinds of condition that a rule may have: one small class each, named in the rule book by its `kind`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from services.logistics.domain.documents import DocumentType
from services.logistics.domain.goods import Goods
from services.logistics.domain.rules import Condition, Limit, Problem, Shipment
from shared.contracts.logistics import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class HsCode:
    """Every line is classified, with that many digits of the Harmonized System or its national extension."""

    kind: ClassVar[str] = "hs_code"
    digits: int

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        for goods in shipment.goods:
            code = goods.product.hs_code
            if not code:
                yield Problem("hs.missing", goods.sku, f"{goods.sku} has no HS code")
            elif len(code) < self.digits:
                message = f"{goods.sku} is classified as {code}, and {self.digits} digits are wanted"
                yield Problem("hs.too_short", goods.sku, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The country of origin of every line is known."""

    kind: ClassVar[str] = "origin"

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        for goods in shipment.goods:
            if not goods.product.origin_country:
                yield Problem("origin.missing", goods.sku, f"{goods.sku} has no country of origin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """The net weight of every line is known."""

    kind: ClassVar[str] = "weight"

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        for goods in shipment.goods:
            if goods.product.weight_grams <= 0:
                yield Problem("weight.missing", goods.sku, f"{goods.sku} has no weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredValue:
    """What any paper declares is what the goods were sold for, in the order's currency."""

    kind: ClassVar[str] = "declared_value"

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        if shipment.invoiced != shipment.value:
            message = f"the invoice's lines come to {shipment.invoiced}, and the order's goods are {shipment.value}"
            yield Problem("value.mismatch", "commercial_invoice", message)
        for document in shipment.documents:
            declared = document.declared_value
            # A paper of a SKU is about the goods, not about one order's price.
            if declared is not None and document.order_id and declared != shipment.value:
                message = f"the {_words(document.type)} declares {declared}, and the order's goods are {shipment.value}"
                yield Problem("value.mismatch", document.type.value, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperMade:
    """A paper that Freeport makes can be made: everything that it must say is known."""

    kind: ClassVar[str] = "paper_made"
    paper: str

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        nameless = [goods.sku for goods in shipment.goods if not goods.product.description]
        if nameless:
            message = f"the {_words(self.paper)} cannot name {', '.join(nameless)}: no title is known"
            yield Problem("document.missing", self.paper, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginProof:
    """Where preferential origin is claimed, its certificate is there."""

    kind: ClassVar[str] = "origin_proof"

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        for goods in shipment.goods:
            if goods.product.claims_preference and not _has(shipment, DocumentType.CERTIFICATE_OF_ORIGIN, goods):
                message = f"{goods.sku} claims preferential origin, and no certificate of origin is there"
                yield Problem("document.missing", f"{DocumentType.CERTIFICATE_OF_ORIGIN}:{goods.sku}", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """The recipient has given one of these identifiers."""

    kind: ClassVar[str] = "identifier"
    any_of: tuple[str, ...]

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        given = {name for document in shipment.documents for name, value in document.identifiers.items() if value}
        if given.isdisjoint(self.any_of):
            yield Problem(
                "identifier.missing", self.any_of[0], f"the recipient's {' or '.join(self.any_of).upper()} is wanted"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoGoodsOf:
    """No goods of these categories."""

    kind: ClassVar[str] = "no_goods_of"
    categories: tuple[str, ...]

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        for goods in shipment.goods:
            if _category(goods) in self.categories:
                where = shipment.destination.country
                yield Problem(
                    "goods.prohibited", goods.sku, f"{goods.sku} ({goods.product.category}) may not enter {where}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceFor:
    """Goods of these categories come with a licence."""

    kind: ClassVar[str] = "licence_for"
    categories: tuple[str, ...]

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        for goods in shipment.goods:
            if _category(goods) in self.categories and not _has(shipment, DocumentType.IMPORT_LICENCE, goods):
                where = shipment.destination.country
                message = f"{goods.sku} ({goods.product.category}) enters {where} only with a licence"
                yield Problem("goods.restricted", goods.sku, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carriable:
    """At least one mode of transport that goes there takes the goods."""

    kind: ClassVar[str] = "carriable"

    def problems(self, shipment: Shipment, limits: Sequence[Limit]) -> Iterator[Problem]:
        refusals = {mode: _refusals(shipment.goods, mode, limits) for mode in sorted(shipment.modes - {Mode.DOMESTIC})}
        if refusals and all(refusals.values()):
            subject = ",".join(sorted({goods.sku for goods in shipment.goods if goods.product.flags}))
            message = "; ".join(dict.fromkeys(why for found in refusals.values() for why in found))
            yield Problem("goods.restricted", subject, message)


CONDITIONS: Mapping[str, type[Condition]] = {
    each.kind: each
    for each in (
        HsCode, Origin, Weight, DeclaredValue, PaperMade, OriginProof, Identifier, NoGoodsOf, LicenceFor, Carriable,
    )
}  # fmt: skip
"""Every kind of condition by its name in the rule book."""


def _refusals(goods: Sequence[Goods], mode: Mode, limits: Sequence[Limit]) -> list[str]:
    return [why for limit in limits if limit.mode is mode and (why := limit.exceeded_by(goods))]


def _has(shipment: Shipment, wanted: DocumentType, goods: Goods) -> bool:
    """Whether the document is there, for the order as a whole or for these goods."""
    return any(document.type is wanted and document.sku in ("", goods.sku) for document in shipment.documents)


def _category(goods: Goods) -> str:
    """The outermost part of a category path: `tobacco/cigars` is tobacco."""
    return goods.product.category.partition("/")[0].strip().lower()


def _words(name: str) -> str:
    return name.replace("_", " ")
