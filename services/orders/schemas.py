"""Request and response bodies of the orders API."""

from datetime import datetime
from enum import StrEnum
from functools import cache
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import pycountry
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from services.orders.domain.axes import FULFILMENT_STATUSES, PAYMENT_STATUSES
from services.orders.domain.holds import WAIT
from services.orders.domain.pricing import MOST, Wish
from services.orders.domain.recipient import Address, Client, Recipient, destination_of, signals_of
from services.orders.domain.standing import STOREFRONT, PaymentTerms, Status
from services.orders.usecases.cancel_order import CancelOrder
from services.orders.usecases.decide_stock import DecideStock, GiveUp, Wait
from services.orders.usecases.import_orders import ImportedOrder, ImportOrders, Outcome
from services.orders.usecases.place_order import PlaceOrder
from shared.contracts.values import Destination, Incoterm, PaymentMethod, PaymentMode, ServiceLevel
from shared.http import Body, Country, Instant, Sku, Text, View, examples, in_real_currency
from shared.money import Money
from shared.quote import MAX_TOKEN, QuoteClaims

MAX_LINES = 200
MAX_IMPORT = 500
MAX_IMPORT_LINES = 2000  # wholesale invoices run over hundreds of lines; the event of this many still fits into Kafka


def _known_country(code: str) -> str:
    if code not in _countries():
        raise ValueError("not a country of ISO 3166-1")
    return code


@cache
def _countries() -> frozenset[str]:
    return frozenset(country.alpha_2 for country in pycountry.countries)


def _price(price: Money) -> Money:
    if not 0 <= price.amount <= MOST:
        raise ValueError(f"an amount is between 0 and {MOST} minor units")
    return price


def _address(text: str) -> str:
    if text:
        ip_address(text)  # raises ValueError, which is what pydantic wants
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL characters")
    return text


def _line(limit: int) -> Any:
    return StringConstraints(max_length=limit, strip_whitespace=True)


Maybe = Annotated[str, _line(200), AfterValidator(_no_nul)]
"""One line of text that may be empty."""

IsoCountry = Annotated[Country, AfterValidator(_known_country)]
Market = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
"""A market's code: the country's."""

Amount = Annotated[Money, AfterValidator(_price), AfterValidator(in_real_currency)]
Quantity = Annotated[int, Field(ge=1, le=1_000_000)]
Token = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]*$", max_length=255)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A reason as a code: it is published, so it is no place for free text."""

Ip = Annotated[str, StringConstraints(max_length=45), AfterValidator(_address)]
Channel = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_\-]{0,39}$")]


# ── Requests ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class LineIn(Body):
    """So many units of a SKU."""

    sku: Sku
    quantity: Quantity


class AddressIn(Body):
    """A postal address. `region` best as its ISO 3166-2 code (`CA` or `US-CA`)."""

    line1: Text
    line2: Maybe = ""
    city: Text
    region: Maybe = ""
    postcode: Annotated[str, _line(20), AfterValidator(_no_nul)] = ""
    country: IsoCountry

    def to_address(self) -> Address:
        return Address(**self.model_dump())


class RecipientIn(Body):
    """Who gets the parcel. Stays in this service."""

    name: Text
    email: Annotated[str, StringConstraints(pattern=r"^[^\s@\x00]+@[^\s@\x00]+$", max_length=254)]
    phone: Annotated[str, StringConstraints(pattern=r"^[0-9+()\-./ ]*$", max_length=40)] = ""
    address: AddressIn

    def to_recipient(self, customer_id: str) -> Recipient:
        return Recipient(
            name=self.name,
            email=self.email,
            phone=self.phone,
            address=self.address.to_address(),
            customer_id=customer_id,
        )


class PaymentIn(Body):
    """How the buyer pays: the provider's token, never a card number. The fingerprint is the provider's, too."""

    method: Literal[
        PaymentMethod.CARD, PaymentMethod.WALLET, PaymentMethod.BANK_TRANSFER, PaymentMethod.CASH_ON_DELIVERY
    ]
    token: Token = ""
    card_fingerprint: Token = ""

    @model_validator(mode="after")
    def _card_needs_token(self) -> "PaymentIn":
        _require_token(self.method, self.token)
        return self

    def to_terms(self) -> PaymentTerms:
        return PaymentTerms(
            mode=PaymentMode.COLLECT, method=self.method, token=self.token, card_fingerprint=self.card_fingerprint
        )


def _require_token(method: PaymentMethod, token: str) -> None:
    if method in (PaymentMethod.CARD, PaymentMethod.WALLET) and not token:
        raise ValueError(f"a payment by {method} needs the provider's token")


class ClientIn(Body):
    """From where the order was sent."""

    device_id: Maybe = ""
    ip: Ip = ""


class OrderIn(Body):
    """An order of a storefront. Prices come from the catalog; shipping, duties and taxes from the quote."""

    market: Market
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="Where the market has prices in several currencies. Left out: the market's own."
    )
    lines: list[LineIn] = Field(min_length=1, max_length=MAX_LINES)
    recipient: RecipientIn
    customer_id: Maybe = ""
    payment: PaymentIn
    quote: Annotated[str, StringConstraints(max_length=MAX_TOKEN)] | None = Field(
        None, description="The token of a quote for exactly this order."
    )
    incoterm: Incoterm | None = Field(None, description="Left out: the quote's, or DAP.")
    service: ServiceLevel | None = Field(None, description="Left out: the quote's, or standard.")
    expected_total: Amount | None = Field(None, description="What the buyer was shown; another total is a 409.")
    client: ClientIn = ClientIn()

    model_config = examples(
        {
            "market": "DE",
            "lines": [{"sku": "MUG-BLUE", "quantity": 2}],
            "recipient": {
                "name": "Erika Mustermann",
                "email": "erika@example.com",
                "phone": "+49 30 901820",
                "address": {"line1": "Heidestraße 17", "city": "Berlin", "postcode": "10557", "country": "DE"},
            },
            "payment": {"method": "card", "token": "tok_ok", "card_fingerprint": "fp_1"},
            "expected_total": {"amount": "2598", "currency": "EUR"},
        }
    )

    def to_command(self, store_id: str, quote: QuoteClaims | None, key: bytes) -> PlaceOrder:
        """The command; `quote` is the verified token, `key` that of the hashes."""
        recipient = self.recipient.to_recipient(self.customer_id)
        client = Client(device_id=self.client.device_id, ip=self.client.ip)
        return PlaceOrder(
            store_id=store_id,
            market=self.market,
            wishes=tuple(Wish(line.sku, line.quantity) for line in self.lines),
            recipient=recipient,
            terms=self.payment.to_terms(),
            signals=signals_of(recipient, client, self.payment.card_fingerprint, key),
            currency=self.currency or (self.expected_total.currency if self.expected_total else ""),
            incoterm=self.incoterm,
            service=self.service,
            quote=quote,
            expected_total=self.expected_total,
        )


class ImportLineIn(Body):
    """Units as the channel sold them, at its price."""

    sku: Sku
    quantity: Quantity
    unit_price: Amount


class DestinationIn(Body):
    """Where the goods go, where that is all that the channel tells. `postcode` is cut to its area."""

    country: IsoCountry
    region: Maybe = ""
    postcode: Annotated[str, _line(20), AfterValidator(_no_nul)] = ""

    def to_destination(self) -> Destination:
        return destination_of(self.country, self.region, self.postcode)


class ImportAddressIn(Body):
    """As much of an address as the channel tells."""

    line1: Maybe = ""
    line2: Maybe = ""
    city: Maybe = ""
    region: Maybe = ""
    postcode: Annotated[str, _line(20), AfterValidator(_no_nul)] = ""
    country: IsoCountry


class ImportRecipientIn(Body):
    """As much of the buyer as the channel tells."""

    name: Maybe = ""
    email: Annotated[str, _line(254), AfterValidator(_no_nul)] = ""
    phone: Annotated[str, _line(40), AfterValidator(_no_nul)] = ""
    address: ImportAddressIn | None = None


class ImportedOrderIn(Body):
    """An order that a channel has sold. Its own prices rule; its SKUs must be known. Needs a destination or an address."""

    market: Market
    channel: Channel
    external_id: Text
    placed_at: Instant
    lines: list[ImportLineIn] = Field(min_length=1, max_length=MAX_IMPORT_LINES)
    shipping: Amount | None = None
    destination: DestinationIn | None = None
    recipient: ImportRecipientIn = ImportRecipientIn()
    customer_id: Maybe = ""
    payment: PaymentMode = Field(description="Who takes the money: the channel has it, or we collect it.")
    payment_method: PaymentMethod = PaymentMethod.CARD
    payment_token: Token = ""
    card_fingerprint: Token = ""
    presale: bool = Field(False, description="The channel asks before it promises: the order may be refused.")
    incoterm: Incoterm = Incoterm.DAP
    service: ServiceLevel = ServiceLevel.STANDARD

    @model_validator(mode="after")
    def _is_whole(self) -> "ImportedOrderIn":
        if self.destination is None and self.recipient.address is None:
            raise ValueError("needs a destination, or a recipient with an address")
        if self.channel == STOREFRONT:
            raise ValueError(f"the channel {STOREFRONT} is our own; its orders are placed, not imported")
        if self.payment is PaymentMode.COLLECTED_BY_CHANNEL:
            return self
        if self.payment_method is PaymentMethod.CHANNEL:
            raise ValueError("what is to be collected needs a payment method of ours")
        _require_token(self.payment_method, self.payment_token)
        return self

    def to_imported(self, key: bytes) -> ImportedOrder:
        """The order; `key` is that of the hashes."""
        address = Address(**self.recipient.address.model_dump()) if self.recipient.address else Address()
        recipient = Recipient(
            name=self.recipient.name,
            email=self.recipient.email,
            phone=self.recipient.phone,
            address=address,
            customer_id=self.customer_id,
        )
        return ImportedOrder(
            market=self.market,
            channel=self.channel,
            external_id=self.external_id,
            placed_at=self.placed_at,
            wishes=tuple(Wish(line.sku, line.quantity, line.unit_price) for line in self.lines),
            destination=self.destination.to_destination() if self.destination else recipient.destination,
            recipient=recipient,
            terms=self._terms(),
            signals=signals_of(recipient, Client(), self.card_fingerprint, key),
            shipping=self.shipping,
            presale=self.presale,
            incoterm=self.incoterm,
            service=self.service,
        )

    def _terms(self) -> PaymentTerms:
        if self.payment is PaymentMode.COLLECTED_BY_CHANNEL:
            return PaymentTerms(mode=self.payment, method=PaymentMethod.CHANNEL)
        return PaymentTerms(
            mode=self.payment,
            method=self.payment_method,
            token=self.payment_token,
            card_fingerprint=self.card_fingerprint,
        )


class ImportIn(Body):
    """Up to 500 orders at once."""

    orders: list[ImportedOrderIn] = Field(min_length=1, max_length=MAX_IMPORT)

    model_config = examples(
        {
            "orders": [
                {
                    "market": "GB",
                    "channel": "bazaar",
                    "external_id": "302-1234567-1234567",
                    "placed_at": "2026-11-24T08:00:00Z",
                    "lines": [{"sku": "MUG-BLUE", "quantity": 1, "unit_price": {"amount": "1299", "currency": "GBP"}}],
                    "destination": {"country": "GB", "postcode": "SW1A 1AA"},
                    "payment": "collected_by_channel",
                }
            ]
        }
    )

    def to_command(self, store_id: str, key: bytes) -> ImportOrders:
        """The command; `key` is that of the hashes."""
        return ImportOrders(store_id=store_id, orders=tuple(order.to_imported(key) for order in self.orders))

    @property
    def market(self) -> str:
        """The one market of all orders, or nothing where they are of several."""
        markets = {order.market for order in self.orders}
        return markets.pop() if len(markets) == 1 else ""


class CancellationIn(Body):
    """Why, as a code, and on whose wish."""

    reason: Code
    requested_by: Literal["buyer", "seller", "channel"]

    model_config = examples({"reason": "changed_mind", "requested_by": "buyer"})

    def to_command(self, store_id: str, order_id: str) -> CancelOrder:
        return CancelOrder(store_id=store_id, order_id=order_id, reason=self.reason, requested_by=self.requested_by)


class StockDecisionIn(Body):
    """`wait` for stock until a time, after which a person is told, or `cancel` with a reason as a code."""

    decision: Literal["wait", "cancel"]
    until: Instant | None = None
    reason: Code | None = None

    model_config = examples({"decision": "wait", "until": "2026-12-01T12:00:00Z"})

    @model_validator(mode="after")
    def _only_what_belongs_to_it(self) -> "StockDecisionIn":
        waits = self.decision == WAIT
        if (self.until is not None) != waits or (self.reason is not None) == waits:
            raise ValueError("`wait` needs `until`, `cancel` needs `reason`, and neither takes the other's")
        return self

    def to_command(self, store_id: str, order_id: str) -> DecideStock:
        """The decision."""
        decision = Wait(until=self.until) if self.until is not None else GiveUp(reason=self.reason or "")
        return DecideStock(store_id=store_id, order_id=order_id, decision=decision)


class RecipientsIn(Body):
    """Which orders' recipients."""

    order_ids: list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]] = Field(
        min_length=1, max_length=500
    )


# ── Responses ─────────────────────────────────────────────────────────────────────────────────────────────────────────

PaymentStatus = StrEnum("PaymentStatus", list(PAYMENT_STATUSES))
FulfilmentStatus = StrEnum("FulfilmentStatus", list(FULFILMENT_STATUSES))


class HoldCode(StrEnum):
    """What may keep an order from going on."""

    RISK_REVIEW = "risk_review"
    CUSTOMS_PAPERS = "customs_papers"
    PAYMENT_ACTION = "payment_action"
    STOCK = "stock"
    NEEDS_ATTENTION = "needs_attention"


class ReasonOut(View):
    """Why. `clears_with` says what would clear it, `rule` and `source` where it comes from."""

    code: str
    message: str
    clears_with: str = ""
    rule: str = ""
    source: str = ""
    subject: str = ""


class HoldOut(View):
    """Something keeps the order from going on, and what would clear it.

    `choices` are what the seller may decide of it (`POST …/stock-decision`), `wait_until` until when it was let wait.
    """

    code: HoldCode
    reasons: list[ReasonOut]
    since: datetime
    clears_with: list[str]
    choices: list[Literal["wait", "cancel"]] = Field(default_factory=list[Literal["wait", "cancel"]])
    wait_until: datetime | None = None


class LineOut(View):
    """A line as sold."""

    line: int
    sku: str
    quantity: int
    unit_price: Money
    total: Money


class TotalsOut(View):
    """The parts add up to the total. Included tax is inside `goods`."""

    goods: Money
    shipping: Money
    duties: Money
    taxes: Money
    fees: Money
    total: Money


class DestinationOut(View):
    """Where the goods go, as the other services know it."""

    country: str
    region: str
    postal_area: str


class AddressOut(View):
    """The address as it was given."""

    line1: str
    line2: str
    city: str
    region: str
    postcode: str
    country: str


class RecipientOut(View):
    """Who gets the parcel."""

    name: str
    email: str
    phone: str
    address: AddressOut


class PaymentOut(View):
    """How it is paid. `action_url` is where the buyer must confirm, while they must; `doubt` is why a person must look."""

    mode: PaymentMode
    method: PaymentMethod
    action_url: str | None
    doubt: ReasonOut | None = None


class SilenceOut(View):
    """Who was asked again about what, and until when the order waits; no `until` once a person was told."""

    matter: Literal["agreement", "payment", "card", "reservation", "cancellation"]
    whom: list[str]
    until: datetime | None


class CancellationOut(View):
    """A cancellation that was asked for, and the answer."""

    status: Literal["asked", "granted", "refused"]
    reason: str
    requested_by: str
    refusal: ReasonOut | None


class OrderOut(View):
    """An order on its three axes, with what holds it."""

    id: str
    number: str
    status: Status
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    holds: list[HoldOut]
    reasons: list[ReasonOut] = Field(description="Why it was rejected.")
    cancellation: CancellationOut | None
    silence: SilenceOut | None = None
    market: str
    channel: str
    external_id: str | None
    customer_id: str | None
    placed_at: datetime
    created_at: datetime
    updated_at: datetime
    version: int
    lines: list[LineOut]
    totals: TotalsOut
    channel_fee: Money | None = Field(
        default=None,
        description="What the channel keeps of the total, as far as it said so; the buyer is not charged it.",
    )
    destination: DestinationOut
    recipient: RecipientOut | None
    payment: PaymentOut
    incoterm: Incoterm
    service: ServiceLevel
    quote_id: str | None


class ImportResultOut(View):
    """What became of one order of an import. `code` and `detail` where it was refused."""

    channel: str
    external_id: str
    result: Outcome
    id: str | None = None
    number: str | None = None
    code: str | None = None
    detail: str | None = None
    problems: list[dict[str, str]] | None = None


class ImportOut(View):
    """The results, in the order of the request."""

    data: list[ImportResultOut]


class HappeningOut(View):
    """One event. `cause` is the id of the event, command, deadline or call that led to it."""

    id: str
    type: str
    service: str
    at: datetime
    summary: str
    cause: str | None
    data: dict[str, Any]


class TimelineOut(View):
    """Everything that happened to an order, causes before effects."""

    order_id: str
    data: list[HappeningOut]


class OrderRecipientOut(RecipientOut):
    """The recipient of an order."""

    order_id: str


class RecipientsOut(View):
    """The recipients that are known; `missing` are the orders that are not."""

    data: list[OrderRecipientOut]
    missing: list[str]
