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
