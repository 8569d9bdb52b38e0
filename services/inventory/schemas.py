"""Request and response bodies of inventory's API."""

from datetime import datetime
from typing import Annotated, Self

import pycountry
from pydantic import AfterValidator, Field, StrictInt, StringConstraints, model_validator

from services.inventory.domain.adjustment import AdjustmentKind
from services.inventory.domain.movement import MovementKind
from services.inventory.domain.policy import Policy
from services.inventory.domain.reservation import Status
from services.inventory.domain.warehouse import WarehouseKind
from services.inventory.usecases.adjust_stock import AdjustStock
from services.inventory.usecases.put_channel import PutChannel
from services.inventory.usecases.put_warehouse import PutWarehouse
from shared.http import Body, Country, Sku, Text, View, examples

_MOST = 1_000_000_000  # units of a SKU in one line; sums of them stay far within a bigint


def _known_country(code: str) -> str:
    if pycountry.countries.get(alpha_2=code) is None:
        raise ValueError("not an ISO 3166-1 alpha-2 country code")
    return code


KnownCountry = Annotated[Country, AfterValidator(_known_country)]

WarehouseCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
"""A warehouse's code, as parcels and papers name it: `DE-BER-1`."""

ChannelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""A channel's name, as orders name it: `storefront`, `bazaar-de`."""

OrderId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]


class WarehouseIn(Body):
    """A warehouse. Bonded stock is sold to buyers in its own country only."""

    model_config = examples({"kind": "overseas", "country": "DE", "name": "Berlin, hall 2"})

    kind: WarehouseKind
    country: KnownCountry
    name: Annotated[Text | None, Field(description="For people.")] = None

    def to_command(self, code: str) -> PutWarehouse:
        return PutWarehouse(code=code, kind=self.kind, country=self.country, name=self.name or "")


class WarehouseOut(View):
    """A warehouse."""

    code: str
    kind: WarehouseKind
    country: str
    name: str


class AdjustmentLineIn(Body):
    """Units of a SKU: what came in or went, or for a count what is there."""

    sku: Sku
    quantity: Annotated[StrictInt, Field(ge=-_MOST, le=_MOST)]


class AdjustmentIn(Body):
    """Up to 500 SKUs in one warehouse, all or none.

    `receipt`: units that came in. `count`: units that are there, absolute. `write_off`: units that are gone. `correction`: units
    too few or, negative, too many in the books. Fewer units than are reserved break the newest reservations.
    """

    model_config = examples(
        {
            "kind": "receipt",
            "warehouse": "DE-BER-1",
            "reason": "delivery 4711",
            "lines": [{"sku": "MUG-RED", "quantity": 500}, {"sku": "MUG-BLUE", "quantity": 500}],
        },
        {
            "kind": "count",
            "warehouse": "DE-BER-1",
            "reason": "cycle count, aisle 7",
            "lines": [{"sku": "MUG-RED", "quantity": 497}],
        },
    )

    kind: AdjustmentKind
    warehouse: WarehouseCode
    reason: Text
    lines: Annotated[list[AdjustmentLineIn], Field(min_length=1, max_length=500)]

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        skus = [line.sku for line in self.lines]
        if len(set(skus)) < len(skus):
            raise ValueError("each SKU may be named once")
        for line in self.lines:
            if not _means_something(self.kind, line.quantity):
                raise ValueError(f"a {self.kind} of {line.quantity} means nothing ({line.sku})")
        return self

    def to_command(self) -> AdjustStock:
        return AdjustStock(
            kind=self.kind,
            warehouse=self.warehouse,
            reason=self.reason,
            lines=tuple((line.sku, line.quantity) for line in self.lines),
        )


def _means_something(kind: AdjustmentKind, quantity: int) -> bool:
    match kind:
        case AdjustmentKind.COUNT:
            return quantity >= 0
        case AdjustmentKind.CORRECTION:
            return quantity != 0
        case AdjustmentKind.RECEIPT | AdjustmentKind.WRITE_OFF:
            return quantity > 0


class AdjustedLine(View):
    """What became of a line."""

    sku: str
    change: int
    on_hand: int


class AdjustmentOut(View):
    """An adjustment that was made; its ledger entries name it as their cause."""

    id: str
    kind: AdjustmentKind
    warehouse: str
    reason: str
    lines: list[AdjustedLine]
    broken_reservations: int
    at: datetime


class LevelOut(View):
    """Units of the SKU in one warehouse."""

    warehouse: str
    kind: WarehouseKind
    country: str
    on_hand: int
    reserved: int
    available: int


class ChannelStockOut(View):
    """What a channel may sell of it by its policy. `buffer` is what is kept from it now, however that was told."""

    channel: str
    available: int
    buffer: int


class StockSummary(View):
    """A SKU over all warehouses. `version` is that of the last event about it."""

    sku: str
    version: int
    on_hand: int
    reserved: int
    available: int


class StockOut(StockSummary):
    """A SKU, by warehouse and by channel."""

    in_transit: Annotated[
        int, Field(description="On their way between warehouses: on hand nowhere, available nowhere.")
    ]
    warehouses: list[LevelOut]
    channels: list[ChannelStockOut]


class MovementOut(View):
    """An entry of the ledger: by how much the counters changed, and why."""

    id: str
    sku: str
    warehouse: str
    kind: MovementKind
    on_hand: int
    reserved: int
    in_transit: Annotated[int, Field(description="Units that went into a transfer, or (negative) came out of it.")]
    cause: Annotated[str, Field(description="The order, return, adjustment, count or transfer behind it.")]
    reason: Annotated[str, Field(description="Of a transfer's difference.")]
    message_id: str
    at: datetime


class DemandOut(View):
    """What the order needs of a SKU, and how much of it came back on the shelf."""

    sku: str
    quantity: int
    restocked: int


class AllocationOut(View):
    """Units in one warehouse, held or after the dispatch consumed."""

    sku: str
    warehouse: str
    country: str
    quantity: int


class ReservationOut(View):
    """What an order holds. `expires_at` is null where it holds nothing or for good."""

    order_id: str
    status: Status
    refusable: bool
    confirmed: bool
    lines: list[DemandOut]
    allocations: list[AllocationOut]
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


Units = Annotated[StrictInt, Field(ge=0, le=_MOST)]


class PolicyIn(Body):
    """What a channel may sell, in units."""

    buffer: Annotated[
        Units | None,
        Field(description="Of the shared stock, units kept from the channel; null: by the speed of sale over its lag."),
    ]
    cap: Annotated[Units | None, Field(description="At most so many are shown; null: no cap.")] = None
    allotment: Annotated[
        Units, Field(description="Units that no other channel is offered, while there are so many.")
    ] = 0
    closed: Annotated[bool, Field(description="Nothing is offered.")] = False

    @property
    def policy(self) -> Policy:
        return Policy(buffer=self.buffer, cap=self.cap, allotment=self.allotment, closed=self.closed)


class ChannelIn(PolicyIn):
    """What a channel may sell of every SKU. Its buffer is there because its numbers arrive late, and grows when they arrive later.

    `country` is where it sells, null for everywhere: bonded stock is offered only where it may be sold.
    """

    model_config = examples(
        {"buffer": 5, "country": "DE", "skus": {"MUG-RED": 20}}, {"buffer": None, "units_per_s": 0.5}
    )

    country: KnownCountry | None = None
    units_per_s: Annotated[
        float | None,
        Field(
            gt=0,
            le=10_000,
            allow_inf_nan=False,
            description="Sales of a SKU on all channels together in a rush, for a null buffer; null: as it was.",
        ),
    ] = None
    skus: Annotated[
        dict[Sku, Units] | None,
        Field(
            max_length=10_000, description="The SKUs whose buffer differs; null: SKUs with their own policy keep it."
        ),
    ] = None

    def to_command(self, name: str) -> PutChannel:
        return PutChannel(
            name=name,
            country=self.country or "",
            policy=self.policy,
            units_per_s=self.units_per_s,
            buffers=self.skus,
        )


class ChannelOut(View):
    """A channel and what it may sell. `buffer` null: by speed of sale. `skus` null: those that were there stay."""

    name: str
    buffer: int | None
    country: str
    skus: Annotated[
        dict[str, int] | None, Field(description="SKUs with a policy of their own whose buffer is in units.")
    ]
    cap: int | None
    allotment: int
    closed: bool
    units_per_s: float
