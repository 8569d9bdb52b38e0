"""Take a product off sale."""

from dataclasses import dataclass

from services.catalog.domain.catalog import Catalog
from shared.effects import Decision, Moment, Reply
from shared.errors import Kind, Refusal


@dataclass(frozen=True, slots=True)
class WithdrawProduct:
    """Sell this product of the store no more, in no market."""

    store_id: str
    sku: str


def withdraw_product(command: WithdrawProduct, catalog: Catalog, moment: Moment) -> Decision:
    """Orders that were placed go on. Withdrawing twice is withdrawing once: the second tells nobody."""
    product = catalog.products.get(command.sku)
    if product is None or product.store_id != command.store_id:
        return Refusal(code="product.not_found", detail=f"there is no product {command.sku}", kind=Kind.NOT_FOUND)
    changed = product.withdraw(moment.decided_at)
    reply = Reply({"sku": product.sku, "status": product.status, "version": product.version})
    if not changed:
        return [reply]
    catalog.touch(product)
    return [product.withdrawn(), reply]
