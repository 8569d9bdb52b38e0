"""How Shopify tells what it tells, in GraphQL answers and in webhooks, and what an order of it is to us.

Shapes are checked as far as they are used; what else an answer holds is left alone.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.channels.port import ChannelLine, ChannelOrder
from shared.money import from_decimal

_PAID = frozenset({"PAID", "AUTHORIZED", "PARTIALLY_REFUNDED"})

T = TypeVar("T")


class Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)


class PageInfo(Shape):
    has_next_page: bool
    end_cursor: str | None = None


class Page(Shape, Generic[T]):
    nodes: list[T]
    page_info: PageInfo


class Quantity(Shape):
    quantity: int


class Level(Shape):
    quantities: Annotated[list[Quantity], Field(min_length=1, max_length=1)]


class Item(Shape):
    id: str
    tracked: bool
    inventory_level: Level | None = None

    @property
    def shown(self) -> int | None:
        """Units; None where it is not stocked at the location."""
        return self.inventory_level.quantities[0].quantity if self.inventory_level else None


class Stocked(Shape):
    sku: str | None = None
    inventory_item: Item


class StockedPage(Shape):
    product_variants: Page[Stocked]


class Count(Shape):
    count: int


class Product(Shape):
    id: str
    variants_count: Count


class Variant(Shape):
    id: str
    sku: str | None = None
    product: Product


class VariantPage(Shape):
    product_variants: Page[Variant]


class Amount(Shape):
    amount: Decimal
    currency_code: str = ""


class MoneyBag(Shape):
    shop_money: Amount


class Tax(Shape):
    price_set: MoneyBag


class Line(Shape):
    id: str
    sku: str | None = None
    quantity: Annotated[int, Field(ge=1)]
    current_quantity: int
    requires_shipping: bool
    discounted_unit_price_after_all_discounts_set: MoneyBag
    tax_lines: list[Tax] = []


class ShippingLine(Shape):
    tax_lines: list[Tax] = []


class ShippingLines(Shape):
    nodes: list[ShippingLine] = []


class Address(Shape):
    name: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    province_code: str | None = None
    zip: str | None = None
    country_code_v2: str | None = None
    phone: str | None = None


class Order(Shape):
    id: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    cancelled_at: AwareDatetime | None = None
    cancel_reason: str | None = None
    currency_code: str
    taxes_included: bool
    email: str | None = None
    phone: str | None = None
    display_financial_status: str | None = None
    display_fulfillment_status: str
    total_shipping_price_set: MoneyBag
    shipping_lines: ShippingLines
    shipping_address: Address | None = None
    line_items: Page[Line]


class OrdersPage(Shape):
    orders: Page[Order]


class OrderLines(Shape):
    line_items: Page[Line]


class Tracking(Shape):
    number: str | None = None


class Fulfillment(Shape):
    tracking_info: list[Tracking]


class Sku(Shape):
    sku: str | None = None


class WorkLine(Shape):
    id: str
    remaining_quantity: int
    line_item: Sku


class Work(Shape):
    id: str
    status: str
    line_items: Page[WorkLine]


class Works(Shape):
    nodes: list[Work]


class ToShip(Shape):
    fulfillments: list[Fulfillment]
    fulfillment_orders: Works


class Cancelled(Shape):
    cancelled_at: AwareDatetime | None = None


class Refund(Shape):
    note: str | None = None


class Transaction(Shape):
    id: str
    kind: str
    status: str
    gateway: str
    amount_set: MoneyBag


class Payments(Shape):
    refunds: list[Refund]
    transactions: list[Transaction]


class OfOrder(Shape, Generic[T]):
    order: T | None = None


class UserError(Shape):
    message: str
    code: str | None = None
    field: list[str] | None = None


class Done(Shape):
    user_errors: list[UserError]


class RestShape(BaseModel):
    # A webhook tells an order as the REST API did: in snake case, money as text.
    model_config = ConfigDict(extra="ignore")


class RestTax(RestShape):
    price: Decimal

    def as_tax(self) -> Tax:
        """The same in the shape of GraphQL."""
        return Tax(price_set=_bag(self.price))


class RestDiscount(RestShape):
    amount: Decimal


class RestLine(RestShape):
    id: int
    sku: str | None = None
    quantity: Annotated[int, Field(ge=1)]
    current_quantity: int | None = None
    requires_shipping: bool
    price: Decimal
    discount_allocations: list[RestDiscount] = []
    tax_lines: list[RestTax] = []

    def as_line(self) -> Line:
        """The same in the shape of GraphQL: the price of a unit after all discounts."""
        price = self.price - sum((each.amount for each in self.discount_allocations), Decimal()) / self.quantity
        return Line(
            id=f"gid://shopify/LineItem/{self.id}",
            sku=self.sku,
            quantity=self.quantity,
            current_quantity=self.quantity if self.current_quantity is None else self.current_quantity,
            requires_shipping=self.requires_shipping,
            discounted_unit_price_after_all_discounts_set=_bag(price),
            tax_lines=[tax.as_tax() for tax in self.tax_lines],
        )


class RestShippingLine(RestShape):
    tax_lines: list[RestTax] = []


class RestMoney(RestShape):
    amount: Decimal


class RestMoneyBag(RestShape):
    shop_money: RestMoney


class RestAddress(RestShape):
    name: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    province_code: str | None = None
    zip: str | None = None
    country_code: str | None = None
    phone: str | None = None


class Pushed(RestShape):
    admin_graphql_api_id: Annotated[str, Field(pattern=r"^gid://shopify/Order/\d+$")]
    created_at: AwareDatetime
    updated_at: AwareDatetime
    cancelled_at: AwareDatetime | None = None
    cancel_reason: str | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    taxes_included: bool
    email: str | None = None
    phone: str | None = None
    financial_status: str | None = None
    fulfillment_status: str | None = None
    total_shipping_price_set: RestMoneyBag
    shipping_lines: list[RestShippingLine] = []
    shipping_address: RestAddress | None = None
    line_items: list[RestLine]

    def as_order(self) -> Order:
        """The same in the shape of GraphQL."""
        address = self.shipping_address
        lines = [each.as_line() for each in self.line_items]
        shipping = [ShippingLine(tax_lines=[tax.as_tax() for tax in each.tax_lines]) for each in self.shipping_lines]
        return Order(
            id=self.admin_graphql_api_id,
            created_at=self.created_at,
            updated_at=self.updated_at,
            cancelled_at=self.cancelled_at,
            cancel_reason=self.cancel_reason,
            currency_code=self.currency,
            taxes_included=self.taxes_included,
            email=self.email,
            phone=self.phone,
            display_financial_status=(self.financial_status or "").upper(),
            display_fulfillment_status=(self.fulfillment_status or "").upper(),
            total_shipping_price_set=_bag(self.total_shipping_price_set.shop_money.amount),
            shipping_lines=ShippingLines(nodes=shipping),
            shipping_address=address
            and Address(country_code_v2=address.country_code, **address.model_dump(exclude={"country_code"})),
            line_items=Page[Line](nodes=lines, page_info=PageInfo(has_next_page=False)),
        )


class Faults(Shape):
    code: str = ""


class GraphqlError(Shape):
    message: str
    extensions: Faults = Faults()


class Throttle(Shape):
    currently_available: float
    restore_rate: Annotated[float, Field(gt=0)]


class Cost(Shape):
    requested_query_cost: float = 0.0
    throttle_status: Throttle | None = None


class Extensions(Shape):
    cost: Cost | None = None


class Answer(Shape):
    data: dict[str, Any] | None = None
    errors: list[GraphqlError] = []
    extensions: Extensions = Extensions()


def _minor(amount: Decimal, currency: str) -> int:
    return from_decimal(amount, currency).amount


def shown_orders(order: Order, lines: Sequence[Line]) -> list[ChannelOrder]:
    """An order as ours, with the lines that are to be shipped; none while it is not paid, or where nothing is to be shipped."""
    if order.cancelled_at is None and order.display_financial_status not in _PAID:
        return []  # not paid: its change to paid comes as another change
    currency = order.currency_code
    sold = tuple(
        ChannelLine(
            line.sku or line.id,
            line.current_quantity,
            _minor(line.discounted_unit_price_after_all_discounts_set.shop_money.amount, currency),
            0
            if order.taxes_included
            else _minor(_taxes(line.tax_lines) * line.current_quantity / line.quantity, currency),
        )
        for line in lines
        if line.requires_shipping and line.current_quantity > 0
    )
    if not sold and order.cancelled_at is None:
        return []  # nothing of it is to be shipped
    address = order.shipping_address or Address()
    shipping = order.total_shipping_price_set.shop_money.amount
    if not order.taxes_included:
        shipping += sum((_taxes(line.tax_lines) for line in order.shipping_lines.nodes), Decimal())
    return [
        ChannelOrder(
            external_id=order.id.rpartition("/")[2],
            state=_state(order.cancelled_at, order.display_fulfillment_status == "FULFILLED"),
            placed_at=order.created_at,
            updated_at=order.updated_at,
            currency=currency,
            lines=sold,
            country=address.country_code_v2 or "",
            shipping_minor=_minor(shipping, currency),
            region=address.province_code or "",
            postcode=address.zip or "",
            name=address.name or "",
            email=order.email or "",
            phone=address.phone or order.phone or "",
            line1=address.address1 or "",
            line2=address.address2 or "",
            city=address.city or "",
            cancel_reason=(order.cancel_reason or "").lower(),
        )
    ]


def _state(cancelled_at: datetime | None, fulfilled: bool) -> Literal["open", "shipped", "cancelled"]:
    if cancelled_at is not None:
        return "cancelled"
    return "shipped" if fulfilled else "open"


def _taxes(taxes: Iterable[Tax]) -> Decimal:
    return sum((tax.price_set.shop_money.amount for tax in taxes), Decimal())


def _bag(amount: Decimal) -> MoneyBag:
    return MoneyBag(shop_money=Amount(amount=amount))
