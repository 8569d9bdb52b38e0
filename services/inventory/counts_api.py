"""Absolute counts: routes, bodies and the one query."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field, StrictInt, StringConstraints, model_validator

from services.inventory.domain.count import Outcome
from services.inventory.schemas import WarehouseCode
from services.inventory.usecases.count_stock import CountedLine, CountStock
from shared.errors import not_found
from shared.http import PROBLEMS, Body, Caller, Commands, Page, Reads, Sku, View, examples, requires

router = APIRouter(prefix="/v1", tags=["inventory"])

_MOST = 1_000_000_000

Source = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""The name of a system that counts: `wms-berlin`, `erp`."""


class CountedLineIn(Body):
    """Units of a SKU that were there. `version` only grows for the SKU in the warehouse; `as_of` is when it was true."""

    sku: Sku
    quantity: Annotated[StrictInt, Field(ge=0, le=_MOST)]
    version: Annotated[StrictInt, Field(ge=0, le=2**62)]
    as_of: AwareDatetime


class CountIn(Body):
    """What a system counted of up to 500 SKUs in one warehouse; each line is taken or not by itself."""

    model_config = examples(
        {
            "source": "wms-berlin",
            "warehouse": "DE-BER-1",
            "lines": [{"sku": "MUG-RED", "quantity": 497, "version": 8812, "as_of": "2026-11-24T09:30:00Z"}],
        }
    )

    source: Source
    warehouse: WarehouseCode
    lines: Annotated[list[CountedLineIn], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("each SKU may be named once")
        return self

    def to_command(self) -> CountStock:
        return CountStock(
            source=self.source,
            warehouse=self.warehouse,
            lines=tuple(
                CountedLine(sku=line.sku, quantity=line.quantity, version=line.version, as_of=line.as_of)
                for line in self.lines
            ),
        )


class CountedLineOut(View):
    """What became of a line: taken only if its outcome is `counted`."""

    sku: str
    outcome: Outcome
    version: int
    known_version: Annotated[int | None, Field(description="The newest version of this source that was taken.")]
    moved_since: Annotated[int, Field(description="Units that came (or, negative, left) after the count's instant.")]
    change: Annotated[int, Field(description="By how much the books were wrong.")]
    on_hand: Annotated[int, Field(description="What the books say now.")]


class CountOut(View):
    """What became of a count; its ledger entries name it as their cause."""

    id: str
    source: str
    warehouse: str
    lines: list[CountedLineOut]
    broken_reservations: int
    at: datetime


class SourceCountOut(View):
    """The newest count of a source."""

    warehouse: str
    source: str
    version: int
    as_of: datetime
    quantity: int
    on_hand: int
    change: int
    counted_at: datetime


@router.post(
    "/stock/counts",
    operation_id="stock.count",
    responses={200: {"model": CountOut}, **PROBLEMS},
    response_class=Response,
)
async def count(
    body: CountIn, caller: Annotated[Caller, requires("stock:write", idempotent=True)], commands: Commands
) -> Response:
    """Say what a warehouse system counted, as of when. Goods that moved since are added; older versions change nothing."""
    return await commands.execute(caller, body.to_command())


@router.get("/stock/{sku:path}/counts", operation_id="stock.counts", responses=PROBLEMS)
async def list_counts(
    sku: Sku, caller: Annotated[Caller, requires("stock:read")], database: Reads
) -> Page[SourceCountOut]:
    """What each system said last of the SKU, by warehouse and source."""
    if not await database.fetchval(
        "SELECT true FROM stock_item WHERE sku = $1 AND store_id = $2", sku, caller.store_id
    ):
        raise not_found("stock", sku)
    rows = await database.fetch(
        "SELECT warehouse, source, version, as_of, quantity, on_hand, change, counted_at FROM stock_count"
        " WHERE sku = $1 ORDER BY warehouse, source",
        sku,
    )
    return Page(data=[SourceCountOut(**row) for row in rows], has_more=False, next=None)
