"""Papers that others supply, and the identifiers they carry."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from shared.money import Money


class DocumentType(StrEnum):
    """What kind of paper it is."""

    CERTIFICATE_OF_ORIGIN = "certificate_of_origin"
    IMPORT_LICENCE = "import_licence"
    SAFETY_DATA_SHEET = "safety_data_sheet"
    COMMERCIAL_INVOICE = "commercial_invoice"  # the seller's own, where it differs from the one that is made here
    CUSTOMS_DECLARATION = "customs_declaration"
    IDENTIFIER = "identifier"  # no paper, only a number: the buyer's tax id
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A paper for one order, or for every order of the store with a SKU. The newest of its type and subject counts."""

    document_id: str
    store_id: str
    type: DocumentType
    order_id: str = ""
    sku: str = ""
    number: str = ""
    issued_on: date | None = None
    declared_value: Money | None = None
    identifiers: Mapping[str, str] = field(default_factory=dict[str, str])  # personal data: erased with the recipient
    supplied_at: datetime


def current(documents: tuple[Document, ...]) -> tuple[Document, ...]:
    """The documents without those that a newer one of the same type and subject has replaced."""
    newest: dict[tuple[str, ...], Document] = {}
    for document in sorted(documents, key=lambda each: (each.supplied_at, each.document_id)):
        # A tax id that is supplied twice is corrected; a second one of another kind is another.
        kinds = tuple(sorted(document.identifiers)) if document.type is DocumentType.IDENTIFIER else ()
        newest[document.type, document.order_id, document.sku, *kinds] = document
    return tuple(newest.values())


def well_formed(kind: str, value: str) -> bool:
    """Whether an identifier of that kind can exist: its digits and its check digits. Kinds without a check pass."""
    check = _CHECKS.get(kind)
    return check is None or check(re.sub(r"[.\-/\s]", "", value))


def _cpf(digits: str) -> bool:
    """CPF of a person in Brazil: eleven digits, the last two check them (modulo 11); eleven equal digits are not issued."""
    if not re.fullmatch(r"[0-9]{11}", digits) or len(set(digits)) == 1:
        return False
    return digits[9:] == _modulo_11(digits[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2))


def _cnpj(digits: str) -> bool:
    """CNPJ of a company in Brazil: twelve characters (letters too since July 2026), then two check digits (modulo 11)."""
    if not re.fullmatch(r"[0-9A-Z]{12}[0-9]{2}", digits) or len(set(digits)) == 1:
        return False
    return digits[12:] == _modulo_11(digits[:12], (5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))


def _modulo_11(body: str, weights: tuple[int, ...]) -> str:
    """Two check digits, the second over the body and the first with one weight more in front."""
    first = _check_digit(body, weights)
    longer = (weights[0] + 1, *weights)
    return f"{first}{_check_digit(f'{body}{first}', longer)}"


def _check_digit(body: str, weights: tuple[int, ...]) -> int:
    total = sum((ord(character) - ord("0")) * weight for character, weight in zip(body, weights, strict=True))
    remainder = total % 11
    return 0 if remainder < 2 else 11 - remainder


_CHECKS: dict[str, Callable[[str], bool]] = {"cpf": _cpf, "cnpj": _cnpj}
