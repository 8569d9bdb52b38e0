"""The feed's routes: how a channel answers, and what it is offered."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from services.inventory import feed_queries
from services.inventory.feed_schemas import FeedOut, OfferOut
from services.inventory.schemas import ChannelName
from shared.http import PROBLEMS, After, Caller, Limit, Page, Reads, only_known_parameters, requires

router = APIRouter(prefix="/v1", tags=["inventory"])

Reader = Annotated[Caller, requires("stock:read")]


@router.get("/channels/{channel}/feed", operation_id="channels.feed", responses=PROBLEMS)
async def get_feed(channel: ChannelName, caller: Reader, database: Reads) -> FeedOut:
    """How a connected channel answers: open, late or fenced, and how much it has yet to acknowledge."""
    return await feed_queries.feed(database, caller.store_id, channel)


@router.get(
    "/channels/{channel}/offers",
    operation_id="channels.offers",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_offers(
    channel: ChannelName,
    caller: Reader,
    database: Reads,
    state: Annotated[Literal["all", "pending", "refused"], Query(description="Which.")] = "all",
    after: After = None,
    limit: Limit = 50,
) -> Page[OfferOut]:
    """What a connected channel shall show of each SKU, and what it has acknowledged."""
    return await feed_queries.offers(database, caller.store_id, channel, state, after, limit)
