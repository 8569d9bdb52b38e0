"""What the channels API answers."""

from datetime import datetime
from typing import Literal

from shared.http import View
from shared.money import Money


class ChannelRefusalOut(View):
    """An order that the channel sold and that could not be taken in. It is read again until it can: `retry_at` is when next."""

    external_id: str
    code: str
    detail: str
    since: datetime
    retry_at: datetime


class LineThereOut(View):
    """Units of one SKU. `tax` is the whole line's, on top of the price."""

    sku: str
    quantity: int
    unit_price: Money
    tax: Money


class FulfilledThereOut(View):
    """An order that the channel ships from its own warehouse. `total` is the buyer's; `channel_fee` is kept by the channel out of it."""

    external_id: str
    state: Literal["open", "shipped", "cancelled"]
    placed_at: datetime
    updated_at: datetime
    lines: list[LineThereOut]
    goods: Money
    shipping: Money
    taxes: Money
    total: Money
    channel_fee: Money
