"""Which use case answers what. Catalog listens to nobody: sellers tell it what is for sale."""

from services.catalog.domain.catalog import Catalog
from services.catalog.usecases.publish_products import PublishProducts, publish_products
from services.catalog.usecases.withdraw_product import WithdrawProduct, withdraw_product
from shared.messaging.routing import Router


def routes(on: Router[Catalog]) -> None:
    """Fill the routing table."""
    on(PublishProducts, publish_products)
    on(WithdrawProduct, withdraw_product)
