"""What a line of an export is, and what it is worth."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from freeport.replay.countries import UNKNOWN, country_code
from freeport.replay.export import Row


class Kind(StrEnum):
    """Every line is exactly one of these."""

    SALE = "sale"
    CANCELLATION = "cancellation"
    NOT_MERCHANDISE = "not_merchandise"
    UNUSABLE = "unusable"


# Stock codes that are no goods. They are compared without regard to case: the file has both M and m.
NOT_MERCHANDISE: Mapping[str, str] = {
    "POST": "postage",
    "DOT": "postage of the web shop",
    "C2": "carriage",
    "C3": "carriage",
    "M": "manual entry",
    "D": "discount",
    "S": "samples",
    "B": "bad debt written off",
    "CRUK": "commission to a charity",
    "AMAZONFEE": "fee of a marketplace",
    "BANK CHARGES": "bank charges",
    "ADJUST": "adjustment",
    "ADJUST2": "adjustment",
}
_VOUCHER = re.compile(r"gift_\d{4}_\d+", re.IGNORECASE)

LARGEST_QUANTITY = 1_000_000  # of one line; above it the line is a mistake of the export
_INTEGER = re.compile(r"[+-]?\d{1,15}")
_DECIMAL = re.compile(r"[+-]?(\d{1,12}(\.\d{0,8})?|\.\d{1,8})")
_AMERICAN = "%m/%d/%Y %H:%M"  # how UCI's own spreadsheet writes dates when saved as CSV
_PENCE = Decimal(100)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that has been judged. `value_minor` is in pence; `why` says what makes it unusable or no merchandise.

    `country` is an ISO code, or `UNKNOWN` where the export names none.
    """

    number: int
    kind: Kind
    why: str
    invoice: str
    sku: str
    description: str
    quantity: int
    unit_price: Decimal
    value_minor: int
    customer: str
    country: str
    at: datetime | None

    @property
    def when(self) -> datetime:
        """The time of a sale or a cancellation; both have one, or they were unusable."""
        if self.at is None:
            raise ValueError(f"line {self.number} has no date")
        return self.at


def value_in_pence(quantity: int, unit_price: Decimal) -> int:
    """Quantity times price, rounded half up: away from zero, so that a cancellation mirrors its sale to the penny."""
    return int((quantity * unit_price * _PENCE).to_integral_value(ROUND_HALF_UP))


def judge(rows: Iterable[Row], own_countries: Mapping[str, str] | None = None) -> Iterator[Line]:
    """Each row as a line with its kind. The first reason that applies decides; see `_verdict` for their order."""
    for row in rows:
        country = country_code(row.country, own_countries)
        quantity, price = _whole_number(row.quantity), _price(row.price)
        kind, why = _verdict(row, quantity, price, country)
        yield Line(
            number=row.number,
            kind=kind,
            why=why,
            invoice=row.invoice,
            sku=row.sku,
            description=" ".join(row.description.split()),
            quantity=quantity or 0,
            unit_price=price or Decimal(0),
            # A line without a readable quantity or price has no value that could be accounted for.
            value_minor=value_in_pence(quantity, price) if quantity is not None and price is not None else 0,
            customer=row.customer.removesuffix(".0"),  # spreadsheets read numbers with gaps as decimals
            country=country or UNKNOWN,
            at=_moment(row.date),
        )


def select(lines: Iterable[Line], since: date | None, until: date | None, limit: int | None) -> Iterator[Line]:
    """The lines from the day `since` to the day `until`, both included, of the first `limit` invoices.

    A line whose date cannot be read belongs to no day; it stays in, so that the report names it.
    """
    invoices: set[str] = set()
    for line in lines:
        if line.at is not None and not _within(line.at.date(), since, until):
            continue
        if limit is not None and line.invoice not in invoices and len(invoices) >= limit:
            continue
        invoices.add(line.invoice)
        yield line


def is_cancellation(invoice: str) -> bool:
    return invoice[:1].upper() == "C"


def not_merchandise(sku: str) -> str | None:
    """What a stock code stands for when it stands for no goods."""
    return "gift voucher" if _VOUCHER.fullmatch(sku) else NOT_MERCHANDISE.get(sku.upper())


def _verdict(row: Row, quantity: int | None, price: Decimal | None, country: str | None) -> tuple[Kind, str]:
    why = _unreadable(row, quantity, price)
    if why or quantity is None or price is None:
        return Kind.UNUSABLE, why
    # Before the checks of goods: a refunded postage or a discount is negative, and that is in order.
    if what := not_merchandise(row.sku):
        return Kind.NOT_MERCHANDISE, what
    if why := _no_trade(row, quantity, price):
        return Kind.UNUSABLE, why
    if country is None:
        return Kind.UNUSABLE, f"'{row.country}' is not a country" if row.country else "it names no country"
    return (Kind.CANCELLATION, "") if is_cancellation(row.invoice) else (Kind.SALE, "")


def _unreadable(row: Row, quantity: int | None, price: Decimal | None) -> str:
    if row.ragged:
        return "it has more or fewer fields than the header"
    if not row.invoice or not row.sku:
        return "the invoice number is missing" if not row.invoice else "the stock code is missing"
    if quantity is None:
        return f"the quantity '{row.quantity}' is not a whole number" if row.quantity else "the quantity is missing"
    if price is None:
        return f"the price '{row.price}' is not a number" if row.price else "the price is missing"
    if _moment(row.date) is None:
        return f"the date '{row.date}' cannot be read" if row.date else "the date is missing"
    return ""


def _no_trade(row: Row, quantity: int, price: Decimal) -> str:
    if is_cancellation(row.invoice):
        if quantity >= 0:
            return "a cancellation must have a negative quantity"
    elif quantity <= 0:
        return (
            "the quantity is negative outside a cancellation (a stock write-off)" if quantity else "the quantity is 0"
        )
    if abs(quantity) > LARGEST_QUANTITY:
        return f"the quantity is above {LARGEST_QUANTITY:,}"
    if price <= 0:
        return "the price is negative" if price else "the price is 0 (a stock movement or a gift)"
    if not value_in_pence(quantity, price):
        return "it is worth less than half a penny"
    return ""


def _whole_number(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


def _price(text: str) -> Decimal | None:
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def _moment(text: str) -> datetime | None:
    """The export's clock has no zone; it is read as UTC, which is what British winter time is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.strptime(text, _AMERICAN).replace(tzinfo=UTC)
        except ValueError:
            return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _within(day: date, since: date | None, until: date | None) -> bool:
    return (since is None or day >= since) and (until is None or day <= until)
