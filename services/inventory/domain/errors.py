"""What inventory says no to, and how."""

from services.inventory.domain.warehouse import Warehouse
from shared.errors import Kind, Refusal


def unknown_warehouse(code: str) -> Refusal:
    """The request names a warehouse that does not exist."""
    return Refusal(
        code="warehouse.unknown",
        detail=f"there is no warehouse {code}",
        kind=Kind.INVALID,
        clears_with=f"PUT /v1/warehouses/{code}",
        facts={"warehouse": code},
    )


def warehouse_is_fixed(warehouse: Warehouse) -> Refusal:
    """Holds, customs papers and past ledger entries rest on where and what a warehouse is."""
    return Refusal(
        code="warehouse.fixed",
        detail=f"{warehouse.code} is a {warehouse.kind} warehouse in {warehouse.country}; neither can change",
        clears_with="another warehouse code",
        facts={"kind": warehouse.kind, "country": warehouse.country},
    )


def warehouse_is_taken(code: str) -> Refusal:
    """Parcels and papers name a warehouse by its code alone, so no two stores have the same."""
    return Refusal(code="warehouse.taken", detail=f"the code {code} is taken", clears_with="another warehouse code")


def unknown_channel(name: str) -> Refusal:
    """The store has no channel of that name."""
    return Refusal(
        code="channel.not_found",
        detail=f"there is no channel {name}",
        kind=Kind.NOT_FOUND,
        clears_with=f"PUT /v1/channels/{name}",
    )


def unknown_speed(name: str) -> Refusal:
    """A buffer by speed of sale (null) needs a speed: without one it would be none at all."""
    return Refusal(
        code="channel.speed_unknown",
        detail=f"{name} has no units_per_s, so a buffer by speed would be zero",
        kind=Kind.INVALID,
        clears_with="units_per_s on the channel, or a buffer in units",
        facts={"channel": name},
    )


def sku_is_taken(sku: str) -> Refusal:
    """A SKU belongs to the store that stocked it first."""
    return Refusal(
        code="stock.sku_taken",
        detail=f"the SKU {sku} belongs to another store",
        clears_with="a SKU of your own",
        facts={"sku": sku},
    )


def below_zero(sku: str, warehouse: str, on_hand: int, change: int) -> Refusal:
    """More would go than is there. A count tells the truth instead."""
    return Refusal(
        code="stock.below_zero",
        detail=f"{warehouse} has {on_hand} of {sku} on hand, so {-change} cannot go",
        clears_with="a count of what is there",
        facts={"sku": sku, "warehouse": warehouse, "on_hand": on_hand, "change": change},
    )


def not_available(sku: str, warehouse: str, available: int, wanted: int) -> Refusal:
    """What is reserved stays for those it is promised to."""
    return Refusal(
        code="stock.not_available",
        detail=f"{warehouse} has {available} of {sku} available, so {wanted} cannot leave",
        clears_with="fewer units, or a receipt",
        facts={"sku": sku, "warehouse": warehouse, "available": available, "wanted": wanted},
    )


def unknown_transfer(transfer_id: str) -> Refusal:
    """There is none, or it is another store's."""
    return Refusal(code="transfer.not_found", detail=f"there is no transfer {transfer_id}", kind=Kind.NOT_FOUND)


def transfer_is_received(transfer_id: str) -> Refusal:
    """Nothing of it is in transit any more."""
    return Refusal(
        code="transfer.received",
        detail=f"{transfer_id} is received; nothing of it is in transit",
        clears_with="a receipt by adjustment for what came after all",
    )


def not_in_transfer(sku: str, transfer_id: str) -> Refusal:
    """Something came that was never shipped in it."""
    return Refusal(
        code="transfer.sku_unknown",
        detail=f"{sku} is not in {transfer_id}",
        kind=Kind.INVALID,
        clears_with="a receipt by adjustment",
        facts={"sku": sku},
    )


def more_damaged(sku: str, damaged: int, in_transit: int) -> Refusal:
    """Damaged units beyond those in transit never were in the books."""
    return Refusal(
        code="transfer.more_damaged",
        detail=f"{in_transit} of {sku} are in transit, so {damaged} cannot be damaged",
        kind=Kind.INVALID,
        clears_with="at most what is in transit",
        facts={"sku": sku, "in_transit": in_transit},
    )


def reason_missing(sku: str) -> Refusal:
    """What differs from what was shipped is entered with a reason."""
    return Refusal(
        code="transfer.reason_missing",
        detail=f"what came of {sku} differs from what is in transit, and no reason is given",
        kind=Kind.INVALID,
        clears_with="a reason",
        facts={"sku": sku},
    )
