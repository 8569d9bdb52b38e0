"""Policies of single SKUs on a channel: routes, bodies and the one query."""

from typing import Annotated, Self

from fastapi import APIRouter, Depends, Response
from pydantic import Field, model_validator

from services.inventory.schemas import ChannelName, PolicyIn
from services.inventory.usecases.put_policies import PutPolicies
from shared.database import Database
from shared.http import (
    PROBLEMS,
    After,
    Body,
    Caller,
    Commands,
    Limit,
    Page,
    Reads,
    Sku,
    View,
    decode_cursor,
    examples,
    only_known_parameters,
    page,
    requires,
)

router = APIRouter(prefix="/v1", tags=["inventory"])

_AT_ONCE = 500


class SkuPolicyIn(PolicyIn):
    """The whole policy of a SKU on the channel: nothing of the channel's own is mixed in."""

    sku: Sku


class PoliciesIn(Body):
    """Up to 500 SKUs that shall have a policy of their own, or the channel's again."""

    model_config = examples(
        {
            "policies": [
                {"sku": "MUG-RED", "buffer": 5, "allotment": 20},
                {"sku": "MUG-BLUE", "buffer": 0, "cap": 3},
                {"sku": "MUG-OLD", "buffer": 0, "closed": True},
            ],
            "remove": ["MUG-GREEN"],
        }
    )

    policies: Annotated[list[SkuPolicyIn], Field(default_factory=list[SkuPolicyIn], max_length=_AT_ONCE)]
    remove: Annotated[list[Sku], Field(default_factory=list[str], max_length=_AT_ONCE)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        skus = [*(line.sku for line in self.policies), *self.remove]
        if not 0 < len(skus) <= _AT_ONCE:
            raise ValueError(f"name between 1 and {_AT_ONCE} SKUs")
        if len(set(skus)) < len(skus):
            raise ValueError("each SKU may be named once")
        return self

    def to_command(self, channel: str) -> PutPolicies:
        own = {line.sku: line.policy for line in self.policies}
        return PutPolicies(channel=channel, policies={**own, **dict.fromkeys(self.remove)})


class PoliciesPut(View):
    """How many SKUs have a policy of their own from now on, and how many the channel's."""

    channel: str
    put: int
    removed: int


class SkuPolicyOut(View):
    """A SKU's policy on the channel."""

    sku: str
    buffer: int | None
    cap: int | None
    allotment: int
    closed: bool


@router.put(
    "/channels/{channel}/policies",
    operation_id="channels.put_policies",
    responses={200: {"model": PoliciesPut}, **PROBLEMS},
    response_class=Response,
)
async def put_policies(
    channel: ChannelName,
    body: PoliciesIn,
    caller: Annotated[Caller, requires("stock:write")],
    commands: Commands,
) -> Response:
    """Set what the channel may sell of these SKUs, all or none; other SKUs stay as they are."""
    return await commands.execute(caller, body.to_command(channel))


@router.get(
    "/channels/{channel}/policies",
    operation_id="channels.policies",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_policies(
    channel: ChannelName,
    caller: Annotated[Caller, requires("stock:read")],
    database: Reads,
    after: After = None,
    limit: Limit = 50,
) -> Page[SkuPolicyOut]:
    """The SKUs that have a policy of their own on the channel."""
    return await _policies(database, caller.store_id, channel, after, limit)


async def _policies(
    database: Database, store_id: str, channel: str, after: str | None, limit: int
) -> Page[SkuPolicyOut]:
    place = decode_cursor(after, 1)
    rows = await database.fetch(
        "SELECT sku, buffer, cap, allotment, closed FROM channel_policy"
        " WHERE store_id = $1 AND channel = $2 AND ($3::text IS NULL OR sku > $3) ORDER BY sku LIMIT $4",
        store_id,
        channel,
        place and place[0],
        limit + 1,
    )
    return page([SkuPolicyOut(**row) for row in rows], limit, lambda policy: [policy.sku])
