"""The catalog changed: every order that is held and contains the product is judged again."""

from dataclasses import replace

from services.logistics.domain.customs import judge
from services.logistics.domain.desk import Desk
from services.logistics.domain.goods import Product
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.effects import Deadline, Due, Effect, Effects, Moment

RECHECK = "papers.recheck"


def learn_product(published: ProductPublished, desk: Desk, now: Moment) -> Effects:
    """Keep our own copy; of two versions the newer counts, in whatever order they come."""
    product = Product(
        sku=published.sku,
        version=published.version,
        titles=published.titles,
        category=published.category,
        hs_code=published.hs_code,
        origin_country=published.origin_country,
        weight_grams=published.weight_grams,
        flags=published.flags,
        claims_preference=published.claims_preference,
        store_id=now.store_id,
    )
    return recheck(product.sku, desk, now) if desk.learn(product) else []


def withdraw_product(withdrawn: ProductWithdrawn, desk: Desk, now: Moment) -> Effects:
    """It is quoted no more. What is known of it stays: orders that were placed go on."""
    known = desk.products.get(withdrawn.sku) or Product(sku=withdrawn.sku, store_id=now.store_id)
    desk.learn(replace(known, version=withdrawn.version, withdrawn=True))
    return []


def continue_recheck(due: Due, desk: Desk, now: Moment) -> Effects:
    """The next part of a recheck that was too large for one message."""
    return recheck(recheck_place(due.key)[0], desk, now)


def recheck(sku: str, desk: Desk, now: Moment) -> list[Effect]:
    """Judge the held orders with a SKU that are loaded; a deadline goes on with those behind them."""
    effects = [effect for consignment in desk.held_with(sku) for effect in judge(consignment, desk, now)]
    if (last := desk.more.get(sku)) is not None:
        effects.append(Deadline(RECHECK, f"{sku}/{last}", now.decided_at))
    return effects


def recheck_place(key: str) -> tuple[str, str]:
    """(SKU, the order after which to go on) of a deadline's key. An order id has no slash, a SKU may."""
    sku, _, last = key.rpartition("/")
    return sku, last
