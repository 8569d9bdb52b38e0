"""What a replay will do, decided from the lines alone: the orders, the goods they need, the stock that goes in."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from freeport.replay.goods import Goods, GoodsMap
from freeport.replay.lines import Kind, Line


@dataclass(frozen=True, slots=True)
class Invoice:
    """One order: the merchandise of one invoice. Its time is its earliest line's."""

    number: str
    customer: str
    country: str
    at: datetime
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Article:
    """A SKU as the catalog will have it. The price is the one it was sold at most often, in pence."""

    sku: str
    title: str
    price_minor: int
    goods: Goods
    stock: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a replay needs. `lines` are all lines read, with their last word on what they are."""

    lines: tuple[Line, ...]
    invoices: tuple[Invoice, ...]
    cancellations: tuple[Line, ...]
    articles: tuple[Article, ...]


def make_plan(lines: Iterable[Line], goods: GoodsMap, stock_factor: Decimal) -> Plan:
    """Group the lines into orders, and give each SKU ceil(`stock_factor` times the units demanded) of stock."""
    judged = _one_destination_each(list(lines))
    sales = [line for line in judged if line.kind is Kind.SALE]
    return Plan(
        lines=tuple(judged),
        invoices=tuple(_invoices(sales)),
        cancellations=tuple(line for line in judged if line.kind is Kind.CANCELLATION),
        articles=tuple(_articles(sales, goods, stock_factor)),
    )


def _one_destination_each(lines: Sequence[Line]) -> list[Line]:
    """An order goes to one country: the one its first sale names. A line that names another one is unusable."""
    first: dict[str, str] = {}
    judged: list[Line] = []
    for line in lines:
        if line.kind is Kind.SALE and first.setdefault(line.invoice, line.country) != line.country:
            why = f"its invoice went to {first[line.invoice]}, the line says {line.country}"
            line = replace(line, kind=Kind.UNUSABLE, why=why)
        judged.append(line)
    return judged


def _invoices(sales: Sequence[Line]) -> list[Invoice]:
    grouped: defaultdict[str, list[Line]] = defaultdict(list)
    for line in sales:
        grouped[line.invoice].append(line)
    invoices = [
        Invoice(
            number=number,
            customer=next((line.customer for line in lines if line.customer), ""),
            country=lines[0].country,
            at=min(line.when for line in lines),
            lines=tuple(lines),
        )
        for number, lines in grouped.items()
    ]
    # As the buyers came; the number breaks ties, so that every run sends the same batches.
    return sorted(invoices, key=lambda invoice: (invoice.at, invoice.number))


def _articles(sales: Sequence[Line], goods: GoodsMap, stock_factor: Decimal) -> list[Article]:
    by_sku: defaultdict[str, list[Line]] = defaultdict(list)
    for line in sales:
        by_sku[line.sku].append(line)
    return [_article(sku, by_sku[sku], goods, stock_factor) for sku in sorted(by_sku)]


def _article(sku: str, lines: Sequence[Line], goods: GoodsMap, stock_factor: Decimal) -> Article:
    # Descriptions change and go missing from line to line; the commonest is the name of the thing.
    titles = Counter(line.description for line in lines if line.description)
    title = titles.most_common(1)[0][0] if titles else sku
    prices = Counter(line.unit_price for line in lines)
    demanded = sum(line.quantity for line in lines)
    return Article(
        sku=sku,
        title=title,
        price_minor=max(1, round(prices.most_common(1)[0][0] * 100)),
        goods=goods.of(title),
        stock=math.ceil(stock_factor * demanded),
    )
