"""The catalog published or withdrew a product."""

from services.orders.domain.book import OrderBook
from services.orders.domain.offer import offer_of
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.effects import Decision, Moment


def learn_offer(product: ProductPublished | ProductWithdrawn, book: OrderBook, now: Moment) -> Decision:
    """Keep the newest version. Orders that were placed keep the price that they were placed at."""
    known = book.offers.get(product.sku)
    offer = offer_of(product, now.store_id) if known is None else known.learn(product)
    if offer is not known:
        book.learn(offer)
    return ()
