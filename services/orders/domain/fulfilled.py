"""Sold there and shipped from the channel's own warehouse: none of our stock, none of our parcels, and yet a sale."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.orders.domain.pricing import MOST
from shared.errors import Kind, Refusal
from shared.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class LineThere:
    """Units of one SKU. `tax` is the whole line's, on top of the price."""

    sku: str
    quantity: int
    unit_price: Money
    tax: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class FulfilledThere:
    """One such order, as the channel told it at `updated_at`. `fee` is what it keeps of the sale; the buyer is not charged it."""

    external_id: str
    state: Literal["open", "shipped", "cancelled"]
    placed_at: datetime
    updated_at: datetime
    lines: tuple[LineThere, ...]
    shipping: Money
    fee: Money

    @property
    def goods(self) -> int:
        """The lines' prices, in minor units."""
        return sum(line.unit_price.amount * line.quantity for line in self.lines)

    @property
    def taxes(self) -> int:
        """The lines' taxes, in minor units."""
        return sum(line.tax.amount for line in self.lines)

    def out_of_range(self) -> Refusal | None:
        """Whether no order comes to so much."""
        if self.goods + self.taxes + self.shipping.amount <= MOST and self.fee.amount <= MOST:
            return None
        detail = "the order's total is beyond any order's"
        return Refusal(code="order.total_out_of_range", detail=detail, kind=Kind.INVALID)
