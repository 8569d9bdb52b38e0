"""What a replay sends: the bodies of its requests, all of them functions of the plan."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, TypeVar

from freeport.replay.lines import Line
from freeport.replay.plan import Article, Invoice

T = TypeVar("T")

CHANNEL = "online-retail"
MARKET = "GB"
CURRENCY = "GBP"
GOODS_A_BATCH = 500  # what catalog and inventory take at once
ORDERS_A_BATCH = 50
_TITLE = 200  # characters; longer ones are cut


def fingerprint(*parts: object) -> str:
    """Sixteen hexadecimal digits that follow from the parts: for keys that a second run meets again."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, `size` at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def price(pence: int) -> dict[str, str]:
    return {"amount": str(pence), "currency": CURRENCY}


def product(article: Article) -> dict[str, Any]:
    """The article as the catalog wants it."""
    return {
        "sku": article.sku,
        "titles": {"en": article.title[:_TITLE]},
        "category": article.goods.category,
        "hs_code": article.goods.hs_code,
        "origin_country": article.goods.origin,
        "weight_grams": article.goods.weight_grams,
        "flags": [flag.value for flag in article.goods.flags],
        "prices": [{"market": MARKET, "price": price(article.price_minor)}],
    }


def products(articles: Sequence[Article]) -> Iterator[dict[str, Any]]:
    """Batches for `POST /v1/products:batch`."""
    return ({"products": [product(article) for article in batch]} for batch in chunks(articles, GOODS_A_BATCH))


def deliveries(articles: Sequence[Article], warehouse: str) -> Iterator[dict[str, Any]]:
    """Receipts for `POST /v1/stock/adjustments`: each SKU's stock, where there is any."""
    wanted = [article for article in articles if article.stock]
    for batch in chunks(wanted, GOODS_A_BATCH):
        lines = [{"sku": article.sku, "quantity": article.stock} for article in batch]
        yield {"kind": "receipt", "warehouse": warehouse, "reason": "stock of a replay", "lines": lines}


def order(invoice: Invoice) -> dict[str, Any]:
    """The invoice as an imported order in pre-sale mode, that the channel has been paid for.

    The file has no names and addresses. What stands for them is one a customer, so that nobody looks like a ring of buyers.
    """
    who = f"customer {invoice.customer}" if invoice.customer else f"buyer of invoice {invoice.number}"
    address = {"line1": f"Account of {who}"[:_TITLE], "city": invoice.country, "country": invoice.country}
    return {
        "market": MARKET,
        "channel": CHANNEL,
        "external_id": invoice.number,
        "placed_at": invoice.at.isoformat(),
        "lines": [order_line for line in invoice.lines for order_line in order_lines(line)],
        "recipient": {"name": who.capitalize()[:_TITLE], "address": address},
        "customer_id": invoice.customer,
        "payment": "collected_by_channel",
        "presale": True,
    }


def order_lines(line: Line) -> list[dict[str, Any]]:
    """One order line; two, a penny apart, where the price has a fraction of a penny. They add up to the line's value."""
    floor = int(line.unit_price * 100)
    dearer = line.value_minor - line.quantity * floor
    shares = ((line.quantity - dearer, floor), (dearer, floor + 1))
    return [
        {"sku": line.sku, "quantity": quantity, "unit_price": price(pence)} for quantity, pence in shares if quantity
    ]


def return_request(order_id: str, sku: str, quantity: int) -> dict[str, Any]:
    """A channel's cancellation after the dispatch: approved, and the goods come back."""
    lines = [{"sku": sku, "quantity": quantity, "reason": "cancelled"}]
    return {"order_id": order_id, "lines": lines, "approve": True, "send_back": True}


def receipt(sku: str, quantity: int, warehouse: str) -> dict[str, Any]:
    """The goods are back and as good as new."""
    return {"warehouse": warehouse, "lines": [{"sku": sku, "quantity": quantity, "grade": "sellable"}]}


def warehouse_code(country: str, articles: Sequence[Article], factor: Decimal) -> str:
    """A warehouse of its own for each stock that replays bring: the same file and options meet the same one again."""
    return f"{country}-REPLAY-{fingerprint(str(factor), [(article.sku, article.stock) for article in articles])}"
