"""Where the stock's counters, ledger and holds disagree: nowhere, or something is broken."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from services.inventory.drift import Cause, Drift, check_page
from shared.http import (
    PROBLEMS,
    After,
    Caller,
    Page,
    Reads,
    View,
    decode_cursor,
    encode_cursor,
    only_known_parameters,
    requires,
)

router = APIRouter(prefix="/v1", tags=["inventory"])


class DriftOut(View):
    """A SKU in a warehouse whose numbers tell different stories."""

    sku: str
    warehouse: str
    on_hand: int
    reserved: int
    ledger_on_hand: int
    ledger_reserved: int
    held: Annotated[int, Field(description="Units that orders hold; equals `reserved` where all is well.")]
    cause: Cause
    since_movement: str | None


@router.get(
    "/stock/drift",
    operation_id="stock.drift",
    responses=PROBLEMS,
    dependencies=[Depends(only_known_parameters)],
)
async def list_drift(
    caller: Annotated[Caller, requires("stock:read")],
    database: Reads,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many SKUs are compared.")] = 200,
) -> Page[DriftOut]:
    """Compare the store's SKUs now: a page holds what is wrong with the next `limit` of them, mostly nothing."""
    place = decode_cursor(after, 1)
    found = await check_page(database, place[0] if place else "", store_id=caller.store_id, limit=limit)
    more = found.skus == limit
    return Page(
        data=[_shown(drift) for drift in found.drifts],
        has_more=more,
        next=encode_cursor([found.last]) if more else None,
    )


def _shown(drift: Drift) -> DriftOut:
    return DriftOut(
        sku=drift.sku,
        warehouse=drift.warehouse,
        on_hand=drift.on_hand,
        reserved=drift.reserved,
        ledger_on_hand=drift.ledger_on_hand,
        ledger_reserved=drift.ledger_reserved,
        held=drift.held,
        cause=drift.cause,
        since_movement=None if drift.since_movement is None else str(drift.since_movement),
    )
