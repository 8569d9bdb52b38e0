"""What orders listens to: a routing table, nothing else."""

from services.orders.domain.book import OrderBook
from services.orders.domain.channel import CALLS, SHIP_BY, SHIP_BY_NEARS
from services.orders.domain.facts import RECORDERS
from services.orders.domain.order import SILENCE, STOCK_WAIT
from services.orders.usecases.cancel_order import CancelOrder, cancel_order
from services.orders.usecases.change_webhook import ChangeWebhook, change_webhook
from services.orders.usecases.decide_stock import DecideStock, decide_stock, end_stock_wait
from services.orders.usecases.hear_news import hear_news
from services.orders.usecases.import_orders import ImportOrders, import_orders
from services.orders.usecases.learn_offer import learn_offer
from services.orders.usecases.lose_patience import lose_patience
from services.orders.usecases.ping_webhook import PingWebhook, ping_webhook
from services.orders.usecases.place_order import PlaceOrder, place_order
from services.orders.usecases.register_webhook import RegisterWebhook, register_webhook
from services.orders.usecases.remove_webhook import RemoveWebhook, remove_webhook
from services.orders.usecases.resend_webhook import ResendWebhook, ResendWebhooks, resend_webhook, resend_webhooks
from services.orders.usecases.rotate_webhook import RotateWebhook, rotate_webhook
from services.orders.usecases.settle_channel_call import settle_channel_call
from services.orders.usecases.settle_webhook import WebhookTried, settle_webhook
from services.orders.usecases.take_channel_orders import TakeChannelOrders, take_channel_orders
from services.orders.usecases.watch_ship_by import watch_ship_by
from shared.contracts import topics
from shared.contracts.catalog import ProductPublished, ProductWithdrawn
from shared.messaging.routing import Router


def routes(on: Router[OrderBook]) -> None:
    """Every fact about an order goes one way; what follows from it is derived from all of them."""
    on(PlaceOrder, place_order)
    on(ImportOrders, import_orders)
    on(CancelOrder, cancel_order)
    on(DecideStock, decide_stock)
    on(ProductPublished, learn_offer)
    on(ProductWithdrawn, learn_offer)
    for message_type in RECORDERS:
        on(message_type, hear_news)
    on.due(SILENCE, lose_patience)
    on.due(STOCK_WAIT, end_stock_wait)
    on(TakeChannelOrders, take_channel_orders)
    for kind in CALLS:
        on.answered(kind, settle_channel_call)
    on.due(SHIP_BY_NEARS, watch_ship_by)
    on.due(SHIP_BY, watch_ship_by)
    on.observe(topics.ORDER)  # its own events, too, belong into the timeline
    on.observe(topics.RETURN)
    on(RegisterWebhook, register_webhook)
    on(ChangeWebhook, change_webhook)
    on(RemoveWebhook, remove_webhook)
    on(RotateWebhook, rotate_webhook)
    on(PingWebhook, ping_webhook)
    on(ResendWebhook, resend_webhook)
    on(ResendWebhooks, resend_webhooks)
    on(WebhookTried, settle_webhook)
