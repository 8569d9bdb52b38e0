"""Orders, products and desks for logistics' tests: they mention only what matters."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.logistics.books import carrier_book, rulebook
from services.logistics.domain.desk import Desk
from services.logistics.domain.goods import Product
from services.logistics.domain.papers import Seller
from services.logistics.domain.parcels import Scan
from shared.contracts.catalog import MarketPrice, ProductPublished
from shared.contracts.logistics import TrackingStatus
from shared.contracts.orders import OrderConfirmed, OrderPlaced
from shared.contracts.values import (
    Allocation,
    Destination,
    Incoterm,
    OrderLine,
    OrderTotals,
    PaymentMethod,
    PaymentMode,
    ServiceLevel,
)
from shared.effects import Answered, Call, Effect, Moment
from shared.ids import derive_id
from shared.money import Money

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
STORE = "str_demo"
ORDER = derive_id("ord", "ord_01jc2v8k9q4t6x0m3n5p7r9s1v", "1")
SELLER = Seller(name="Freeport Goods", line1="1 Harbour Rd", city="Shenzhen", postcode="518000", country="CN")
RECIPIENT: dict[str, Any] = {
    "name": "Jürgen Groß",
    "email": "j@example.com",
    "phone": "+49 221 000",
    "address": {
        "line1": "Hauptstr. 1",
        "line2": "",
        "city": "Köln",
        "region": "",
        "postcode": "50667",
        "country": "DE",
    },
}


def an_order_id(name: str) -> str:
    """A well-formed order id, the same for the same name."""
    return derive_id("ord", ORDER, name)


def a_product(sku: str = "MUG-1", **changes: Any) -> Product:
    """A mug that may go anywhere."""
    known = Product(
        sku=sku,
        version=1,
        titles={"en": "Blue mug", "de": "Blauer Becher"},
        category="kitchen",
        hs_code="6912002100",
        origin_country="CN",
        weight_grams=350,
    )
    return replace(known, **changes)


def published(product: Product | None = None, **changes: Any) -> ProductPublished:
    """The catalog's event about a product."""
    known = replace(product or a_product(), **changes)
    return ProductPublished(
        sku=known.sku,
        version=known.version,
        titles=known.titles,
        category=known.category,
        prices=(MarketPrice(market="DE", price=Money(1299, "EUR"), tax_included=True, tax_rate_bps=1900),),
        hs_code=known.hs_code,
        origin_country=known.origin_country,
        weight_grams=known.weight_grams,
        flags=known.flags,
        claims_preference=known.claims_preference,
    )


def placed(
    *skus: str,
    order_id: str = ORDER,
    country: str = "DE",
    quantity: int = 2,
    price: Money | None = None,
    **changes: Any,
) -> OrderPlaced:
    """An order of some SKUs, to Germany unless told otherwise."""
    unit = price or Money(1299, "EUR")
    zero = Money(0, unit.currency)
    lines = tuple(
        OrderLine(line=number, sku=sku, quantity=quantity, unit_price=unit, total=unit * quantity)
        for number, sku in enumerate(skus or ("MUG-1",), start=1)
    )
    goods = unit * (quantity * len(lines))
    shipping = Money(490, unit.currency)
    event = OrderPlaced(
        order_id=order_id,
        number="F-1001",
        store_id=STORE,
        market=country,
        channel="storefront",
        placed_at=NOON - timedelta(minutes=1),
        lines=lines,
        totals=OrderTotals(goods=goods, shipping=shipping, duties=zero, taxes=zero, fees=zero, total=goods + shipping),
        destination=Destination(country=country),
        payment_mode=PaymentMode.COLLECT,
        payment_method=PaymentMethod.CARD,
        incoterm=Incoterm.DAP,
        service=ServiceLevel.STANDARD,
    )
    return replace(event, **changes)


def confirmed(
    *skus: str, order_id: str = ORDER, warehouse: str = "SZX", country: str = "CN", quantity: int = 2
) -> OrderConfirmed:
    """The confirmation, all units in one warehouse."""
    items = (Allocation(sku=sku, warehouse=warehouse, country=country, quantity=quantity) for sku in skus or ("MUG-1",))
    return OrderConfirmed(order_id=order_id, allocations=tuple(items))


def a_desk(*products: Product) -> Desk:
    """A desk with the real books and these products; a mug when none are given."""
    desk = Desk(rulebook=rulebook(), carriers=carrier_book(), seller=SELLER)
    desk.products = {product.sku: product for product in products or (a_product(),)}
    return desk


def now(at: datetime = NOON, message_id: str = "evt_01jc2v8k9q4t6x0m3n5p7r9s1v") -> Moment:
    """The circumstances of a message that is decided at noon."""
    return Moment(decided_at=at, occurred_at=at, message_id=message_id, store_id=STORE)


def answered(call: Effect, answer: dict[str, Any] | None) -> Answered:
    """The answer to a call among the effects of a use case."""
    assert isinstance(call, Call)
    return Answered(call.id, call.kind, call.key, call.request, answer)


def a_scan(
    status: TrackingStatus, *, parcel: str, number: str = "LX000000015CN", hours: float = 0, **changes: Any
) -> Scan:
    """A scan some hours after noon."""
    known = Scan(
        webhook_id=f"whk_{status}_{hours}",
        carrier="freepost",
        tracking_number=number,
        reference=parcel,
        word=status.value,
        status=status,
        scanned_at=NOON + timedelta(hours=hours),
    )
    return replace(known, **changes)
