"""Put products into the catalog, each on its own merits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.catalog.domain.catalog import Catalog
from services.catalog.domain.product import Outcome, Product, ProductContent, check_content
from shared.effects import Effect, Effects, Moment, Reply
from shared.errors import Refusal


@dataclass(frozen=True, slots=True)
class Submission:
    """One item of a batch: the whole product as it shall be, or why it could not even be read."""

    sku: str
    content: ProductContent | Refusal


@dataclass(frozen=True, slots=True)
class PublishProducts:
    """Up to 500 products of a store."""

    store_id: str
    submissions: Sequence[Submission]


def publish_products(command: PublishProducts, catalog: Catalog, moment: Moment) -> Effects:
    """Every item is created, updated, unchanged or refused; one that is refused keeps no other back.

    One event a real change: the same batch sent again publishes nothing.
    """
    events: list[Effect] = []
    results: list[dict[str, Any]] = []
    for index, submission in enumerate(command.submissions):
        outcome = _publish(submission, command.store_id, catalog, moment.decided_at)
        results.append(_result(index, submission.sku, outcome, catalog))
        if outcome in (Outcome.CREATED, Outcome.UPDATED):
            events.append(catalog.products[submission.sku].published())
    return [*events, Reply({"data": results})]


def _publish(submission: Submission, store_id: str, catalog: Catalog, at: datetime) -> Outcome | Refusal:
    if isinstance(submission.content, Refusal):
        return submission.content
    known = catalog.products.get(submission.sku)
    if known is not None and known.store_id != store_id:
        return Refusal(
            code="product.sku_taken", detail=f"the SKU {submission.sku} is in use", clears_with="another SKU"
        )
    checked = check_content(submission.content, catalog.markets, at)
    if isinstance(checked, Refusal):
        return checked
    if known is not None:
        outcome = known.publish(checked, at)
        if outcome is Outcome.UPDATED:
            catalog.touch(known)
        return outcome
    catalog.add(Product.create(submission.sku, store_id, checked, at))
    return Outcome.CREATED


def _result(index: int, sku: str, outcome: Outcome | Refusal, catalog: Catalog) -> dict[str, Any]:
    if isinstance(outcome, Refusal):
        return {"index": index, "sku": sku, "outcome": Outcome.REFUSED, "version": None, "problem": _problem(outcome)}
    return {"index": index, "sku": sku, "outcome": outcome, "version": catalog.products[sku].version, "problem": None}


def _problem(refusal: Refusal) -> dict[str, Any]:
    pointer = refusal.facts.get("pointer")
    own = [{"pointer": pointer, "code": refusal.code, "message": refusal.detail}] if pointer else []
    errors = refusal.facts.get("errors", own)
    return {"code": refusal.code, "detail": refusal.detail, "clears_with": refusal.clears_with, "errors": errors}
