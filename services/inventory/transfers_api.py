"""Transfers between warehouses: routes, bodies and the list."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Response
from pydantic import Field, StrictInt, StringConstraints, model_validator

from services.inventory.domain.transfer import Arrival, TransferStatus
from services.inventory.schemas import WarehouseCode
from services.inventory.transfers import read_transfers
from services.inventory.usecases.receive_transfer import ReceiveTransfer
from services.inventory.usecases.ship_transfer import ShipTransfer, shape
from shared.errors import not_found
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
    Text,
    View,
    decode_cursor,
    examples,
    only_known_parameters,
    page,
    requires,
)

router = APIRouter(prefix="/v1", tags=["inventory"])

_MOST = 1_000_000_000

Reader = Annotated[Caller, requires("stock:read")]
KeyedWriter = Annotated[Caller, requires("stock:write", idempotent=True)]
TransferId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]


class ShippedLineIn(Body):
    """Units of a SKU that leave."""

    sku: Sku
    quantity: Annotated[StrictInt, Field(ge=1, le=_MOST)]


class TransferIn(Body):
    """Up to 500 SKUs that leave one warehouse for another, all or none. What is reserved stays."""

    model_config = examples(
        {
            "source": "DE-BER-1",
            "destination": "US-NJ-1",
            "reason": "season in the east",
            "lines": [{"sku": "MUG-RED", "quantity": 50}],
        }
    )

    source: WarehouseCode
    destination: WarehouseCode
    reason: Text
    lines: Annotated[list[ShippedLineIn], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if self.source == self.destination:
            raise ValueError("source and destination must differ")
        if len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("each SKU may be named once")
        return self

    def to_command(self) -> ShipTransfer:
        return ShipTransfer(
            source=self.source,
            destination=self.destination,
            reason=self.reason,
            lines=tuple((line.sku, line.quantity) for line in self.lines),
        )


class ArrivedLineIn(Body):
    """Units that came of a SKU: good ones, and damaged ones. Damaged ones and those beyond what was shipped need a reason."""

    sku: Sku
    received: Annotated[StrictInt, Field(ge=0, le=_MOST)]
    damaged: Annotated[StrictInt, Field(ge=0, le=_MOST)] = 0
    reason: Annotated[
        Text | None, Field(description="Of the line's differences; the receipt's where it is missing.")
    ] = None


class TransferReceiptIn(Body):
    """What came. `complete`: nothing more will, and what is missing is short, for the receipt's reason."""

    model_config = examples(
        {
            "lines": [{"sku": "MUG-RED", "received": 47, "damaged": 1, "reason": "a crate fell"}],
            "complete": True,
            "reason": "two were not on the pallet",
        }
    )

    lines: Annotated[list[ArrivedLineIn], Field(max_length=500)]
    complete: bool = False
    reason: Text | None = None

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if len({line.sku for line in self.lines}) < len(self.lines):
            raise ValueError("each SKU may be named once")
        if not self.lines and not self.complete:
            raise ValueError("a receipt of nothing, after which more comes, says nothing")
        return self

    def to_command(self, transfer_id: str) -> ReceiveTransfer:
        common = self.reason or ""
        return ReceiveTransfer(
            transfer_id=transfer_id,
            arrivals=tuple(
                Arrival(sku=line.sku, received=line.received, damaged=line.damaged, reason=line.reason or common)
                for line in self.lines
            ),
            complete=self.complete,
            reason=common,
        )


class TransferLineOut(View):
    """`shipped` = `in_transit` + `arrived` + `damaged` + `short`; `over` came beyond it."""

    sku: str
    shipped: int
    in_transit: int
    arrived: int
    damaged: int
    short: int
    over: int


class TransferOut(View):
    """A transfer; its ledger entries in both warehouses name it as their cause."""

    id: str
    status: TransferStatus
    source: str
    destination: str
    reason: str
    lines: list[TransferLineOut]
    shipped_at: datetime
    received_at: datetime | None


@router.post(
    "/transfers",
    operation_id="transfers.ship",
    status_code=201,
    responses={201: {"model": TransferOut}, **PROBLEMS},
    response_class=Response,
)
async def ship(body: TransferIn, caller: KeyedWriter, commands: Commands) -> Response:
    """Ship goods to another warehouse. They leave what is on hand, and are in transit: available nowhere."""
    return await commands.execute(caller, body.to_command())


@router.post(
    "/transfers/{transfer_id}/receipts",
    operation_id="transfers.receive",
    responses={200: {"model": TransferOut}, **PROBLEMS},
    response_class=Response,
)
async def receive(
    transfer_id: TransferId, body: TransferReceiptIn, caller: KeyedWriter, commands: Commands
) -> Response:
    """Say what came, in as many receipts as it takes. What differs is in the ledger with its reason."""
    return await commands.execute(caller, body.to_command(transfer_id))


@router.get("/transfers/{transfer_id}", operation_id="transfers.get", responses=PROBLEMS)
async def get_transfer(transfer_id: TransferId, caller: Reader, database: Reads) -> TransferOut:
    """One transfer."""
    transfer = (await read_transfers([transfer_id], database)).get(transfer_id, caller.store_id)
    if transfer is None:
        raise not_found("transfer", transfer_id)
    return TransferOut.model_validate(shape(transfer))


@router.get(
    "/transfers", operation_id="transfers.list", responses=PROBLEMS, dependencies=[Depends(only_known_parameters)]
)
async def list_transfers(
    caller: Reader, database: Reads, status: TransferStatus | None = None, after: After = None, limit: Limit = 50
) -> Page[TransferOut]:
    """The store's transfers, newest first."""
    place = decode_cursor(after, 1)
    rows = await database.fetch(
        "SELECT id FROM transfer WHERE store_id = $1 AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR id < $3)"
        " ORDER BY id DESC LIMIT $4",
        caller.store_id,
        status,
        place and place[0],
        limit + 1,
    )
    ids = [row["id"] for row in rows]
    found = (await read_transfers(ids, database)).by_id
    shown = [TransferOut.model_validate(shape(found[each])) for each in ids]
    return page(shown, limit, lambda transfer: [transfer.id])
