"""What the API shows of the feed."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.inventory.domain.feed import ChannelState
from shared.http import View


class FeedOut(View):
    """How a connected channel answers, and what it has yet to acknowledge.

    `late`: it has missed a fall in stock, or been silent, for longer than its objective. `fenced`: it is offered nothing, because it was
    silent for three of them; its first answer ends that.
    """

    channel: str
    connected: bool
    state: ChannelState
    since: datetime
    delay_s: Annotated[float, Field(description="Seconds that it has missed a fall, or been silent.")]
    lag_s: Annotated[float, Field(description="Seconds that a buffer may reckon with.")]
    silent_since: Annotated[datetime | None, Field(description="Asked then, and nothing acknowledged since.")]
    answered_at: datetime | None
    error: Annotated[str, Field(description="Of the last call that failed, empty after one that did not.")]
    offers: int
    pending: Annotated[
        int, Field(description="SKUs whose quantity it has not acknowledged, the refused ones included.")
    ]
    refused: int
    oldest_pending_since: datetime | None


class OfferOut(View):
    """What the channel shall show of a SKU, and what it acknowledged. `quantity` is `wanted`, or zero behind a fence."""

    sku: str
    wanted: int
    quantity: int
    version: int
    acknowledged_quantity: int | None
    acknowledged_version: int
    acknowledged_at: datetime | None
    pending_since: Annotated[datetime | None, Field(description="Null: acknowledged.")]
    refused_code: str
    refused_detail: str
    next_try_at: Annotated[datetime | None, Field(description="Of a refused one.")]
