"""The feed's routes: how a channel answers, and what it is offered."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Response

from services.inventory import feed_queries
from services.inventory.domain.feed import ChannelKey
from services.inventory.feed_schemas import FeedOut, OfferOut, ResyncIn, ResyncOut
from services.inventory.schemas import ChannelName
from shared.http import PROBLEMS, After, Caller, Limit, Page, Reads, only_known_parameters, requires

router = APIRouter(prefix="/v1", tags=["inventory"])

Reader = Annotated[Caller, requires("stock:read")]


@router.get("/channel-feeds", operation_id="channels.feeds", responses=PROBLEMS)
async def list_feeds(caller: Reader, database: Reads) -> Page[FeedOut]:
    """How the store's connected channels answer, all of them at once."""
    return await feed_queries.feeds(database, caller.store_id)


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


@router.post("/channels/{channel}/resync", operation_id="channels.resync", status_code=202, responses=PROBLEMS)
async def ask_resync(
    channel: ChannelName,
    body: ResyncIn,
    caller: Annotated[Caller, requires("stock:write")],
    database: Reads,
    response: Response,
) -> ResyncOut:
    """Compare all that the channel shows with what it acknowledged. The request outlives crashes; `Location` tells where to look.

    Asking again while it is under way is one more pass at most, so it takes no idempotency key.
    """
    key = ChannelKey(caller.store_id, channel)
    asked = await feed_queries.ask_resync(database, key, dry_run=body.dry_run)
    response.headers["Location"] = f"/v1/channels/{channel}/resync?dry_run={str(body.dry_run).lower()}"
    return asked


@router.get(
    "/channels/{channel}/resync",
    operation_id="channels.resync_state",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def get_resync(
    channel: ChannelName,
    caller: Reader,
    database: Reads,
    dry_run: Annotated[bool, Query(description="Of the dry runs.")] = False,
) -> ResyncOut:
    """How far the newest comparison is, and what it found."""
    return await feed_queries.resync(database, ChannelKey(caller.store_id, channel), dry_run=dry_run)
