"""Request and response bodies."""

from base64 import b64decode
from binascii import Error as Base64Error
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from services.logistics.domain.consignment import PapersStatus
from services.logistics.domain.documents import DocumentType
from services.logistics.domain.handover import State
from services.logistics.usecases.supply_document import SupplyDocument
from shared.contracts.logistics import Mode, TrackingStatus
from shared.contracts.values import Allocation, Destination, Incoterm, Reason, ServiceLevel
from shared.http import Body, Caller, Country, Sku, Text, View, examples
from shared.money import Money
from shared.postal import postal_area

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
MAX_FILE = 512 * 1024
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
OrderId = Annotated[str, Field(pattern=r"^ord_[0-9a-hjkmnp-tv-z]{26}$")]


class FileIn(Body):
    """A small file, at most 512 KiB."""

    name: Text
    media_type: Literal["application/pdf", "image/png", "image/jpeg"]
    content_base64: Annotated[str, Field(max_length=MAX_FILE * 4 // 3 + 4)]

    @field_validator("content_base64")
    @classmethod
    def _is_base64(cls, text: str) -> str:
        try:
            b64decode(text, validate=True)
        except Base64Error as error:
            raise ValueError("is not base64") from error
        return text


class DocumentIn(Body):
    """A paper or an identifier, for an order or for a SKU."""

    model_config = examples(
        {
            "type": "certificate_of_origin",
            "sku": "MUG-1",
            "number": "CO-2026-118",
            "issued_on": "2026-11-20",
        },
        {
            "type": "identifier",
            "order_id": "ord_01jc2v8k9q4t6x0m3n5p7r9s1v",
            "identifiers": {"cpf": "529.982.247-25"},
        },
    )

    type: DocumentType
    order_id: OrderId | None = None
    sku: Sku | None = None
    number: Text | None = None
    issued_on: date | None = None
    declared_value: Money | None = None
    identifiers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")], Text] = Field(
        default_factory=dict, max_length=10
    )
    file: FileIn | None = None

    @model_validator(mode="after")
    def _has_one_subject(self) -> "DocumentIn":
        if (self.order_id is None) == (self.sku is None):
            raise ValueError("a document is for an order_id or for a sku, exactly one of them")
        if self.identifiers and self.order_id is None:
            raise ValueError("identifiers are of an order's recipient")
        if self.type is DocumentType.IDENTIFIER and not self.identifiers:
            raise ValueError("an identifier document names its identifiers")
        return self

    def to_command(self, caller: Caller) -> SupplyDocument:
        return SupplyDocument(
            store_id=caller.store_id,
            type=self.type,
            order_id=self.order_id or "",
            sku=self.sku or "",
            number=self.number or "",
            issued_on=self.issued_on,
            declared_value=self.declared_value,
            identifiers=dict(self.identifiers),
            file_name=self.file.name if self.file else "",
            media_type=self.file.media_type if self.file else "",
            content=b64decode(self.file.content_base64) if self.file else b"",
        )


class PapersView(View):
    """The last word about an order's papers."""

    status: PapersStatus
    findings: list[Reason]


class DocumentOut(View):
    """A document as it was taken in, and what it did to its order's papers."""

    document_id: str
    type: DocumentType
    order_id: str | None
    sku: str | None
    supplied_at: AwareDatetime
    papers: PapersView | None = None


class QuoteLineIn(Body):
    sku: Sku
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class DestinationIn(Body):
    """Where the goods go. Of the postcode only its leading part is kept, the part that orders keeps, too."""

    country: Country
    region: Annotated[str, Field(max_length=10, pattern=r"^[A-Za-z0-9\-]*$")] = ""
    postcode: Annotated[str, Field(max_length=20, pattern=r"^[^\x00]*$")] = ""

    def to_destination(self) -> Destination:
        region = self.region.upper().removeprefix(f"{self.country}-")
        return Destination(country=self.country, region=region, postal_area=postal_area(self.country, self.postcode))


class QuoteIn(Body):
    """What is to be quoted. The quote is bound to the destination: give the region and postcode that the order will have."""

    model_config = examples(
        {
            "market": "DE",
            "destination": {"country": "DE", "postcode": "50667"},
            "lines": [{"sku": "MUG-1", "quantity": 2}],
            "service": "standard",
            "incoterm": "DAP",
            "currency": "EUR",
        }
    )

    market: Text
    destination: DestinationIn
    lines: Annotated[list[QuoteLineIn], Field(min_length=1, max_length=500)]
    service: ServiceLevel = ServiceLevel.STANDARD
    incoterm: Incoterm = Incoterm.DAP
    currency: Currency


class QuoteOption(View):
    """A service level that is possible."""

    service: ServiceLevel
    carrier: str
    carrier_service: str
    mode: Mode
    price: Money
    days: tuple[int, int]


class QuoteOut(View):
    """The quote. Hand `quote` to orders with the order, before `expires_at`."""

    quote: str
    quote_id: str
    shipping: Money
    duties: Money
    taxes: Money
    fees: Money
    incoterm: Incoterm
    service: ServiceLevel
    expires_at: AwareDatetime
    options: list[QuoteOption]
    notes: list[str]


class QuoteKey(BaseModel):
    """A public key as RFC 8037 writes it."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class QuoteKeys(BaseModel):
    """A JSON Web Key Set."""

    keys: list[QuoteKey]


class ParcelOut(View):
    """A parcel, its label and where it was seen last."""

    parcel_id: str
    warehouse: str
    country: str
    items: list[Allocation]
    gross_grams: int
    carrier: str
    service: str
    mode: Mode
    cost: Money
    label: str
    tracking_number: str
    status: TrackingStatus
    scanned_at: AwareDatetime | None


class ScanOut(View):
    """A scan as the carrier told it. `word` is the carrier's own."""

    tracking_number: str
    status: TrackingStatus
    word: str
    scanned_at: AwareDatetime
    country: str


class ReturnOut(View):
    """A parcel on its way back."""

    return_id: str
    warehouse: str
    state: str
    tracking_number: str
    status: TrackingStatus


class ShipmentSummary(View):
    """A line of the list."""

    order_id: str
    shipment_id: str
    number: str
    state: State
    destination: str
    papers: PapersStatus
    trouble: Reason | None
    placed_at: AwareDatetime
    changed_at: AwareDatetime
    booked_at: AwareDatetime | None
    dispatched_at: AwareDatetime | None
    delivered_at: AwareDatetime | None


class ShipmentOut(ShipmentSummary):
    """An order's shipment."""

    cost: Money | None
    parcels: list[ParcelOut]
    scans: list[ScanOut]
    returns: list[ReturnOut]


class SuppliedDocument(View):
    """A document that others supplied. Identifiers are named, never shown."""

    document_id: str
    type: DocumentType
    number: str
    issued_on: date | None
    declared_value: Money | None
    identifiers: list[str]
    file: str | None
    supplied_at: AwareDatetime


class CustomsOut(View):
    """An order's papers: what the rules say, by which rule book, and what was supplied."""

    order_id: str
    number: str
    destination: str
    status: PapersStatus
    findings: list[Reason]
    rulebook: str
    assessed_at: AwareDatetime
    documents: list[SuppliedDocument]


class PaperOut(View):
    """A paper that was made here; `data` is what it says, `url` its PDF."""

    document_id: str
    kind: str
    number: str
    frozen_at: AwareDatetime
    url: str
    data: dict[str, Any]


class PapersOut(View):
    """All papers of a shipment."""

    order_id: str
    papers: list[PaperOut]
    supplied: list[SuppliedDocument]


class BookingOut(View):
    """A booking that was begun again."""

    order_id: str
    state: State


class ErasureOut(View):
    """What was personal is gone."""

    order_id: str
    erased: bool


class WebhookOut(View):
    """How a webhook was taken: `noted`, `kept` for a parcel that is not known yet, `ignored`."""

    status: str


class WebhookScan(BaseModel):
    """The data of a `parcel.scanned` webhook."""

    model_config = ConfigDict(extra="ignore")

    tracking_number: str = Field(min_length=1, max_length=60)
    reference: str = Field(default="", max_length=80)
    code: str = Field(min_length=1, max_length=60)
    scanned_at: Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)]
    country: str = Field(default="", max_length=2)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("must not contain NUL characters")
        return value


class Webhook(BaseModel):
    """A webhook's envelope, as Standard Webhooks has it."""

    model_config = ConfigDict(extra="ignore")

    type: str
    data: dict[str, Any]
