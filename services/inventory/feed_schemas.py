"""What the API shows of the feed."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from services.inventory.domain.feed import ChannelState
from shared.http import Body, View, examples


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


class ResyncIn(Body):
    """`dry_run` only tells the difference; without it what differs is told again."""

    model_config = examples({"dry_run": True})

    dry_run: StrictBool = False


class DifferenceOut(View):
    """A SKU that the channel shows other than it acknowledged: what it shows, null where it does not at all, and what it shall show."""

    sku: str
    theirs: int | None
    ours: int


class ResyncOut(View):
    """A comparison of both sides: the newest one, of the kind that was asked about.

    A pass reads every page. After a pass that found something, the channel is told again, and another pass looks again; a dry run
    has one. `equal`: the last pass found no SKU that differs and none that the channel refuses to take.
    """

    channel: str
    dry_run: bool
    state: Literal["waiting", "running", "finished"]
    request: Annotated[int, Field(description="Numbers the requests of this kind; one covers all before it.")]
    cause: Annotated[
        Literal["asked", "newer_version", "fence"],
        Field(description="Asked for; the channel knew a newer version than ours; it had been silent."),
    ]
    requested_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    passes: Annotated[int, Field(description="Finished ones, since it was asked for last.")]
    pages: Annotated[int, Field(description="Read in all passes.")]
    lines: Annotated[int, Field(description="Lines that the channel showed in this, or the last, pass.")]
    differences: Annotated[int, Field(description="Found in all passes.")]
    first: Annotated[list[DifferenceOut], Field(description="The first hundred of them.")]
    still_different: Annotated[int, Field(description="Found in this, or the last, pass.")]
    refused: Annotated[int, Field(description="SKUs that the channel does not take: not compared.")]
    moving: Annotated[int, Field(description="SKUs that changed meanwhile: not compared, the feed tells them.")]
    equal: Annotated[bool | None, Field(description="Null while it is not finished.")]
    error: Annotated[str, Field(description="Why the next page could not be read yet.")]
